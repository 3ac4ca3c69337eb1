// A value with all its sizes, and how it is stored.
#pragma once

#include "engine/program.h"

namespace rnncore {

struct Tensor {
  Shape shape;  // batch-first: (N, ...)
  bool integer = false;

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t samples() const { return shape[0]; }

  // A value with a time axis is stored time-major: (T, N, ...).
  bool time_major() const { return rank() >= (integer ? 2 : 3); }
  int64_t steps() const { return time_major() ? shape[1] : 1; }

  int64_t size() const {
    int64_t n = 1;
    for (const int64_t s : shape) n *= s;
    return n;
  }
  int64_t columns() const { return shape.back(); }
  // Positions: everything but the last axis.
  int64_t rows() const {
    int64_t n = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
    return n;
  }
  // Numbers of one sample at one step.
  int64_t width() const {
    int64_t n = 1;
    for (size_t i = time_major() ? 2 : 1; i < shape.size(); ++i) n *= shape[i];
    return n;
  }

  bool operator==(const Tensor&) const = default;
};

// An array of the caller's: batch-first, C-contiguous. Null stands for an absent one.
struct Array {
  const void* data = nullptr;
  Shape shape;
  bool integer = false;
};

}  // namespace rnncore
