// Copies between a plan's values and the caller's batch-first arrays.
#include <algorithm>
#include <utility>

#include "engine/copy.h"
#include "engine/plan.h"

namespace rnncore {

template <class T>
void Plan<T>::lend(size_t input) {
  is_lent_[index(program_.inputs[input])] = true;
}

template <class T>
void Plan<T>::move_input(size_t input, const void* to) {
  const int value = program_.inputs[input];
  if (std::exchange(lent_[index(value)], to) == to) return;
  for (PlannedNode& node : nodes_) {
    if (!node.op) continue;
    bool reads = false;
    for (size_t slot = 0; slot < node.buffers.inputs.size(); ++slot)
      if (node.site.node.inputs[slot] == value) node.buffers.inputs[slot] = to, reads = true;
    if (reads) node.op->bind(node.buffers);
  }
}

template <class T>
void Plan<T>::copy_output(size_t number, T* to, const Team& team) const {
  const size_t value = index(program_.outputs[number]);
  const Tensor& tensor = tensors_[value];
  scatter(at<T>(value_block_[value]), to, tensor.steps(), tensor.width(), samples(), team);
}

template <class T>
void Plan<T>::copy_mask(size_t number, const int32_t* lengths, int32_t* to, const Team& team) const {
  const int mask = program_.mask_of(number);
  const int64_t steps = tensors_[index(program_.outputs[number])].steps();
  if (mask != program_.lengths) return scatter(at<int32_t>(value_block_[index(mask)]), to, steps, 1, samples(), team);
  const Range mine = team_range(samples(), team, 1);
  for (int64_t n = mine.begin; n < mine.end; ++n)
    for (int64_t t = 0; t < steps; ++t) to[n * steps + t] = t < lengths[n];
}

template <class T>
void Plan<T>::load_output_gradients(const std::vector<const T*>& gradients, const Team& team) {
  for (size_t i = 0; i < program_.outputs.size(); ++i) {
    const size_t value = index(program_.outputs[i]);
    T* to = at<T>(gradient_block_[value]);
    if (!to) continue;
    const Tensor& tensor = tensors_[value];
    const auto* const output = program_.outputs.data() + i;
    if (std::find(program_.outputs.data(), output, *output) != output) {  // an output before, too
      if (!gradients[i]) continue;
      team_barrier(team);
      gather_add(gradients[i], to, tensor.steps(), tensor.width(), samples(), team);
    } else if (!gradients[i])
      zero(tensor.size(), to, team);
    else
      gather(gradients[i], to, tensor.steps(), tensor.width(), {nullptr, samples()}, team);
  }
  team_barrier(team);
}

template <class T>
void Plan<T>::copy_input_gradient(size_t number, T* to, const Team& team) const {
  const size_t value = index(program_.inputs[number]);
  const Tensor& tensor = tensors_[value];
  if (const T* from = at<T>(gradient_block_[value]))
    scatter(from, to, tensor.steps(), tensor.width(), samples(), team);
  else
    zero(tensor.size(), to, team);
}

template void Plan<float>::lend(size_t input);
template void Plan<float>::move_input(size_t input, const void* to);
template void Plan<float>::copy_output(size_t number, float* to, const Team& team) const;
template void Plan<float>::copy_mask(size_t number, const int32_t* lengths, int32_t* to, const Team& team) const;
template void Plan<float>::load_output_gradients(const std::vector<const float*>& gradients, const Team& team);
template void Plan<float>::copy_input_gradient(size_t number, float* to, const Team& team) const;
template void Plan<double>::lend(size_t input);
template void Plan<double>::move_input(size_t input, const void* to);
template void Plan<double>::copy_output(size_t number, double* to, const Team& team) const;
template void Plan<double>::copy_mask(size_t number, const int32_t* lengths, int32_t* to, const Team& team) const;
template void Plan<double>::load_output_gradients(const std::vector<const double*>& gradients, const Team& team);
template void Plan<double>::copy_input_gradient(size_t number, double* to, const Team& team) const;

}  // namespace rnncore
