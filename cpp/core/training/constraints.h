// Constraints, applied to the weights after an update.
#pragma once

#include "core/magnitude.h"
#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// Groups of weights whose norms must lie between two bounds. Threads share the groups.
template <class T>
void constrain_norms(const NormConstraint<T>& c, const Team& team) {
  constexpr int64_t block = 64;  // groups that are neighbours in memory are read side by side
  const Range mine = team_range(c.groups, team, block);
  for (int64_t begin = mine.begin; begin < mine.end; begin += block) {
    const int64_t count = mine.end - begin < block ? mine.end - begin : block;
    const int64_t* group = c.group_offset + begin;
    double square[block] = {};
    for (int64_t m = 0; m < c.members; ++m)
      for (int64_t k = 0; k < count; ++k) {
        const double w = static_cast<double>(c.w[group[k] + c.member_offset[m]]);
        square[k] += w * w;
      }
    T factor[block];
    for (int64_t k = 0; k < count; ++k) {
      double norm = __builtin_sqrt(square[k]);
      if (__builtin_isinf(norm))
        norm = norm_of_large(c.members, [&](int64_t m) { return c.w[group[k] + c.member_offset[m]]; });
      const double clipped = norm < c.low ? c.low : norm > c.high ? c.high : norm;
      factor[k] = static_cast<T>((c.rate * clipped + (1 - c.rate) * norm) / (1e-7 + norm));
    }
    for (int64_t m = 0; m < c.members; ++m)
      for (int64_t k = 0; k < count; ++k) c.w[group[k] + c.member_offset[m]] *= factor[k];
  }
}

template <class T>
void constrain_signs(int64_t size, T* w, const Team& team) {
  const Range range = team_range(size, team, 256);
  for (int64_t i = range.begin; i < range.end; ++i) w[i] = w[i] < 0 ? T(0) : w[i];
}

}  // namespace
}  // namespace rnncore
