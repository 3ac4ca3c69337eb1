// Copies and sums of arrays whose axes lie in memory in different orders.
#pragma once

#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// Places of position `index` of the C-order space of the first `axes` axes.
struct Places {
  int64_t from = 0, to = 0;
};

RNNCORE_INLINE Places places_of(const StridedAxis* axis, int axes, int64_t index) {
  Places places;
  for (int a = axes - 1; a >= 0; --a) {
    const int64_t rest = index / axis[a].size, i = index - rest * axis[a].size;
    places.from += i * axis[a].from, places.to += i * axis[a].to;
    index = rest;
  }
  return places;
}

RNNCORE_INLINE int64_t positions(const StridedAxis* axis, int axes) {
  int64_t n = 1;
  for (int a = 0; a < axes; ++a) n *= axis[a].size;
  return n;
}

template <class T>
void strided_copy(const StridedCopy& c, const T* from, T* to, const Team& team) {
  const StridedAxis last = c.axis[c.axes - 1];
  const int64_t rows = positions(c.axis, c.axes - 1);
  const bool one_row = rows == 1;
  const Range mine = team_range(one_row ? last.size : rows, team, one_row ? 256 : 1 + 256 / (last.size + 1));
  for (int64_t row = one_row ? 0 : mine.begin; row < (one_row ? 1 : mine.end); ++row) {
    const Places places = places_of(c.axis, c.axes - 1, row);
    const T* x = from + places.from;
    T* y = to + places.to;
    const int64_t begin = one_row ? mine.begin : 0, end = one_row ? mine.end : last.size;
    if (last.from == 1 && last.to == 1)
      for (int64_t i = begin; i < end; ++i) y[i] = x[i];
    else
      for (int64_t i = begin; i < end; ++i) y[i * last.to] = x[i * last.from];
  }
}

// Each element of `to` is the sum of its elements of `from` in C order.
template <class T>
void strided_sum(const StridedSum& s, const T* from, T* to, const Team& team) {
  const StridedAxis last = s.kept[s.kept_axes - 1];
  const int64_t summed = positions(s.summed, s.summed_axes);
  const Range mine = team_range(positions(s.kept, s.kept_axes - 1), team, 1);
  for (int64_t row = mine.begin; row < mine.end; ++row) {
    const Places places = places_of(s.kept, s.kept_axes - 1, row);
    T* y = to + places.to;
    for (int64_t i = 0; i < last.size; ++i) y[i * last.to] = T(0);
    for (int64_t k = 0; k < summed; ++k) {
      const T* x = from + places.from + places_of(s.summed, s.summed_axes, k).from;
      if (last.from == 1 && last.to == 1)
        for (int64_t i = 0; i < last.size; ++i) y[i] += x[i];
      else
        for (int64_t i = 0; i < last.size; ++i) y[i * last.to] += x[i * last.from];
    }
  }
}

// A square at a time; those at the edges by way of memory of their own.
template <class T>
void transpose_matrix(int64_t rows, int64_t columns, const T* from, int64_t from_row, T* to, int64_t to_row) {
  for (int64_t j = 0; j < columns; j += W<T>)
    for (int64_t i = 0; i < rows; i += W<T>) {
      const T* source = from + i * from_row + j;
      T* target = to + j * to_row + i;
      if (rows - i >= W<T> && columns - j >= W<T>) {
        transpose(source, from_row, W<T>, W<T>, target, to_row);
        continue;
      }
      T square[W<T> * W<T>];
      transpose(source, from_row, rows - i, columns - j, square, W<T>);
      for (int64_t k = 0; k < W<T> && k < columns - j; ++k)
        store_partial(target + k * to_row, load(square + k * W<T>), rows - i);
    }
}

}  // namespace
}  // namespace rnncore
