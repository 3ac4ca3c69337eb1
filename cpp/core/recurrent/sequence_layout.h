// How the recurrent kernels lay weights and saved values out.
//
// Units go in blocks of U vectors. A block's pre-activations stand side by side,
// [unit vector][slot][W], so one tile of the product holds every gate of its units and the cell's pointwise
// math runs on registers. The tape keeps that layout: row (t, n), block, then `width` numbers.
#pragma once

#include "core/gemm.h"
#include "core/recurrent/sequence.h"

namespace rnncore {
namespace {

template <class T, class CellForm, int UnitVectors, class ProductElement = T>
struct Layout {
  using Type = T;
  using Form = CellForm;
  using Element = ProductElement;                   // of the products' factors
  using Number = typename Factor<Element>::Number;  // one number of those
  static constexpr int factor_numbers = Factor<Element>::numbers;
  static constexpr bool rounded = !std::is_same_v<T, Number>;
  static constexpr int U = UnitVectors;
  static constexpr int vectors = Form::slots * U;
  static constexpr int64_t units = U * W<T>;        // units of a block
  static constexpr int64_t width = vectors * W<T>;  // numbers of a block
  static constexpr int part_vectors = Form::gates * U;
  // The recurrent product's; more than one only where a single block holds all units.
  static constexpr int chains = kTileVectors / part_vectors > 1 ? kTileVectors / part_vectors : 1;

  static RNNCORE_INLINE int64_t blocks(int64_t H) { return (H + units - 1) / units; }
  static RNNCORE_INLINE int64_t padded(int64_t H) { return blocks(H) * units; }

  // Vector of the block that number i of a product's vectors adds to.
  static constexpr int part_vector(int i, int first_slot) {
    return i / Form::gates * Form::slots + first_slot + i % Form::gates;
  }
};

// Whether the products' factors are rounded to bfloat16, as pairs or as numbers of float.
template <class L>
RNNCORE_INLINE bool rounds(const SequenceShape& s) {
  if constexpr (std::is_same_v<typename L::Type, float>)
    return L::rounded || s.bfloat16;
  else
    return false;
}

// Blocks of units whose products for one row are made side by side: one block's sums alone would wait for the latency
// of each addition. On the portable level of x86-64 small is better than fast.
constexpr int kBlocksTogether = RNNCORE_VECTOR_BYTES > 16 || RNNCORE_VECTOR_REGISTERS > 16 ? 2 : 1;

// A thread's share of the rows: first, first + step, ...
struct RowShare {
  int64_t first, step, count;

  // How many of them are below `limit`.
  static RNNCORE_INLINE int64_t below(const RowShare& s, int64_t limit) {
    if (limit <= s.first) return 0;
    const int64_t n = (limit - s.first + s.step - 1) / s.step;
    return n < s.count ? n : s.count;
  }
};

RNNCORE_INLINE int64_t active_rows(const SequenceShape& s, int64_t t) {
  if (t >= s.steps) return 0;
  return s.offsets ? s.offsets[t + 1] - s.offsets[t] : s.rows;
}

constexpr int64_t kCellOperations = 16;  // pairs of them, of a number of the slots

// Operations of a row in one step for one block of units, about.
template <class L>
RNNCORE_INLINE int64_t step_operations(const SequenceShape& s) {
  return 2 * L::width * (s.inputs + s.units + kCellOperations);
}

// Steps beyond so many operations may stop in their middle, others every kChunkSteps.
constexpr int64_t kLongStep = kOperationsOfALook / 16;

// The same for all units.
RNNCORE_INLINE int64_t step_operations(const SequenceShape& s) {
  return 2 * gates_of(s.cell) * s.units * (s.inputs + s.units + kCellOperations);
}

// Rows of the tape before step t.
RNNCORE_INLINE int64_t step_offset(const SequenceShape& s, int64_t t) { return s.offsets ? s.offsets[t] : t * s.rows; }

template <class T>
RNNCORE_INLINE T* view_row(const SequenceView<T>& v, const SequenceShape& s, int64_t t, int64_t r) {
  return s.offsets ? v.data + (s.offsets[t] + r) * v.row : v.data + t * v.step + r * v.row;
}

// How a call is divided among the threads. Results never depend on it.
enum class Split { rows, units };

// A thread with rows to itself needs no barrier, but reads all weights in each step; threads that share a step's units
// read only theirs, for rows enough to fill the products' tiles. The fewer rows a thread would have, the nearer the
// weights must be for its rows to be the better share. Measured; docs/kernel_notes.md has the figures.
RNNCORE_INLINE Split choose_split(const SequenceShape& s, int threads, int64_t blocks, int64_t number_bytes) {
  constexpr int64_t kManyRows = 12, kSomeRows = 4;  // of a thread
  constexpr int64_t kLargeWeights = 8;              // second-level caches, with many rows
  constexpr int64_t kSomeRowsShare = 4;             // parts of a second-level cache
  constexpr int64_t kFewRowsShare = 32;
  if (threads == 1 || blocks < threads) return Split::rows;
  const int64_t gates = gates_of(s.cell);
  const int64_t rows = s.rows / threads, recurrent = gates * s.units * s.units * number_bytes;
  bool near = false;
  if (rows >= kManyRows)
    near = recurrent + gates * s.units * s.inputs * number_bytes <= kLargeWeights * s.cache_bytes;
  else if (rows >= kSomeRows)
    near = recurrent <= s.cache_bytes / kSomeRowsShare;
  else if (rows >= 1)
    near = recurrent <= s.cache_bytes / kFewRowsShare;
  return near ? Split::rows : Split::units;
}

// How many of up to `limit` threads finish a step of the sequence first. More need not be better: threads that share
// the units of a step wait for each other in each, the longer the more they are.
template <class L>
RNNCORE_INLINE int useful_threads(const SequenceShape& s, int limit) {
  if (limit <= 2) return limit;
  constexpr double kBarrier = 140;  // nanoseconds for each round
  constexpr double kRate = 14;      // operations in a nanosecond for each number of a vector
  const double gates = static_cast<double>(gates_of(s.cell));
  const double row = 2 * gates * static_cast<double>(s.units * (s.inputs + s.units)) / (kRate * W<typename L::Type>);
  // Few rows do not fill a tile, nor do they repay the way of the weights.
  const auto time = [&](int64_t rows) {
    const double r = static_cast<double>(rows);
    return row * (rows < kTileRows ? (r + 2) * kTileRows / (kTileRows + 2) : r);
  };
  const int64_t blocks = L::blocks(s.units);
  int best = 1;
  double least = time(s.rows);
  for (int threads = 2; threads <= limit; ++threads) {
    const bool by_rows = choose_split(s, threads, blocks, sizeof(typename L::Type)) == Split::rows;
    const double most = static_cast<double>((blocks + threads - 1) / threads) / static_cast<double>(blocks);
    const double t =
        by_rows ? time((s.rows + threads - 1) / threads) : time(s.rows) * most + kBarrier * barrier_rounds(threads);
    if (t < least) best = threads, least = t;
  }
  return best;
}

template <class T>
RNNCORE_INLINE RowShare row_share(const SequenceShape& s, const Team& team, Split split) {
  if (split == Split::units) return {0, 1, s.rows};
  // Rows of falling length are dealt out like cards, so that every thread gets long and short ones.
  if (s.offsets) return {team.thread, team.threads, (s.rows - team.thread + team.threads - 1) / team.threads};
  const Range range = team_range(s.rows, team, 1);
  return {range.begin, 1, range.end - range.begin};
}

// Hands out parts of a workspace on cache line boundaries; with a null base it only adds sizes up.
template <class T>
struct Workspace {
  T* base;
  int64_t used = 0;

  template <class P = T>
  static RNNCORE_INLINE P* take(Workspace& w, int64_t count) {
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(P)), size = 64 / static_cast<int64_t>(sizeof(T));
    T* p = w.base ? w.base + w.used : nullptr;
    w.used += (count + line - 1) / line * size;
    return reinterpret_cast<P*>(p);
  }
};

// Asks for all of `count` numbers at once, where what reads them would come to one line after another.
template <class T>
RNNCORE_INLINE void fetch_lines(const T* first, int64_t count) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  for (int64_t i = 0; i < count; i += line) __builtin_prefetch(first + i);
}

// Panels of this size come from beyond the second-level cache: while some rows meet one, the next is fetched, each tile
// of rows asking for its share.
RNNCORE_INLINE bool fetches_ahead(const SequenceShape& s, int64_t panel_bytes) {
  return panel_bytes > s.cache_bytes / 4;
}

// Place of the tile of rows that begins after `done` of `count` rows: what share of the next panel it fetches.
struct Progress {
  int64_t done, count;
};

// pre[r][·] += Σ_k a[r·a_row + k]·panel, panel [pass][k][vectors of the pass][W]; a pass is as wide as
// the registers allow. With Fetch, the panel behind this one is fetched.
template <class L, int FirstSlot, int Pass, int Rows, int Chains, bool Fetch, class V>
RNNCORE_INLINE void accumulate_part(int64_t depth, const typename L::Element* a, int64_t a_row,
                                    const typename L::Element* panel, Progress progress, V (&pre)[Rows][L::vectors]) {
  using T = typename L::Type;
  constexpr int first = Pass * kTileVectors;
  if constexpr (first < L::part_vectors) {
    constexpr int n = L::part_vectors - first < kTileVectors ? L::part_vectors - first : kTileVectors;
    V acc[Rows][n];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) acc[r][i] = pre[r][L::part_vector(first + i, FirstSlot)];
    const auto* part = panel + first * depth * W<T>;
    const char* ahead = nullptr;
    if constexpr (Fetch)
      ahead = reinterpret_cast<const char*>(panel + depth * L::part_vectors * W<T> +
                                            progress.done * n * depth * W<T> / progress.count);
    tile_accumulate<T, Rows, n, Chains, Fetch>(depth, a, a_row, 1, part, n * W<T>, acc, ahead);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) pre[r][L::part_vector(first + i, FirstSlot)] = acc[r][i];
    accumulate_part<L, FirstSlot, Pass + 1, Rows, Chains, Fetch>(depth, a, a_row, panel, progress, pre);
  }
}

}  // namespace
}  // namespace rnncore
