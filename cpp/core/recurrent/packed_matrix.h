// A matrix packed once for many products: panels [depth][vectors·W] that a register tile reads in one stream.
#pragma once

#include "core/gemm.h"
#include "core/recurrent/sequence.h"

namespace rnncore {
namespace {

template <class T>
struct PackedMatrix {
  static constexpr int64_t full = kTileVectors * W<T>;  // columns of a panel, of which the last may use fewer

  T* data;
  int64_t depth, columns;

  static RNNCORE_INLINE int64_t panels(int64_t columns) { return (columns + full - 1) / full; }
  static RNNCORE_INLINE int64_t size(int64_t depth, int64_t columns) { return panels(columns) * full * depth; }

  Block panel(int64_t j) const { return {0, depth, j * full, columns - j * full < full ? columns - j * full : full}; }

  // From B, element (k, n) at b[k·b_k + n·b_column]; threads share the panels out.
  void pack(const T* b, int64_t b_k, int64_t b_column, const Team& team) const {
    const Product<T> whole{0, columns, depth, nullptr, 0, 0, b, b_k, b_column, nullptr, 0, nullptr, false};
    const Range mine = team_range(panels(columns), team, 1);
    for (int64_t j = mine.begin; j < mine.end; ++j) pack_columns(whole, panel(j), data + j * full * depth);
  }

  // C (+)= A·B by one thread for rows a_row and c_row apart; without `accumulate` C starts from the bias, or zero.
  void multiply(int64_t rows, const T* a, int64_t a_row, T* c, int64_t c_row, const T* bias, bool accumulate,
                const Team& team) const {
    multiply(1, rows, {a, 0, a_row}, {c, 0, c_row}, bias, accumulate, team);
  }

  // The same for groups of rows, `step` apart: a panel meets all of them before the next.
  void multiply(int64_t groups, int64_t rows, const SequenceView<const T>& a, const SequenceView<T>& c, const T* bias,
                bool accumulate, const Team& team) const {
    for (int64_t j = 0; j < panels(columns); ++j) {
      may_stop(team, groups * rows * depth * 2 * full);
      for (int64_t g = 0; g < groups; ++g) {
        const T* from = a.data + g * a.step;
        const Product<T> p{rows,  columns, depth,     from, a.row, 1, data, 0, 1, c.data + g * c.step,
                           c.row, bias,    accumulate};
        for (int64_t i = 0; i < rows;) {
          const int64_t count = tile_rows(rows - i);
          block_product(count, p, i, panel(j), from + i * a.row, data + j * full * depth,
                        panel_width<T>(panel(j).width) * W<T>);
          i += count;
        }
      }
    }
  }
};

}  // namespace
}  // namespace rnncore
