// Several arrays of one shape into one, element by element.
#pragma once

#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// y[i] = combine(y[i], x[i])
template <class T, class Combine>
RNNCORE_INLINE void merge_into(const T* x, T* y, const Range& range, Combine combine) {
  for (int64_t i = range.begin; i < range.end; ++i) y[i] = combine(y[i], x[i]);
}

template <class T>
void merge(const Merge<T>& m, const Team& team) {
  constexpr int64_t kBlock = 2048;  // stays in the first-level cache while the inputs come in one after another
  const Range mine = team_range(m.size, team, 256);
  for (int64_t begin = mine.begin; begin < mine.end; begin += kBlock) {
    const Range block{begin, begin + kBlock < mine.end ? begin + kBlock : mine.end};
    for (int64_t i = block.begin; i < block.end; ++i) m.y[i] = m.x[0][i];
    for (int k = 1; k < m.inputs; ++k) switch (m.kind) {
        case MergeKind::add:
        case MergeKind::average: merge_into(m.x[k], m.y, block, [](T a, T b) { return a + b; }); break;
        case MergeKind::subtract: merge_into(m.x[k], m.y, block, [](T a, T b) { return a - b; }); break;
        case MergeKind::multiply: merge_into(m.x[k], m.y, block, [](T a, T b) { return a * b; }); break;
        case MergeKind::maximum:
          merge_into(m.x[k], m.y, block, [](T a, T b) { return a > b || a != a ? a : b; });
          break;
        case MergeKind::minimum:
          merge_into(m.x[k], m.y, block, [](T a, T b) { return a < b || a != a ? a : b; });
          break;
      }
    if (m.kind == MergeKind::average)
      for (int64_t i = block.begin; i < block.end; ++i) m.y[i] /= static_cast<T>(m.inputs);
  }
}

// NaN is the greatest number, and equal to itself.
template <class T>
RNNCORE_INLINE bool is_greater(T a, T b) {
  return a > b || (a != a && b == b);
}
template <class T>
RNNCORE_INLINE bool is_same(T a, T b) {
  return a == b || (a != a && b != b);
}

// Of the pairwise maximum (sign 1) or minimum (sign -1), from left to right: the greater one gets the gradient, equal
// ones get half each.
template <class T>
void extremum_backward(const Merge<T>& m, int slot, const T* dy, T* dx, T sign, const Range& range) {
  for (int64_t i = range.begin; i < range.end; ++i) {
    T before = m.x[0][i] * sign;
    for (int k = 1; k < slot; ++k) before = is_greater(m.x[k][i] * sign, before) ? m.x[k][i] * sign : before;
    const T mine = m.x[slot][i] * sign;
    T gradient = dy[i];
    if (slot > 0) gradient = is_greater(mine, before) ? gradient : is_same(mine, before) ? gradient / 2 : T(0);
    T top = slot > 0 && is_greater(before, mine) ? before : mine;
    for (int k = slot + 1; k < m.inputs; ++k) {
      const T next = m.x[k][i] * sign;
      gradient = is_greater(next, top) ? T(0) : is_same(next, top) ? gradient / 2 : gradient;
      top = is_greater(next, top) ? next : top;
    }
    dx[i] = gradient;
  }
}

// The gradient of input number `slot`.
template <class T>
void merge_backward(const Merge<T>& m, int slot, const T* dy, T* dx, const Team& team) {
  const Range mine = team_range(m.size, team, 256);
  T factor = m.kind == MergeKind::subtract && slot > 0 ? T(-1) : T(1);
  switch (m.kind) {
    case MergeKind::add:
    case MergeKind::subtract:
      for (int64_t i = mine.begin; i < mine.end; ++i) dx[i] = factor * dy[i];
      break;
    case MergeKind::average:
      for (int64_t i = mine.begin; i < mine.end; ++i) dx[i] = dy[i] / static_cast<T>(m.inputs);
      break;
    case MergeKind::multiply:
      for (int64_t i = mine.begin; i < mine.end; ++i) dx[i] = dy[i];
      for (int k = 0; k < m.inputs; ++k)
        if (k != slot) merge_into(m.x[k], dx, mine, [](T a, T b) { return a * b; });
      break;
    case MergeKind::maximum: extremum_backward(m, slot, dy, dx, T(1), mine); break;
    case MergeKind::minimum: extremum_backward(m, slot, dy, dx, T(-1), mine); break;
  }
}

}  // namespace
}  // namespace rnncore
