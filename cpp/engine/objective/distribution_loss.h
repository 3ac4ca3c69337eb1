// Losses whose outputs are the parameters of a distribution, or quantiles: minus the logarithm of the targets' density.
// The last axis of an output holds one block for each parameter, as wide as the target; scales and the like come
// through softplus.
#pragma once

#include <optional>
#include <vector>

#include "engine/objective/loss.h"

namespace rnncore {

enum class Distribution : uint8_t { gaussian, student_t, negative_binomial, mixture, quantile };

// Of a loss of that kind; empty for another kind. Throws std::invalid_argument for attributes that do not fit.
struct DistributionFacts {
  Distribution distribution;
  int64_t blocks;                 // numbers of the output for one of the target
  std::vector<double> quantiles;  // (blocks,), of quantile
};
std::optional<DistributionFacts> distribution_of(const LossDescription& description);

template <class T>
class DistributionLoss final : public Loss<T> {
 public:
  DistributionLoss(const LossDescription& description, size_t number, const Program& program, const Tensor& tensor,
                   bool adds, const OpKernels<T>& kernels, Room& room)
      : Loss<T>(description, number, program, tensor, adds, kernels, room), facts_(*distribution_of(description)) {
    most_blocks_.resize(static_cast<size_t>(2 * facts_.blocks));
  }

 private:
  void start_target(const Samples& samples, const BatchRows& rows, int threads) override;
  void run(const Team& team) override;

  const DistributionFacts facts_;
  std::vector<double> most_blocks_;  // (threads, 2, blocks): the parameters of one number, and their gradients
};

extern template class DistributionLoss<float>;
extern template class DistributionLoss<double>;

}  // namespace rnncore
