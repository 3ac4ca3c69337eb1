// The functions of math.h over contiguous arrays, so that their accuracy can be swept at every level.
#pragma once

#include <cstdint>

namespace rnncore {

template <class T>
struct MathKernels {
  void (*exp)(int64_t size, const T* x, T* y);
  void (*sigmoid)(int64_t size, const T* x, T* y);
  void (*tanh)(int64_t size, const T* x, T* y);
};

}  // namespace rnncore
