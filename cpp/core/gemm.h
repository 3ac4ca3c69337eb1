// Matrix products: one register tile, and a general product C (+)= A·B on top of it.
//
// Every element of C is one chain of multiply-adds in the order of k, whatever the tile, the block
// or the thread, so results do not depend on them.
#pragma once

#include "core/bfloat16.h"

namespace rnncore {
namespace {

// Rows of a tile, and vectors side by side in one pass over k: accumulators stay in registers.
constexpr int kTileRows = 6;
constexpr int kTileVectors = RNNCORE_VECTOR_REGISTERS >= 32 ? 4 : 2;

// sum[r][v] += Σ_k a[r·a_row + k·a_k] · b[k·b_k + v·W], elements P being numbers or pairs of bfloat16
//
// With several chains, number k goes to chain k mod Chains and the chains are added up pairwise at the end: a tile of
// few accumulators would otherwise wait for the latency of each addition. The number of chains must follow from the
// sizes of the layer alone, never from the rows.
//
// With Fetch, a cache line at `ahead` is asked for at each k: what the next products read is then on its way.
template <class T, int Rows, int Vectors, int Chains = 1, bool Fetch = false, class P = T>
RNNCORE_INLINE void tile_accumulate(int64_t depth, const P* a, int64_t a_row, int64_t a_k, const P* b, int64_t b_k,
                                    Vec<T> (&sum)[Rows][Vectors], const char* ahead = nullptr) {
  // Copied, so that the accumulators live in registers whatever the caller does with its array.
  Vec<T> acc[Chains][Rows][Vectors];
#pragma GCC unroll 8
  for (int c = 0; c < Chains; ++c)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) acc[c][r][v] = c == 0 ? sum[r][v] : Vec<T>{};
  const auto add = [&](int c) __attribute__((always_inline)) {
    Vec<P> bv[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) bv[v] = load(b + v * W<P>);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec<P> ar = broadcast(a[r * a_row]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) multiply_add(acc[c][r][v], ar, bv[v]);
    }
    a += a_k;
    b += b_k;
    if constexpr (Fetch) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += 64;
    }
  };
  int64_t k = 0;
  for (; k + Chains <= depth; k += Chains)
#pragma GCC unroll 8
    for (int c = 0; c < Chains; ++c) add(c);
  if constexpr (Chains > 1)
#pragma GCC unroll 8
    for (int c = 0; c < Chains - 1; ++c)
      if (k + c < depth) add(c);
#pragma GCC unroll 8
  for (int width = Chains / 2; width > 0; width /= 2)
#pragma GCC unroll 8
    for (int c = 0; c < width; ++c)
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) acc[c][r][v] += acc[c + width][r][v];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[r][v] = acc[0][r][v];
}

// C[m][n] (+)= Σ_k A[m][k]·B[k][n], element (m, k) of A at a[m·a_row + k·a_k], likewise B and C
// (columns of C contiguous). With `accumulate` C is added to, otherwise it starts from bias[n] or zero.
template <class T>
struct Product {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_k;
  const T* b;
  int64_t b_k, b_column;
  T* c;
  int64_t c_row;
  const T* bias;  // (n,) or null
  bool accumulate;
};

// Numbers of k that a panel of B holds, and panels that each strip of A meets before the next one: it is packed once
// for all of them, and they fit a second-level cache.
constexpr int64_t kDepthBlock = 256;
constexpr int64_t kGroup = 4;

// Elements of workspace that `product` needs for each thread.
template <class T>
RNNCORE_INLINE int64_t product_workspace() {
  return kDepthBlock * (kGroup * kTileVectors * W<T> + kTileRows) + 64;
}

template <class T, int Rows, int Vectors>
RNNCORE_INLINE void product_tile(const Product<T>& p, int64_t row, int64_t column, int64_t width, int64_t depth,
                                 bool first, const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_k) {
  Vec<T> acc[Rows][Vectors];
  T* c = p.c + row * p.c_row + column;
#pragma GCC unroll 1
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 1
    for (int v = 0; v < Vectors; ++v) {
      const int64_t left = width - v * W<T>;
      if (left <= 0)
        acc[r][v] = Vec<T>{};
      else if (!first || p.accumulate)
        acc[r][v] = load_partial(c + r * p.c_row + v * W<T>, left);
      else
        acc[r][v] = p.bias ? load_partial(p.bias + column + v * W<T>, left) : Vec<T>{};
    }
  }
  tile_accumulate<T, Rows, Vectors>(depth, a, a_row, a_k, b, b_k, acc);
#pragma GCC unroll 1
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 1
    for (int v = 0; v < Vectors; ++v) {
      const int64_t left = width - v * W<T>;
      if (left > 0) store_partial(c + r * p.c_row + v * W<T>, acc[r][v], left);
    }
  }
}

template <class T, int Vectors>
static __attribute__((noinline)) void product_rows(int64_t rows, const Product<T>& p, int64_t row, int64_t column,
                                                   int64_t width, int64_t depth, bool first, const T* a, int64_t a_row,
                                                   int64_t a_k, const T* b, int64_t b_k) {
  switch (rows) {
    case 1: return product_tile<T, 1, Vectors>(p, row, column, width, depth, first, a, a_row, a_k, b, b_k);
    case 2: return product_tile<T, 2, Vectors>(p, row, column, width, depth, first, a, a_row, a_k, b, b_k);
    case 3: return product_tile<T, 3, Vectors>(p, row, column, width, depth, first, a, a_row, a_k, b, b_k);
    case 4: return product_tile<T, 4, Vectors>(p, row, column, width, depth, first, a, a_row, a_k, b, b_k);
    case 5: return product_tile<T, 5, Vectors>(p, row, column, width, depth, first, a, a_row, a_k, b, b_k);
    default: return product_tile<T, 6, Vectors>(p, row, column, width, depth, first, a, a_row, a_k, b, b_k);
  }
}

// Rows of the next tile when `rows` are left: full tiles, the last two balanced.
RNNCORE_INLINE int64_t tile_rows(int64_t rows) {
  if (rows >= 2 * kTileRows) return kTileRows;
  return rows > kTileRows ? (rows + 1) / 2 : rows;
}

// Vectors of a panel of `width` columns: the last one may be narrower.
template <class T>
RNNCORE_INLINE int panel_width(int64_t width) {
  if (kTileVectors >= 4 && width > 2 * W<T>) return 4;
  return width > W<T> ? 2 : 1;
}

// Copies B[k0.., column..] to panel [depth][vectors·W], zero beyond the last column.
template <class T>
static void pack_columns(const Product<T>& p, int64_t k0, int64_t depth, int64_t column, int64_t width, T* panel) {
  const int vectors = panel_width<T>(width);
  const int64_t full = vectors * W<T>;
  const T* b = p.b + k0 * p.b_k + column * p.b_column;
  if (p.b_column == 1 && width == full) {
    for (int64_t k = 0; k < depth; ++k)
      for (int v = 0; v < vectors; ++v) store(panel + k * full + v * W<T>, load(b + k * p.b_k + v * W<T>));
  } else if (p.b_k == 1 && depth >= W<T>) {
    // Whole squares; the last one overlaps the one before.
    for (int64_t k = 0; k < depth; k = k + 2 * W<T> <= depth || k + W<T> == depth ? k + W<T> : depth - W<T>)
      for (int v = 0; v < vectors; ++v)
        transpose(b + v * W<T> * p.b_column + k, p.b_column, width - v * W<T>, W<T>, panel + k * full + v * W<T>, full);
  } else {
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t j = 0; j < full; ++j) panel[k * full + j] = j < width ? b[k * p.b_k + j * p.b_column] : T(0);
  }
}

// Copies A[row.., k0..] to panel [depth][rows].
template <class T>
RNNCORE_INLINE void pack_rows(const Product<T>& p, int64_t k0, int64_t depth, int64_t row, int64_t rows, T* panel) {
  const T* a = p.a + row * p.a_row + k0 * p.a_k;
  if (p.a_row == 1) {
    // Whole vectors, whose rest the next ones overwrite: there is a vector of slack behind the panel.
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t r = 0; r < rows; r += W<T>) store(panel + k * rows + r, load_partial(a + k * p.a_k + r, rows - r));
    return;
  }
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t r = 0; r < rows; ++r) panel[k * rows + r] = a[r * p.a_row + k * p.a_k];
}

// The whole product by a team; `workspace` is this thread's own (product_workspace<T>() elements).
// No barrier inside: the caller separates it from whatever reads C.
template <class T>
static void product(const Product<T>& p, const Team& team, T* workspace) {
  constexpr int64_t full = kTileVectors * W<T>;
  const int64_t panels = (p.n + full - 1) / full;
  // Threads share out whole panels when there are enough of them and B is the larger factor, rows otherwise: each then
  // reads little more than its share of that one.
  const bool by_column = (panels >= 2 * team.threads && p.n >= p.m) || p.m < kTileRows * team.threads;
  const Range columns = by_column ? team_range(panels, team, 1) : Range{0, panels};
  const Range rows = by_column ? Range{0, p.m} : team_range(p.m, team, kTileRows);
  if (rows.begin >= rows.end) return;
  T* panels_of_group = workspace;                      // [kGroup][kDepthBlock][full]
  T* strip = workspace + kGroup * kDepthBlock * full;  // [kDepthBlock][kTileRows]
  for (int64_t j = columns.begin; j < columns.end; j += kGroup) {
    const int64_t group = columns.end - j < kGroup ? columns.end - j : kGroup;
    for (int64_t k0 = 0; k0 == 0 || k0 < p.k; k0 += kDepthBlock) {
      const int64_t depth = p.k - k0 < kDepthBlock ? p.k - k0 : kDepthBlock;
      // Few rows cannot repay the copy of B.
      const auto direct = [&](int64_t width) {
        return p.b_column == 1 && width == full && rows.end - rows.begin <= 2 * kTileRows;
      };
      for (int64_t g = 0; g < group; ++g) {
        const int64_t column = (j + g) * full, width = p.n - column < full ? p.n - column : full;
        if (!direct(width)) pack_columns(p, k0, depth, column, width, panels_of_group + g * kDepthBlock * full);
      }
      for (int64_t i = rows.begin; i < rows.end;) {
        const int64_t count = tile_rows(rows.end - i);
        const T* a = p.a + i * p.a_row + k0 * p.a_k;
        int64_t a_row = p.a_row, a_k = p.a_k;
        if (p.a_k != 1) {
          pack_rows(p, k0, depth, i, count, strip);
          a = strip, a_row = 1, a_k = count;
        }
        for (int64_t g = 0; g < group; ++g) {
          const int64_t column = (j + g) * full, width = p.n - column < full ? p.n - column : full;
          const int vectors = panel_width<T>(width);
          const T* b = panels_of_group + g * kDepthBlock * full;
          int64_t b_k = vectors * W<T>;
          if (direct(width)) b = p.b + k0 * p.b_k + column, b_k = p.b_k;
          if (vectors == 1)
            product_rows<T, 1>(count, p, i, column, width, depth, k0 == 0, a, a_row, a_k, b, b_k);
          else if (vectors == 2)
            product_rows<T, 2>(count, p, i, column, width, depth, k0 == 0, a, a_row, a_k, b, b_k);
          else
            product_rows<T, kTileVectors>(count, p, i, column, width, depth, k0 == 0, a, a_row, a_k, b, b_k);
        }
        i += count;
      }
    }
  }
}

}  // namespace
}  // namespace rnncore
