// Connectionist temporal classification, whose labels (N, L) are as many in each batch as the caller gives.
#pragma once

#include "engine/fault.h"
#include "engine/objective/ctc_labels.h"
#include "engine/objective/loss.h"

namespace rnncore {

template <class T>
class CtcLoss final : public Loss<T> {
 public:
  CtcLoss(const LossDescription& description, size_t number, const Program& program, const Tensor& tensor, bool adds,
          const OpKernels<T>& kernels, Fault& fault, Room& room);

 private:
  void check_target(const Samples& samples, int64_t sample_count, const BatchRows& rows) const override;
  void start_target(const Samples& samples, const BatchRows& rows, int threads) override;
  void check_steps() override;
  int64_t positions(int64_t) const override { return ctc_.samples; }  // one a sample, however many steps it has
  void run(const Team& team) override;

  CtcPlace place(const Samples& samples, int64_t sample) const;

  CtcArguments<T> ctc_{};  // it takes what it shares with the others from their call
  Fault& fault_;
  std::vector<int32_t> labels_;    // (N, L)
  std::vector<int64_t> samples_;   // (N,): which they are, for messages
  std::vector<double> workspace_;  // grows with the labels and the team
};

extern template class CtcLoss<float>;
extern template class CtcLoss<double>;

}  // namespace rnncore
