// The penalty on rows or columns of a matrix that are not orthogonal to each other.
#pragma once

#include "core/magnitude.h"
#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// Threads share the vectors; each sum and each slope is added up in the order of the others.
template <class T>
void orthogonality(const Orthogonality<T>& o, const Team& team) {
  const Range mine = team_range(o.count, team, 1);
  for (int64_t i = mine.begin; i < mine.end; ++i) {
    const T* w = o.w + i * o.stride;
    double square = 0;
    for (int64_t k = 0; k < o.length; ++k)
      square += static_cast<double>(w[k * o.step]) * static_cast<double>(w[k * o.step]);
    const double norm = __builtin_isinf(square) ? norm_of_large(o.length, [&](int64_t k) { return w[k * o.step]; })
                                                : __builtin_sqrt(square);
    o.scales[i] = square > 0 ? 1 / norm : 0;
    for (int64_t k = 0; k < o.length; ++k) o.units[i * o.length + k] = w[k * o.step] * static_cast<T>(o.scales[i]);
  }
  team_barrier(team);
  for (int64_t i = mine.begin; i < mine.end; ++i) {
    const T* unit = o.units + i * o.length;
    T* slope = o.slopes + i * o.length;
    for (int64_t k = 0; k < o.length; ++k) slope[k] = 0;
    o.sums[i] = 0;
    for (int64_t j = 0; j < o.count; ++j) {
      if (j == i) continue;
      const T* other = o.units + j * o.length;
      Vec<T> products{};
      for (int64_t k = 0; k < o.length; k += W<T>)
        products += load_partial(unit + k, o.length - k) * load_partial(other + k, o.length - k);
      const T cosine = reduce_add<T>(products), sign = T(cosine > 0) - T(cosine < 0);
      o.sums[i] += static_cast<double>(cosine * sign);
      for (int64_t k = 0; k < o.length; ++k) slope[k] += sign * other[k];
    }
    // The pair (i, j) is counted twice; only what is at a right angle to the vector turns it.
    const T factor = static_cast<T>(2 * o.factor * o.scales[i]), along = static_cast<T>(o.sums[i]);
    for (int64_t k = 0; k < o.length; ++k) slope[k] = factor * (slope[k] - along * unit[k]);
  }
}

template <class T>
void orthogonality_backward(const Orthogonality<T>& o, T* g, const Team& team) {
  const Range mine = team_range(o.count, team, 1);
  for (int64_t i = mine.begin; i < mine.end; ++i)
    for (int64_t k = 0; k < o.length; ++k) g[i * o.stride + k * o.step] += o.slopes[i * o.length + k];
}

}  // namespace
}  // namespace rnncore
