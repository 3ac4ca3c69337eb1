// Small matrix products that one thread does alone, with operands in strides: the heads of attention.
#pragma once

#include "core/gemm.h"

namespace rnncore {
namespace {

// Elements of the panel that `unit_product` needs.
template <class T>
RNNCORE_INLINE int64_t unit_panel(int64_t depth) {
  return (depth + W<T>)*kTileVectors * W<T>;
}

// C = A·B, or C += A·B, of some rows and vectors of columns; the panel is [depth][Vectors·W].
template <class T, int Rows, int Vectors>
static __attribute__((noinline)) void unit_tile(const Product<T>& p, int64_t row, int64_t column, int64_t width,
                                                const T* panel) {
  Vec<T> acc[Rows][Vectors];
  T* c = p.c + row * p.c_row + column;
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v)
      acc[r][v] = p.accumulate ? load_partial(c + r * p.c_row + v * W<T>, width - v * W<T>) : Vec<T>{};
  tile_accumulate<T, Rows, Vectors>(p.k, p.a + row * p.a_row, p.a_row, p.a_k, panel, Vectors * W<T>, acc);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) store_partial(c + r * p.c_row + v * W<T>, acc[r][v], width - v * W<T>);
}

template <class T, int Vectors>
RNNCORE_INLINE void unit_columns(const Product<T>& p, int64_t column, int64_t width, T* panel, const Team& team) {
  constexpr int64_t full = Vectors * W<T>;
  const T* b = p.b + column * p.b_column;
  if (p.b_column == 1) {
    for (int64_t k = 0; k < p.k; ++k)
      for (int v = 0; v < Vectors; ++v)
        store(panel + k * full + v * W<T>, load_partial(b + k * p.b_k + v * W<T>, width - v * W<T>));
  } else {  // b_k is 1
    for (int v = 0; v < Vectors; ++v)
      for (int64_t k = 0; k < p.k; k += W<T>)
        transpose(b + v * W<T> * p.b_column + k, p.b_column, width - v * W<T>, p.k - k, panel + k * full + v * W<T>,
                  full);
  }
  for (int64_t i = 0, pause = 0; i < p.m;) {
    if (i >= pause) {
      may_stop(team, kPauseRows * p.k * 2 * full);
      pause += kPauseRows;
    }
    const int64_t rows = tile_rows(p.m - i);
    switch (rows) {
      case 1: unit_tile<T, 1, Vectors>(p, i, column, width, panel); break;
      case 2: unit_tile<T, 2, Vectors>(p, i, column, width, panel); break;
      case 3: unit_tile<T, 3, Vectors>(p, i, column, width, panel); break;
      case 4: unit_tile<T, 4, Vectors>(p, i, column, width, panel); break;
      case 5: unit_tile<T, 5, Vectors>(p, i, column, width, panel); break;
      default: unit_tile<T, kTileRows, Vectors>(p, i, column, width, panel);
    }
    i += rows;
  }
}

// The whole product; either the rows of B are contiguous or its columns are. The panel has unit_panel<T>(k) elements.
template <class T>
static void unit_product(const Product<T>& p, T* panel, const Team& team) {
  for (int64_t column = 0; column < p.n;) {
    const int64_t left = p.n - column;
    const int64_t vectors = (left + W<T> - 1) / W<T>;
    if (vectors >= kTileVectors) {
      unit_columns<T, kTileVectors>(p, column, left, panel, team);
      column += kTileVectors * W<T>;
      continue;
    }
    if constexpr (kTileVectors == 4) {
      if (vectors == 3) unit_columns<T, 3>(p, column, left, panel, team);
      if (vectors == 2) unit_columns<T, 2>(p, column, left, panel, team);
    }
    if (vectors == 1) unit_columns<T, 1>(p, column, left, panel, team);
    break;
  }
}

}  // namespace
}  // namespace rnncore
