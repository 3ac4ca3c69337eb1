// Matrix products: one register tile, and a general product C (+)= A·B on top of it.
//
// Every element of C is one chain of multiply-adds in the order of k, whatever the tile, the block
// or the thread, so results do not depend on them.
#pragma once

#include <utility>

#include "core/bfloat16.h"

namespace rnncore {
namespace {

// Rows of a tile, and vectors side by side in one pass over k: accumulators stay in registers. On ARM each row's factor
// takes a register, too.
constexpr int kTileRows = RNNCORE_VECTOR_BYTES == 16 && RNNCORE_VECTOR_REGISTERS >= 32 ? 5 : 6;
constexpr int kTileVectors = RNNCORE_VECTOR_REGISTERS >= 32 ? 4 : 2;

// acc[0] += the other chains, pairwise.
template <int Chains, int Rows, int Vectors, class V>
RNNCORE_INLINE void add_chains(V (&acc)[Chains][Rows][Vectors]) {
#pragma GCC unroll 8
  for (int width = Chains / 2; width > 0; width /= 2)
#pragma GCC unroll 8
    for (int c = 0; c < width; ++c)
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) acc[c][r][v] += acc[c + width][r][v];
}

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
  add_chains(acc);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[r][v] = acc[0][r][v];
}

#if RNNCORE_VECTOR_BYTES == 64
// The same for one row whose W factors are the lanes of a vector, lane k going to chain k mod Chains: what a register
// hands on is there sooner than what memory does.
template <int Vectors, int Chains>
RNNCORE_INLINE void lanes_accumulate(__m512 a, const float* b, __m512 (&acc)[Chains][1][Vectors]) {
  const auto add = [&]<int k>() __attribute__((always_inline)) {
    const __m512 ak = broadcast_lane<k>(a);
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) acc[k % Chains][0][v] += ak * load(b + (k * Vectors + v) * W<float>);
  };
  [&]<int... k>(std::integer_sequence<int, k...>) __attribute__((always_inline)) {
    (add.template operator()<k>(), ...);
  }(std::make_integer_sequence<int, W<float>>());
}
#endif

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

// Numbers of k that a panel of B holds, and panels that each strip of A meets before the next one; they fit a
// second-level cache.
constexpr int64_t kDepthBlock = 256;
constexpr int64_t kGroup = 4;
constexpr int64_t kFarFactors = 1 << 15;  // numbers of A and B beyond which they are fetched ahead
constexpr int64_t kPauseRows = 96;        // rows of C after which a product may stop

// Elements of workspace that `product` needs for each thread.
template <class T>
RNNCORE_INLINE int64_t product_workspace() {
  return kDepthBlock * kGroup * kTileVectors * W<T>;
}

// Part of B: its rows [k0, k0 + depth) and columns [column, column + width).
struct Block {
  int64_t k0, depth, column, width;
};

template <class T, int Rows, int Vectors>
RNNCORE_INLINE void product_tile(const Product<T>& p, int64_t row, const Block& block, const T* a, int64_t a_row,
                                 int64_t a_k, const T* b, int64_t b_k) {
  Vec<T> acc[Rows][Vectors];
  T* c = p.c + row * p.c_row + block.column;
  const bool whole = block.width >= Vectors * W<T>;
  const T* start = block.k0 > 0 || p.accumulate ? c : p.bias ? p.bias + block.column : nullptr;
  const int64_t start_row = start == c ? p.c_row : 0;
  if (!start) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) acc[r][v] = Vec<T>{};
  } else if (whole) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) acc[r][v] = load(start + r * start_row + v * W<T>);
  } else {
#pragma GCC unroll 1
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 1
      for (int v = 0; v < Vectors; ++v) {
        const int64_t left = block.width - v * W<T>;
        acc[r][v] = left > 0 ? load_partial(start + r * start_row + v * W<T>, left) : Vec<T>{};
      }
  }
  tile_accumulate<T, Rows, Vectors>(block.depth, a, a_row, a_k, b, b_k, acc);
  if (whole) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) store(c + r * p.c_row + v * W<T>, acc[r][v]);
    return;
  }
#pragma GCC unroll 1
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 1
    for (int v = 0; v < Vectors; ++v)
      if (const int64_t left = block.width - v * W<T>; left > 0)
        store_partial(c + r * p.c_row + v * W<T>, acc[r][v], left);
}

template <class T, int Vectors>
static __attribute__((noinline)) void product_rows(int64_t rows, const Product<T>& p, int64_t row, const Block& block,
                                                   const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_k) {
  switch (rows) {
    case 1: return product_tile<T, 1, Vectors>(p, row, block, a, a_row, a_k, b, b_k);
    case 2: return product_tile<T, 2, Vectors>(p, row, block, a, a_row, a_k, b, b_k);
    case 3: return product_tile<T, 3, Vectors>(p, row, block, a, a_row, a_k, b, b_k);
    case 4: return product_tile<T, 4, Vectors>(p, row, block, a, a_row, a_k, b, b_k);
    case 5: return product_tile<T, 5, Vectors>(p, row, block, a, a_row, a_k, b, b_k);
    default: return product_tile<T, kTileRows, Vectors>(p, row, block, a, a_row, a_k, b, b_k);
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

// C of `rows` rows and a block's columns (+)= A·block, A's rows beginning at `a`; `b` is the block, or a copy.
template <class T>
RNNCORE_INLINE void block_product(int64_t rows, const Product<T>& p, int64_t row, const Block& block, const T* a,
                                  const T* b, int64_t b_k) {
  switch (panel_width<T>(block.width)) {
    case 1: return product_rows<T, 1>(rows, p, row, block, a, p.a_row, p.a_k, b, b_k);
    case 2: return product_rows<T, 2>(rows, p, row, block, a, p.a_row, p.a_k, b, b_k);
    default: return product_rows<T, kTileVectors>(rows, p, row, block, a, p.a_row, p.a_k, b, b_k);
  }
}

// Copies a block to panel [depth][vectors·W], zero beyond the last column.
template <class T>
static void pack_columns(const Product<T>& p, const Block& block, T* panel) {
  const auto [k0, depth, column, width] = block;
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

// Asks for the cache lines of runs [begin, end) of numbers, `stride` apart.
template <class T>
RNNCORE_INLINE void fetch_runs(const T* first, Range runs, int64_t length, int64_t stride) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  for (int64_t i = runs.begin; i < runs.end; ++i)
    for (int64_t j = 0; j < length; j += line) __builtin_prefetch(first + i * stride + j, 0, 2);
}

// Asks for a share of a block: that of `part` in [0, parts).
template <class T>
RNNCORE_INLINE void fetch_block(const Product<T>& p, const Block& block, Range part, int64_t parts) {
  const bool by_row = p.b_column == 1;
  const int64_t runs = by_row ? block.depth : block.width;
  fetch_runs(p.b + block.k0 * p.b_k + block.column * p.b_column, {runs * part.begin / parts, runs * part.end / parts},
             by_row ? block.width : block.depth, by_row ? p.b_k : p.b_column);
}

// The whole product by a team; `workspace` is this thread's own (product_workspace<T>() elements).
// No barrier inside: the caller separates it from whatever reads C.
template <class T>
static void product(const Product<T>& p, const Team& team, T* workspace) {
  constexpr int64_t full = kTileVectors * W<T>, panel_size = kDepthBlock * full;
  const int64_t panels = (p.n + full - 1) / full;
  // Threads share out whole panels when there are enough of them and B is the larger factor, rows otherwise: each then
  // reads little more than its share of that one.
  const bool by_column = (panels >= 2 * team.threads && p.n >= p.m) || p.m < kTileRows * team.threads;
  const Range mine = by_column ? team_range(panels, team, 1) : Range{0, panels};
  const Range rows = by_column ? Range{0, p.m} : team_range(p.m, team, kTileRows);
  if (rows.begin >= rows.end) return;
  const bool fetches = p.k * (p.m + p.n) >= kFarFactors;
  // A group of panels, or panel number `g` of it; empty beyond the last.
  const auto group_at = [&](int64_t j, int64_t k0) -> Block {
    const int64_t end = (j + kGroup < mine.end ? j + kGroup : mine.end) * full;
    return {k0, p.k - k0 < kDepthBlock ? p.k - k0 : kDepthBlock, j * full, (end < p.n ? end : p.n) - j * full};
  };
  const auto panel_of = [&](const Block& group, int64_t g) -> Block {
    const int64_t left = group.width - g * full;
    return {group.k0, group.depth, group.column + g * full, left < full ? left : full};
  };
  for (int64_t j = mine.begin; j < mine.end; j += kGroup)
    for (int64_t k0 = 0; k0 == 0 || k0 < p.k; k0 += kDepthBlock) {
      const Block group = group_at(j, k0);
      const Block next = k0 + kDepthBlock < p.k  ? group_at(j, k0 + kDepthBlock)
                         : j + kGroup < mine.end ? group_at(j + kGroup, 0)
                                                 : Block{};
      // Few rows cannot repay the copy of B.
      const auto direct = [&](const Block& panel) {
        return p.b_column == 1 && panel.width == full && rows.end - rows.begin <= 2 * kTileRows;
      };
      const int64_t count = (group.width + full - 1) / full;
      for (int64_t g = 0; g < count; ++g)
        if (const Block panel = panel_of(group, g); !direct(panel)) pack_columns(p, panel, workspace + g * panel_size);
      for (int64_t i = rows.begin, pause = i; i < rows.end;) {
        if (i >= pause) {
          may_stop(team, kPauseRows * group.depth * 2 * count * full);
          pause += kPauseRows;
        }
        const int64_t here = tile_rows(rows.end - i);
        const T* a = p.a + i * p.a_row + k0 * p.a_k;
        // What comes next is on its way while this strip's products run.
        if (fetches) fetch_block(p, next, {i - rows.begin, i + here - rows.begin}, rows.end - rows.begin);
        if (fetches && p.a_k == 1 && i + here < rows.end)
          fetch_runs(a + here * p.a_row, {0, tile_rows(rows.end - i - here)}, group.depth, p.a_row);
        for (int64_t g = 0; g < count; ++g) {
          const Block panel = panel_of(group, g);
          if (direct(panel))
            block_product(here, p, i, panel, a, p.b + k0 * p.b_k + panel.column, p.b_k);
          else
            block_product(here, p, i, panel, a, workspace + g * panel_size, panel_width<T>(panel.width) * W<T>);
        }
        i += here;
      }
    }
}

}  // namespace
}  // namespace rnncore
