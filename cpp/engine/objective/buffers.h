// Where the arrays of a step are, and sums over parts of a batch.
#pragma once

#include <vector>

#include "core/ops.h"

namespace rnncore {

template <class T>
struct ObjectiveBuffers {
  std::byte* memory;  // of the objective
  std::vector<const T*> outputs = {};
  std::vector<T*> output_gradients = {};   // null where not wanted
  std::vector<const int32_t*> masks = {};  // (T, N), null where an output has none or the lengths
  // In the order of the activity regularizers.
  std::vector<const T*> penalised = {};
  std::vector<T*> penalised_gradients = {};
  const T* parameters;
  T* gradients;
};

// Adds the parts (kReductionParts, size) to sums[0..size) in their order.
inline void add_parts(const double* parts, int64_t size, double* sums) {
  for (int part = 0; part < kReductionParts; ++part)
    for (int64_t i = 0; i < size; ++i) sums[i] += parts[part * size + i];
}

}  // namespace rnncore
