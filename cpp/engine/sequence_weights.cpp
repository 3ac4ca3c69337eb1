#include "engine/sequence_weights.h"

#include "engine/copy.h"

namespace rnncore {

template <class T>
SequenceWeights<T>::SequenceWeights(Cell cell, int64_t inputs, int64_t units, const T* kernel,
                                    const T* recurrent_kernel, const T* bias, const Kernels& kernels)
    : kernels_(kernels) {
  SequenceForward<T> call{};
  call.shape.cell = cell;
  call.shape.rows = call.shape.steps = 1;
  call.shape.inputs = inputs, call.shape.units = units;
  call.shape.cache_bytes = second_level_cache();
  const SequenceKernels<T>& table = sequence_kernels<T>(kernels);
  const auto elements = [](int64_t count) { return Buffer(static_cast<size_t>(count) * sizeof(T), Reuse::never); };
  packed_ = elements(table.sizes(call.shape, false, 1).packed_weights);
  call.kernel = kernel, call.recurrent_kernel = recurrent_kernel, call.bias = bias;
  call.packed_weights = packed_.template as<T>();
  table.pack(call, Team{0, 1, nullptr});
  if (!bias) return;
  const int64_t count = facts_of(cell).bias_rows * gates_of(cell) * units;
  bias_ = elements(count);
  copy_row(bias, bias_.template as<T>(), count);
}

template <class T>
void SequenceWeights<T>::give(SequenceInputs<T>& inputs) const {
  inputs.packed_weights = packed_.template as<T>();
  inputs.kernel = inputs.recurrent_kernel = nullptr;
  inputs.bias = bias_.template as<T>();
}

template class SequenceWeights<float>;
template class SequenceWeights<double>;

}  // namespace rnncore
