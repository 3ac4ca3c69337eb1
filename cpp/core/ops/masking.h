// Which steps of a sequence are real, and zeros in the place of the others.
#pragma once

#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// Most rows differ from the value in their first number, so looking at one at a time is the fastest.
template <class T>
void find_mask(const Masking<T>& m, const Team& team) {
  const Range rows = team_range(m.rows, team, 1);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    bool real = !m.given || m.given[r] != 0;
    if (m.ids) {
      real &= m.ids[r] != 0;
    } else {
      int64_t i = 0;
      while (i < m.width && m.x[r * m.width + i] == m.value) ++i;
      real &= i < m.width;
    }
    m.mask[r] = real;
  }
}

template <class T>
void apply_mask(int64_t rows, int64_t width, const int32_t* mask, const T* x, T* y, const Team& team) {
  const Range mine = team_range(rows, team, 1);
  for (int64_t r = mine.begin; r < mine.end; ++r)
    for (int64_t i = 0; i < width; i += W<T>) {
      const int64_t left = width - i;
      store_partial(y + r * width + i, mask[r] ? load_partial(x + r * width + i, left) : Vec<T>{}, left);
    }
}

}  // namespace
}  // namespace rnncore
