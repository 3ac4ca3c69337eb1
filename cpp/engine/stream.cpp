#include "engine/stream.h"

namespace rnncore {

template <class T>
Stream<T>::Stream(Executor<T>& executor, const std::vector<Tensor>& inputs, T* states)
    : executor_(executor),
      plan_(executor.as_run(false), kNoTraining, executor.kernels_, {Mode::inference, inputs, false}),
      states_{states, true} {
  for (const Tensor& tensor : inputs) samples_.inputs.push_back({nullptr, tensor.shape, tensor.integer});
  outputs_ = executor.output_shapes(samples_.inputs);
  undo_ = executor.undo_of(states_, plan_.samples(), false);
}

template <class T>
bool Stream<T>::step(const void* const* inputs, T* const* outputs, bool waits, const Interrupt& interrupt) {
  Turns& turns = executor_.turns_->turns;
  if (!waits && !turns.try_take()) return false;
  if (waits) turns.take(interrupt);
  const typename Executor<T>::Inside turn(executor_, std::adopt_lock);
  if (executor_.within_batch_ || busy_) return false;
  for (size_t i = 0; i < samples_.inputs.size(); ++i) samples_.inputs[i].data = inputs[i];
  const BatchRows rows{nullptr, plan_.samples()};
  plan_.check_ids(samples_, rows);
  const int threads = plan_.threads();
  if (const auto bytes = static_cast<size_t>(plan_.reserve(threads)); bytes > arena_.size())
    arena_ = Buffer(bytes, Reuse::never);
  plan_.bind(arena_.as<std::byte>(), executor_.parameters_, executor_.gradients_, executor_.work_.packed);
  executor_.look_at_weights();
  undo_.keep();
  typename Executor<T>::Asking asking{executor_, interrupt};
  busy_ = true;
  try {
    run_team(threads, asking, [&](const Team& team) {
      plan_.pack(team);
      plan_.load(samples_, rows, team);
      if (plan_.failed()) return;
      plan_.forward(0, static_cast<uint32_t>(steps_), {states_.data, steps_ > 0}, team);
      for (size_t i = 0; i < outputs_.size(); ++i) plan_.copy_output(i, outputs[i], team);
    });
  } catch (const Stopped&) {
    busy_ = false;
    undo_.put_back();
    throw;
  }
  busy_ = false;
  if (plan_.failed()) throw std::invalid_argument(plan_.take_fault());
  ++steps_;
  return true;
}

template class Stream<float>;
template class Stream<double>;

}  // namespace rnncore
