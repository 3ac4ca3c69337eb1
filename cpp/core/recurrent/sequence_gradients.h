// Products of the backward pass with transposed weights, dS·Wᵀ and dS·Uᵀ, dS being the slot gradients; of them the
// long one, dx.
#pragma once

#include "core/recurrent/sequence_layout.h"

namespace rnncore {
namespace {

// Vectors of the next panel when `left` are left.
RNNCORE_INLINE int panel_vectors(int64_t left) {
  if (kTileVectors >= 4 && left >= 4) return 4;
  return left >= 2 ? 2 : 1;
}

// Where the factors of a product lie in a row: `count` runs of `depth` elements, `stride` apart.
struct Runs {
  int64_t count, depth, stride;
};

template <class T, int Rows, int Vectors, int Chains, bool Fetch, class P>
static void run_products(const Runs& runs, const P* a, int64_t a_row, const P* panel, Vec<T>* sum,
                         const char* ahead = nullptr) {
  Vec<T> acc[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) acc[r][v] = sum[r * Vectors + v];
  for (int64_t i = 0; i < runs.count; ++i)
    tile_accumulate<T, Rows, Vectors, Chains, Fetch>(runs.depth, a + i * runs.stride, a_row, 1,
                                                     panel + i * runs.depth * Vectors * W<T>, Vectors * W<T>, acc,
                                                     Fetch ? ahead + i * runs.depth * 64 : nullptr);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[r * Vectors + v] = acc[r][v];
}

template <class T, int Vectors, int Chains, class P>
RNNCORE_INLINE void run_products(int64_t rows, const Runs& runs, const P* a, int64_t a_row, const P* panel,
                                 Vec<T>* sum) {
  switch (rows) {
    case 1: return run_products<T, 1, Vectors, Chains, false>(runs, a, a_row, panel, sum);
    case 2: return run_products<T, 2, Vectors, Chains, false>(runs, a, a_row, panel, sum);
    case 3: return run_products<T, 3, Vectors, Chains, false>(runs, a, a_row, panel, sum);
    case 4: return run_products<T, 4, Vectors, Chains, false>(runs, a, a_row, panel, sum);
    case 5: return run_products<T, 5, Vectors, Chains, false>(runs, a, a_row, panel, sum);
    default: return run_products<T, kTileRows, Vectors, Chains, false>(runs, a, a_row, panel, sum);
  }
}

// Transposed weights for products with slot gradients: panel [block][slot vector][W][columns], columns being
// the rows of the weight matrix (inputs or units of the step before). Pairs stand along W.
template <class L>
struct TransposedPanels {
  using T = typename L::Type;
  using Element = typename L::Element;
  Element* data;
  int64_t columns, H;
  int first_slot;
  bool chained;  // rows may be few, so latency counts
  bool rounded;  // columns to bfloat16, as numbers of float

  int64_t column_vectors() const { return (columns + W<T> - 1) / W<T>; }
  static constexpr int64_t part_depth = L::part_vectors * W<T> / L::factor_numbers;  // of a block
  int64_t depth() const { return L::blocks(H) * part_depth; }
  static int64_t size(int64_t columns, int64_t H) {
    const int64_t padded = (columns + L::units - 1) / L::units * L::units;
    return padded * L::blocks(H) * part_depth;
  }

  // The panel whose first vector of columns is `first`.
  Element* panel(int64_t first) const { return data + first * W<T> * depth(); }

  Runs runs(int64_t count) const {
    // The slots of a product may be some of a block's only.
    const bool whole = L::Form::gates == L::Form::slots && !L::rounded;
    return {whole ? 1 : count, whole ? count * part_depth : part_depth, L::width};
  }

  // The product's factors in a row of slot gradients, from a block on.
  const Element* factors(const T* dslots, int64_t block) const {
    return reinterpret_cast<const Element*>(dslots + block * L::width) +
           (L::Form::gates == L::Form::slots ? 0 : first_slot * W<T> / L::factor_numbers);
  }

  // Packs the panels of `vectors`, or this thread's share of them; a panel's place depends on its first
  // vector only.
  void pack(const T* weights, Range vectors, const Team& team = {0, 1, nullptr}) const {
    int64_t number = 0;
    for (int64_t first = vectors.begin; first < vectors.end; ++number) {
      const int count = panel_vectors(vectors.end - first);
      if (number % team.threads == team.thread) pack_panel(weights, first, count);
      first += count;
    }
  }

  void pack_panel(const T* weights, int64_t first, int vectors) const {
    Element* panel = this->panel(first);
    const int64_t width = vectors * W<T>;
    const int64_t row_size = L::Form::gates * H;
    const bool input_part = first_slot == L::Form::input_slot;
    for (int v = 0; v < vectors; ++v) {
      const int64_t column = (first + v) * W<T>;
      Element* out = panel + v * W<T>;
      for (int64_t block = 0; block < L::blocks(H); ++block)
        for (int i = 0; i < L::part_vectors; ++i) {
          const int slot = first_slot + i % L::Form::gates;
          const int gate = input_part ? L::Form::input_gate(slot) : L::Form::recurrent_gate(slot);
          const int64_t unit = block * L::units + i / L::Form::gates * W<T>;
          const T* from = weights + column * row_size + gate * H + unit;
          if constexpr (L::rounded) {
            T square[W<T> * W<T>];
            transpose(from, row_size, columns - column, H - unit, square, W<T>);
            for (int64_t k = 0; k < W<T>; k += 2)
              store(out + k / 2 * width, pair_up(round_to_bfloat16(load(square + k * W<T>)),
                                                 round_to_bfloat16(load(square + (k + 1) * W<T>))));
          } else {
            transpose(from, row_size, columns - column, H - unit, out, width);
            if constexpr (std::is_same_v<T, float>)
              for (int64_t k = 0; k < (rounded ? W<T> : 0); ++k) store_rounded(out + k * width, load(out + k * width));
          }
          out += W<T> / L::factor_numbers * width;
        }
    }
  }

  // Where a tile of rows begins to fetch its share of what follows a slice of a panel.
  const char* slice_behind(int vectors, int64_t first, Range blocks, Progress progress) const {
    const int64_t size = (blocks.end - blocks.begin) * part_depth * vectors * W<T>;
    return reinterpret_cast<const char*>(data + (first * depth() + blocks.end * part_depth * vectors) * W<T> +
                                         progress.done * size / progress.count);
  }

  // sum [rows][vectors] += slot gradients of `rows` rows in `blocks` times the panel that starts at `first`.
  // `ahead` is null, or what is to be fetched meanwhile.
  void accumulate(int64_t rows, int vectors, const T* dslots, int64_t row_stride, int64_t first, Range blocks,
                  Vec<T>* sum, const char* ahead = nullptr) const {
    const Element* panel = data + (first * depth() + blocks.begin * part_depth * vectors) * W<T>;
    const Element* a = factors(dslots, blocks.begin);
    const Runs part = runs(blocks.end - blocks.begin);
    // A matrix of one or two vectors of columns leaves registers for several chains. Their number follows from
    // the matrix, not from the panel, which depends on the threads.
    const int chains =
        chained && column_vectors() < kTileVectors ? kTileVectors / static_cast<int>(column_vectors()) : 1;
    if (vectors == 1) {
      if (chains == 4) return run_products<T, 1, 4>(rows, part, a, row_stride, panel, sum);
      if (chains == 2) return run_products<T, 1, 2>(rows, part, a, row_stride, panel, sum);
      return run_products<T, 1, 1>(rows, part, a, row_stride, panel, sum);
    }
    if (vectors == 2) {
      if (chains == 2) return run_products<T, 2, 2>(rows, part, a, row_stride, panel, sum);
      return run_products<T, 2, 1>(rows, part, a, row_stride, panel, sum);
    }
    if (ahead && rows == kTileRows)
      run_products<T, kTileRows, kTileVectors, 1, true>(part, a, row_stride, panel, sum, ahead);
    else if (ahead && rows == kTileRows - 1)
      run_products<T, kTileRows - 1, kTileVectors, 1, true>(part, a, row_stride, panel, sum, ahead);
    else
      run_products<T, kTileVectors, 1>(rows, part, a, row_stride, panel, sum);
  }
};

// Panels far larger than their share of the second-level cache are cut along the depth into slices, each of which meets
// a band of rows before the next one; the sums wait meanwhile. Each element's order of additions stays what it was.
constexpr int64_t kBandRows = 128;

// Blocks of a slice, or 0 when products take the whole depth at once.
template <class L>
RNNCORE_INLINE int64_t slice_blocks(const SequenceShape& s) {
  const int64_t block_bytes = TransposedPanels<L>::part_depth * kTileVectors * RNNCORE_VECTOR_BYTES;
  const int64_t slice = s.cache_bytes / 4 / block_bytes;
  return s.rows > kTileRows && L::blocks(s.units) > 2 * slice ? slice : 0;
}

// sums [rows][vectors] += slot gradients of a band of rows, `row_stride` apart, times a panel.
template <class L>
RNNCORE_INLINE void accumulate_band(const TransposedPanels<L>& panels, int64_t slice, int64_t rows, int vectors,
                                    const typename L::Type* dslots, int64_t row_stride, int64_t first,
                                    Vec<typename L::Type>* sums) {
  const int64_t blocks = L::blocks(panels.H);
  if (slice == 0) slice = blocks;
  for (int64_t b = 0; b < blocks; b += slice) {
    const Range part{b, b + slice < blocks ? b + slice : blocks};
    for (int64_t i = 0; i < rows;) {
      const int64_t count = tile_rows(rows - i);
      const char* ahead = slice < blocks ? panels.slice_behind(vectors, first, part, {i, rows}) : nullptr;
      panels.accumulate(count, vectors, dslots + i * row_stride, row_stride, first, part, sums + i * vectors, ahead);
      i += count;
    }
  }
}

// Whether dx has so few columns that their vectors would be padding for the most part: it is then added up lane by
// lane.
template <class L>
RNNCORE_INLINE bool has_narrow_inputs(const SequenceShape& s) {
  return !rounds<L>(s) && 4 * s.inputs <= W<typename L::Type>;
}

// sum [rows][Inputs] = products of some rows' slot gradients with the rows of the input weights, `weight` being where
// those begin; their lanes are still to be added up.
template <class L, int Inputs>
static __attribute__((noinline)) void narrow_products(int64_t H, const typename L::Type* const* row,
                                                      const typename L::Type* const* weight,
                                                      Vec<typename L::Type>* sum) {
  using T = typename L::Type;
  constexpr int rows = W<T> / Inputs;
  Vec<T> acc[rows][Inputs];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int i = 0; i < Inputs; ++i) acc[r][i] = Vec<T>{};
  for (int64_t block = 0; block < L::blocks(H); ++block)
#pragma GCC unroll 4
    for (int part = 0; part < L::part_vectors; ++part) {
      const int64_t unit = block * L::units + part / L::Form::gates * W<T>;
      if (unit >= H) break;
      const int vector = L::part_vector(part, L::Form::input_slot);
      const int64_t column = L::Form::input_gate(vector % L::Form::slots) * H + unit;
      Vec<T> w[Inputs];
#pragma GCC unroll 8
      for (int i = 0; i < Inputs; ++i) w[i] = load_partial(weight[i] + column, H - unit);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        const Vec<T> d = load(row[r] + block * L::width + vector * W<T>);
#pragma GCC unroll 8
        for (int i = 0; i < Inputs; ++i) acc[r][i] += d * w[i];
      }
    }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int i = 0; i < Inputs; ++i) sum[r * Inputs + i] = acc[r][i];
}

// dx of `count` rows of at most `Inputs` numbers, from the weights as they are; as many rows at a time as fill a
// vector.
template <class L, int Inputs, template <class> class Plan>
static void narrow_input_gradient(const Plan<L>& p, int64_t count, const typename L::Type* dslots, int64_t dslots_row,
                                  typename L::Type* dx, int64_t dx_row, const Team& team) {
  using T = typename L::Type;
  const int64_t I = p.shape.inputs, H = p.shape.units;
  constexpr int rows = W<T> / Inputs;
  // The last ones again where there are fewer.
  const T *row[rows], *weight[Inputs];
  for (int i = 0; i < Inputs; ++i) weight[i] = p.kernel() + (i < I ? i : I - 1) * L::Form::gates * H;
  for (int64_t first = 0; first < count; first += rows) {
    if (first % kBandRows == 0) may_stop(team, kBandRows * 2 * Inputs * L::Form::gates * H);
    for (int r = 0; r < rows; ++r) row[r] = dslots + (first + r < count ? first + r : count - 1) * dslots_row;
    Vec<T> sum[W<T>];
    narrow_products<L, Inputs>(H, row, weight, sum);
    const Vec<T> sums = add_lanes<T>(sum);
    const int64_t here = count - first < rows ? count - first : rows;
    T* to = dx + first * dx_row;
    if (I == Inputs && dx_row == I) {
      store_partial(to, sums, here * I);
      continue;
    }
    T number[W<T>];
    store(number, sums);
    for (int64_t r = 0; r < here; ++r)
      for (int64_t i = 0; i < I; ++i) to[r * dx_row + i] = number[r * Inputs + i];
  }
}

// dx of `count` rows at equal distances. A band of rows that stays in cache meets every panel.
template <class L, template <class> class Plan>
static void input_gradient_rows(const Plan<L>& p, int64_t count, const typename L::Type* dslots, int64_t dslots_row,
                                typename L::Type* dx, int64_t dx_row, const Team& team) {
  using T = typename L::Type;
  if (has_narrow_inputs<L>(p.shape)) {
    if (p.shape.inputs == 1) return narrow_input_gradient<L, 1>(p, count, dslots, dslots_row, dx, dx_row, team);
    if constexpr (W<T> >= 16)
      if (p.shape.inputs > 2) return narrow_input_gradient<L, 4>(p, count, dslots, dslots_row, dx, dx_row, team);
    return narrow_input_gradient<L, 2>(p, count, dslots, dslots_row, dx, dx_row, team);
  }
  const int64_t columns = p.weights.input.column_vectors();
  Vec<T> sums[kBandRows * kTileVectors];
  for (int64_t band = 0; band < count; band += kBandRows) {
    const int64_t rows = count - band < kBandRows ? count - band : kBandRows;
    for (int64_t first = 0; first < columns;) {
      const int vectors = panel_vectors(columns - first);
      may_stop(team, rows * vectors * 2 * W<T> * L::Form::gates * p.shape.units);
      for (int64_t i = 0; i < rows * vectors; ++i) sums[i] = Vec<T>{};
      accumulate_band(p.weights.input, p.slice, rows, vectors, dslots + band * dslots_row, dslots_row, first, sums);
      for (int64_t r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) {
          const int64_t column = (first + v) * W<T>;
          store_partial(dx + (band + r) * dx_row + column, sums[r * vectors + v], p.shape.inputs - column);
        }
      first += vectors;
    }
  }
}

// Rows are shared out; where they are not evenly spaced, row by row over time or step by step.
template <class L, template <class> class Plan>
static void input_gradient(const Plan<L>& p, const Team& team) {
  const SequenceShape& s = p.shape;
  const auto& dx = p.call.dx;
  const int64_t tape_row = p.forward.tape_row;
  const int64_t total = step_offset(s, s.steps);
  if (s.offsets || dx.step == s.rows * dx.row) {
    const Range r = team_range(total, team, kTileRows);
    input_gradient_rows(p, r.end - r.begin, p.dslots + r.begin * tape_row, tape_row, dx.data + r.begin * dx.row, dx.row,
                        team);
  } else if (s.rows >= s.steps) {
    for (int64_t t = 0; t < s.steps; ++t) {
      const Range r = team_range(s.rows, team, 1);
      input_gradient_rows(p, r.end - r.begin, p.dslots_row(t, r.begin), tape_row, view_row(dx, s, t, r.begin), dx.row,
                          team);
    }
  } else {
    const Range steps = team_range(s.steps, team, 1);
    for (int64_t r = 0; r < s.rows; ++r)
      input_gradient_rows(p, steps.end - steps.begin, p.dslots_row(steps.begin, r), s.rows * tape_row,
                          view_row(dx, s, steps.begin, r), dx.step, team);
  }
}

}  // namespace
}  // namespace rnncore
