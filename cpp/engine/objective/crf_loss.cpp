#include "engine/objective/crf_loss.h"

#include <algorithm>
#include <utility>

#include "engine/objective/ctc_labels.h"

namespace rnncore {
template <class T>
CrfLoss<T>::CrfLoss(const LossDescription& description, size_t number, const Program& program, const Tensor& tensor,
                    bool adds, const OpKernels<T>& kernels, Fault& fault, Room& room)
    // A step is one position, with a class for each pair of labels.
    : Loss<T>(description, number, program,
              Tensor{{tensor.samples(), tensor.steps(), tensor.columns() * tensor.columns()}, false}, adds, kernels,
              room),
      samples_(tensor.samples()),
      steps_(tensor.steps()),
      classes_(tensor.columns()),
      fault_(fault) {
  this->call_.rows = samples_;
}

template <class T>
std::string CrfLoss<T>::label_error(const int32_t* labels) const {
  for (int64_t t = 0; t < steps_; ++t)
    if (labels[t] < 0 || labels[t] >= classes_)
      return target_name(this->output) + ": expected labels from 0 to " + std::to_string(classes_ - 1) + ", got " +
             std::to_string(labels[t]);
  return {};
}

template <class T>
void CrfLoss<T>::check_target(const Samples& samples, int64_t sample_count, const BatchRows& rows) const {
  const Array& array = samples.targets[this->output];
  const std::string name = target_name(this->output);
  if (const Shape expected{sample_count, steps_}; !array.data || array.shape != expected)
    fail(name + ": crf expected shape " + to_string(expected) + ", got " +
         (array.data ? to_string(array.shape) : "None"));
  if (!array.integer) throw WrongType(name + ": expected dtype int32");
  for (int64_t n = 0; n < rows.count; ++n)
    if (const std::string error = label_error(static_cast<const int32_t*>(array.data) + rows.row(n) * steps_);
        !error.empty())
      fail(error);
}

// The labels are copied and looked at once more: they may have changed since they were checked.
template <class T>
void CrfLoss<T>::start_target(const Samples& samples, const BatchRows& rows, int) {
  const auto* given = static_cast<const int32_t*>(samples.targets[this->output].data);
  labels_.resize(static_cast<size_t>(samples_ * steps_));
  for (int64_t n = 0; n < rows.count; ++n) {
    int32_t* copied = labels_.data() + n * steps_;
    std::copy_n(given + rows.row(n) * steps_, steps_, copied);
    std::string error = label_error(copied);
    if (error.empty()) continue;
    std::fill_n(copied, steps_, 0);
    fault_.set(std::move(error));
  }
  counted_ = std::exchange(this->call_.counted, nullptr);
}

template <class T>
void CrfLoss<T>::run(const Team& team) {
  const LossArguments<T>& call = this->call_;
  const int64_t pairs = classes_ * classes_;
  if (call.gradient) {
    zero(samples_ * steps_ * pairs, call.gradient, team);
    team_barrier(team);
  }
  for (int part = team.thread; part < kReductionParts; part += team.threads) {
    double total = 0, total_weight = 0;
    const Range mine = team_range(samples_, part, kReductionParts, 1);
    for (int64_t n = mine.begin; n < mine.end; ++n) {
      const double share = call.weight ? static_cast<double>(call.weight[n]) : 1.0;  // that of the first step
      const int32_t* labels = labels_.data() + n * steps_;
      int32_t before = 0;
      for (int64_t t = 0; t < steps_; ++t) {
        const int64_t row = t * samples_ + n;
        if (counted_ && !counted_[row]) continue;
        const int64_t pair = row * pairs + before * classes_ + labels[t];
        total -= share * static_cast<double>(call.output[pair]);
        if (call.gradient) call.gradient[pair] = static_cast<T>(-share * static_cast<double>(call.scale));
        before = labels[t];
      }
      total_weight += share;
    }
    call.sums[2 * part] = total;
    call.sums[2 * part + 1] = total_weight;
  }
}

template class CrfLoss<float>;
template class CrfLoss<double>;

}  // namespace rnncore
