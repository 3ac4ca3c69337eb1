// A Program run one short piece of its sequences after the other: what a step needs is looked for once.
#pragma once

#include "engine/executor.h"

namespace rnncore {

template <class T>
class Stream {
 public:
  // For inputs of these shapes, which become those of the samples. The executor and the states (N·S,), which may be
  // null, outlive it.
  Stream(Executor<T>& executor, const std::vector<Tensor>& inputs, T* states);

  double flops() const { return plan_.flops(); }
  const std::vector<Tensor>& outputs() const { return outputs_; }

  // Whether the step was made: it is not where the weights have others' turn, unless `waits`, nor from within a batch
  // of the executor. Inputs and outputs are batch-first. Throws std::invalid_argument for ids that are out of range,
  // and Stopped; the states are then those before.
  bool step(const void* const* inputs, T* const* outputs, bool waits, const Interrupt& interrupt);

  // How many steps the states have seen; after none a step begins as without states. Not while one is made.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  Executor<T>& executor_;
  std::vector<Tensor> outputs_;
  Samples samples_;
  Plan<T> plan_;
  States states_;
  Undo<T> undo_;
  Buffer arena_;
  int64_t steps_ = 0;
  bool busy_ = false;
};

extern template class Stream<float>;
extern template class Stream<double>;

}  // namespace rnncore
