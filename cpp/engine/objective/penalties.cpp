#include "engine/objective/penalties.h"

#include <algorithm>

#include "engine/copy.h"

namespace rnncore {

template <class T>
Penalties<T>::Penalties(const Training& training, const Program& program, const std::vector<Tensor>& values,
                        const Kernels& kernels, Room& room)
    : kernels_(op_kernels<T>(kernels)), orthogonal_(kernels) {
  for (const auto& r : training.regularizers) {
    const Parameter& p = program.parameters[static_cast<size_t>(r.parameter)];
    on_parameters_.push_back({{r.l1, r.l2, p.size, room.take(2 * kReductionParts * 8)}, p.trainable, p.offset});
    if (r.orthogonal != 0) orthogonal_.add(r, p, room);
  }
  std::vector<bool> written(values.size());
  for (const auto& loss : training.losses)
    written[static_cast<size_t>(program.outputs[static_cast<size_t>(loss.output)])] = true;
  for (const auto& r : training.activity_regularizers) {
    const size_t id = static_cast<size_t>(r.value);
    const double samples = static_cast<double>(std::max<int64_t>(values[id].samples(), 1));
    on_values_.push_back(
        {{r.l1 / samples, r.l2 / samples, values[id].size(), room.take(2 * kReductionParts * 8)}, written[id]});
    written[id] = true;
  }
}

template <class T>
void Penalties<T>::bind(const ObjectiveBuffers<T>& buffers) {
  parameters_ = buffers.parameters, gradients_ = buffers.gradients;
  const auto sums = [&](const Penalty& penalty) {
    return reinterpret_cast<double*>(buffers.memory + penalty.sums_offset);
  };
  for (OnParameter& penalty : on_parameters_) penalty.sums = sums(penalty);
  orthogonal_.bind(buffers.memory, parameters_);
  for (size_t i = 0; i < on_values_.size(); ++i) {
    on_values_[i].sums = sums(on_values_[i]);
    on_values_[i].value = buffers.penalised[i];
    on_values_[i].gradient = buffers.penalised_gradients[i];
  }
}

template <class T>
void Penalties<T>::measure(const Penalty& penalty, const T* x, const Team& team) const {
  for (int part = team.thread; part < kReductionParts; part += team.threads) {
    const Range range = team_range(penalty.size, part, kReductionParts, 8);
    kernels_.norms(range.end - range.begin, x + range.begin, penalty.sums + 2 * part);
  }
}

template <class T>
void Penalties<T>::evaluate(const Team& team) const {
  for (const OnParameter& p : on_parameters_) measure(p, parameters_ + p.offset, team);
  orthogonal_.evaluate(team);
  for (const OnValue& p : on_values_) {
    measure(p, p.value, team);
    if (!p.gradient) continue;
    if (!p.adds) zero(p.size, p.gradient, team);
    team_barrier(team);  // after whoever wrote the gradient first
    kernels_.regularize(p.size, p.value, static_cast<T>(p.l1), static_cast<T>(p.l2), p.gradient, team);
  }
}

template <class T>
void Penalties<T>::regularize(const Team& team) const {
  for (const OnParameter& p : on_parameters_)
    if (p.trainable)
      kernels_.regularize(p.size, parameters_ + p.offset, static_cast<T>(p.l1), static_cast<T>(p.l2),
                          gradients_ + p.offset, team);
  orthogonal_.backward(gradients_, team);
}

template <class T>
void Penalties<T>::Penalty::add_to(double& total) const {
  double both[2] = {0, 0};
  add_parts(sums, 2, both);
  if (l1 != 0) total += l1 * both[0];
  if (l2 != 0) total += l2 * both[1];
}

template <class T>
void Penalties<T>::add_to(double& total) const {
  for (const OnParameter& penalty : on_parameters_) penalty.add_to(total);
  total += orthogonal_.total();
  for (const OnValue& penalty : on_values_) penalty.add_to(total);
}

template class Penalties<float>;
template class Penalties<double>;

}  // namespace rnncore
