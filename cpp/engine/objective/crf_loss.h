// Minus the log-probability of a row's labels, from the log-probabilities (N, T, K, K) that a conditional random field
// gives each label after each other one.
#pragma once

#include "engine/fault.h"
#include "engine/objective/loss.h"

namespace rnncore {

template <class T>
class CrfLoss final : public Loss<T> {
 public:
  CrfLoss(const LossDescription& description, size_t number, const Program& program, const Tensor& tensor, bool adds,
          const OpKernels<T>& kernels, Fault& fault, Room& room);

 private:
  void check_target(const Samples& samples, int64_t sample_count, const BatchRows& rows) const override;
  void start_target(const Samples& samples, const BatchRows& rows, int threads) override;
  int64_t positions(int64_t) const override { return samples_; }  // one a sample, however many steps it has
  void run(const Team& team) override;

  std::string label_error(const int32_t* labels) const;

  int64_t samples_, steps_, classes_;
  Fault& fault_;
  std::vector<int32_t> labels_;    // (N, T)
  const bool* counted_ = nullptr;  // (T, N), or null for all
};

extern template class CrfLoss<float>;
extern template class CrfLoss<double>;

}  // namespace rnncore
