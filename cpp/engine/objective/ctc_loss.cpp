#include "engine/objective/ctc_loss.h"

namespace rnncore {
template <class T>
CtcLoss<T>::CtcLoss(const LossDescription& description, size_t number, const Program& program, const Tensor& tensor,
                    bool adds, const OpKernels<T>& kernels, Fault& fault, Room& room)
    : Loss<T>(description, number, program, tensor, adds, kernels, room), fault_(fault) {
  this->call_.rows = tensor.samples();
  ctc_.steps = tensor.steps(), ctc_.samples = tensor.samples(), ctc_.classes = tensor.columns();
}

template <class T>
void CtcLoss<T>::check_target(const Samples& samples, int64_t sample_count, const BatchRows& rows) const {
  const std::string name = target_name(this->output);
  const Array& array = samples.targets[this->output];
  if (!array.data || array.shape.size() != 2 || array.shape[0] != sample_count)
    fail(name + ": ctc expected shape (" + std::to_string(sample_count) + ", labels), got " +
         (array.data ? to_string(array.shape) : "None"));
  if (!array.integer) throw WrongType(name + ": expected dtype int32");
  const int64_t width = array.shape[1];
  for (int64_t n = 0; n < rows.count; ++n) {
    const int64_t row = rows.row(n);
    const int32_t* labels = static_cast<const int32_t*>(array.data) + row * width;
    if (const std::string error = place(samples, row).error(labels, width); !error.empty()) fail(error);
  }
}

// With the steps that are known to be real before the forward pass.
template <class T>
CtcPlace CtcLoss<T>::place(const Samples& samples, int64_t sample) const {
  const int64_t steps = this->by_lengths_ && samples.lengths ? samples.lengths[sample] : ctc_.steps;
  return {this->output, sample, ctc_.classes, steps};
}

// The labels are copied, for their number is not part of the plan, and looked at once more: they may have changed
// since they were checked.
template <class T>
void CtcLoss<T>::start_target(const Samples& samples, const BatchRows& rows, int threads) {
  const Array& labels = samples.targets[this->output];
  LossArguments<T>& call = this->call_;
  ctc_.width = labels.shape[1];
  labels_.clear(), samples_.clear();
  for (int64_t n = 0; n < rows.count; ++n) {
    const int64_t row = rows.row(n);
    const auto* given = static_cast<const int32_t*>(labels.data) + row * ctc_.width;
    labels_.insert(labels_.end(), given, given + ctc_.width);
    samples_.push_back(row);
    const int32_t* copied = labels_.data() + n * ctc_.width;
    if (std::string error = place(samples, row).error(copied, ctc_.width); !error.empty()) fault_.set(std::move(error));
  }
  ctc_.labels = labels_.data();
  ctc_.weight = call.weight;
  ctc_.counted = std::exchange(call.counted, nullptr);
  ctc_.output = call.output, ctc_.gradient = call.gradient, ctc_.sums = call.sums;
  const size_t needed = static_cast<size_t>(this->kernels_.ctc_workspace(ctc_.steps, ctc_.width) * threads);
  if (workspace_.size() < needed) workspace_.resize(needed);
  ctc_.workspace = workspace_.data();
}

// What `check` cannot know: the steps that are real by a mask of the Program's own.
template <class T>
void CtcLoss<T>::check_steps() {
  for (int64_t n = 0; n < ctc_.samples; ++n) {
    CtcPlace here{this->output, samples_[static_cast<size_t>(n)], ctc_.classes, 0};
    for (int64_t t = 0; t < ctc_.steps; ++t) here.steps += this->mask_[t * ctc_.samples + n] != 0;
    if (std::string error = here.error(ctc_.labels + n * ctc_.width, ctc_.width); !error.empty())
      return fault_.set(std::move(error));
  }
}

template <class T>
void CtcLoss<T>::run(const Team& team) {
  CtcArguments<T> ctc = ctc_;
  ctc.scale = this->call_.scale;
  this->kernels_.ctc(ctc, team);
}

template class CtcLoss<float>;
template class CtcLoss<double>;

}  // namespace rnncore
