// A loss on one output: its value, its gradient and the positions that count.
#pragma once

#include "core/kernels.h"
#include "engine/copy.h"
#include "engine/layout.h"
#include "engine/objective/buffers.h"
#include "engine/objective/loss_names.h"
#include "engine/samples.h"

namespace rnncore {

template <class T>
LossArguments<T> loss_arguments(LossKind kind, const Attributes& attributes, const Tensor& output);

template <class T>
class Loss {
 public:
  // The loss of that number in the description; when it `adds`, an earlier one has written the gradient.
  Loss(const LossDescription& description, size_t number, const Program& program, const Tensor& tensor, bool adds,
       const OpKernels<T>& kernels, Room& room);
  virtual ~Loss() = default;

  const size_t output;
  const double weight;
  // What the metrics of the output share: sample weights, mask, ignored label.
  const LossArguments<T>& call() const { return call_; }
  bool marks_by_mask() const { return by_mask_; }
  // Whether the gradient may lie where the output does: the loss goes row by row.
  bool may_overwrite() const;

  void check(const Samples& samples, int64_t sample_count, const BatchRows& rows) const;
  void bind(const ObjectiveBuffers<T>& buffers, const void* target);

  // Every thread of the team calls these; `start` and `count_mask` one thread, a barrier after the one before them.
  void load(const Samples& samples, const BatchRows& rows, const Team& team) const;
  void start(const Samples& samples, const BatchRows& rows, int threads);
  void mark_by_mask(const Team& team) const;
  void count_mask();
  void evaluate(const Team& team);

  double value() const;  // of the batch
  double divisor() const { return divisor_; }

 protected:
  // What a loss with targets of its own looks at and keeps.
  virtual void check_target(const Samples&, int64_t /*sample_count*/, const BatchRows&) const {}
  virtual void start_target(const Samples&, const BatchRows&, int /*threads*/) {}
  virtual void check_steps() {}
  virtual int64_t positions(int64_t counted) const { return counted; }
  virtual void run(const Team& team) { kernels_.loss(call_, team); }

  const OpKernels<T>& kernels_;
  const Tensor tensor_;  // of the output
  LossArguments<T> call_;
  bool by_lengths_, by_mask_;      // what says which steps count, if anything does
  const int32_t* mask_ = nullptr;  // (T, N), made in the forward pass

 private:
  int64_t inner_positions() const { return tensor_.width() / tensor_.columns(); }  // of one sample at one step
  bool weighted(const Samples& samples) const {
    return number_ < samples.weights.size() && samples.weights[number_].data;
  }
  template <class IsReal>
  void mark(const Team& team, const IsReal& is_real) const;
  void load_weights(const Array& weights, const BatchRows& rows, const Team& team) const;
  void set_positions(int64_t counted);
  void set_divisor(double divisor);
  void count();

  const size_t number_;
  const bool adds_;
  const Reduction reduction_;
  double divisor_ = 1;  // of the sum over this batch
  T* total_gradient_ = nullptr;
  T* weights_ = nullptr;     // room for the sample weights
  bool* counted_ = nullptr;  // and for the mask
  int64_t weights_offset_, counted_offset_, scratch_offset_, sums_offset_;
};

extern template class Loss<float>;
extern template class Loss<double>;

}  // namespace rnncore
