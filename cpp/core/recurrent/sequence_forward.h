// The forward pass of any cell over time.
//
// Weights are packed once. Then each step adds both products to the bias in registers, runs the cell and stores
// h, c and, for training, the slots. With few rows the input product is made for several steps at
// a time, since its rows can then fill a tile.
//
// Where the products take rounded factors, the input is rounded ahead of the steps, weights while they are packed, and
// h beside the h that is kept.
#pragma once

#include "core/recurrent/cell_kernels.h"
#include "core/recurrent/compact_weights.h"

namespace rnncore {
namespace {

// Where the input products of some rows are.
template <class L>
static __attribute__((noinline)) void find_made(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step,
                                                int rows, int64_t block, const typename L::Type** made) {
  for (int r = 0; r < rows; ++r) made[r] = p.made(t, row + r * row_step, block);
}

// The bias plus the input products of one step for `Rows` rows (row, row + row_step, ...) and one block.
template <class L, int Rows, bool Fetch, class V>
RNNCORE_INLINE void input_products(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t block,
                                   Progress progress, V (&pre)[Rows][L::vectors]) {
  using T = typename L::Type;
  const int64_t I = elements_of<typename L::Element>(p.shape.inputs);
  if (p.made_ahead) {
    const T* made[Rows];
    if constexpr (Rows == 1)
      made[0] = p.made(t, row, block);
    else
      find_made(p, t, row, row_step, Rows, block, made);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < L::vectors; ++v) pre[r][v] = load(made[r] + v * W<T>);
    return;
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) pre[r][v] = load(p.bias + block * L::width + v * W<T>);
  accumulate_part<L, L::Form::input_slot, 0, Rows, 1, Fetch>(
      I, elements<L>(p.input_factor(t, row)), row_step * p.input_factor_stride() / L::factor_numbers,
      p.input_panels + block * I * L::part_vectors * W<T>, progress, pre);
}

// Both products of one step: pre [Rows][vectors].
template <class L, int Rows, bool Fetch = false>
RNNCORE_INLINE void step_products(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t block,
                                  Vec<typename L::Type>* result, Progress progress) {
  Vec<typename L::Type> pre[Rows][L::vectors];
  input_products<L, Rows, Fetch>(p, t, row, row_step, block, progress, pre);
  if (const auto* h_before = p.factor(t, row))
    accumulate_part<L, L::Form::recurrent_slot, 0, Rows, L::chains, Fetch>(
        elements_of<typename L::Element>(p.shape.units), elements<L>(h_before),
        row_step * p.factor_stride(t) / L::factor_numbers, p.recurrent_panel(block), progress, pre);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) result[r * L::vectors + v] = pre[r][v];
}

// A function of its own, for inlined in a switch the tiles spill each other's registers.
template <class L, int Rows, bool Fetch = false>
static __attribute__((noinline)) void forward_products(const ForwardPlan<L>& p, int64_t t, int64_t row,
                                                       int64_t row_step, int64_t block, Vec<typename L::Type>* result,
                                                       Progress progress = {}) {
  step_products<L, Rows, Fetch>(p, t, row, row_step, block, result, progress);
}

// Whether the products of a row's next step can take h from a register: where it is one whole vector.
template <class L>
constexpr bool kKeepsRow = W<typename L::Type> == 16 && L::U == 1 && !L::rounded;

// The same for one row of such a layer, in the same order.
template <class L>
RNNCORE_INLINE void kept_row_products(const ForwardPlan<L>& p, int64_t t, int64_t row, Vec<typename L::Type> h,
                                      Vec<typename L::Type> (&result)[L::vectors]) {
  if constexpr (kKeepsRow<L>) {
    constexpr int n = L::part_vectors;
    Vec<typename L::Type> pre[1][L::vectors], acc[L::chains][1][n] = {};
    input_products<L, 1, false>(p, t, row, 1, 0, {}, pre);
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) acc[0][0][i] = pre[0][L::part_vector(i, L::Form::recurrent_slot)];
    lanes_accumulate(h, p.recurrent_panel(0), acc);
    add_chains(acc);
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) pre[0][L::part_vector(i, L::Form::recurrent_slot)] = acc[0][0][i];
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) result[v] = pre[0][v];
  }
}

// One step of the first `count` rows of a share for one block of units. The cells of some tiles run together, since
// each call of them finds its places anew.
template <class L>
static __attribute__((noinline)) void forward_rows(const ForwardPlan<L>& p, const CellKernels<L>& cell, int64_t t,
                                                   const RowShare& share, int64_t count, int64_t block) {
  Vec<typename L::Type> pre[kCellRows * L::vectors];
  int64_t done = 0;  // rows whose cells have run
  for (int64_t i = 0; i < count;) {
    const int64_t rows = tile_rows(count - i);
    const int64_t row = share.first + i * share.step;
    auto* result = pre + (i - done) * L::vectors;
    switch (rows) {
      case 1: forward_products<L, 1>(p, t, row, share.step, block, result); break;
      case 2: forward_products<L, 2>(p, t, row, share.step, block, result); break;
      case 3: forward_products<L, 3>(p, t, row, share.step, block, result); break;
      case 4: forward_products<L, 4>(p, t, row, share.step, block, result); break;
      case 5:
        if (p.fetches)
          forward_products<L, 5, true>(p, t, row, share.step, block, result, {i, count});
        else
          forward_products<L, 5>(p, t, row, share.step, block, result);
        break;
      default:
        if (p.fetches)
          forward_products<L, kTileRows, true>(p, t, row, share.step, block, result, {i, count});
        else
          forward_products<L, kTileRows>(p, t, row, share.step, block, result);
    }
    i += rows;
    if (i < count && i - done <= kCellRows - kTileRows) continue;
    cell.forward(p, t, share.first + done * share.step, share.step, i - done, block, pre, nullptr);
    done = i;
  }
}

// acc[b][i] += Σ_k a[k]·panel of block b, the panels of blocks lying `panel` apart: as accumulate_part for one row,
// whose sums alone would wait for the latency of each addition.
template <class L, int FirstSlot, int Blocks, int Chains, class V>
RNNCORE_INLINE void accumulate_blocks(int64_t depth, const typename L::Element* a, const typename L::Element* panels,
                                      V (&pre)[Blocks][L::vectors]) {
  using T = typename L::Type;
  using P = typename L::Element;
  constexpr int n = L::part_vectors;
  const int64_t size = depth * n * W<T>;  // of a panel
  Vec<T> acc[Chains][Blocks][n] = {};
#pragma GCC unroll 16
  for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) acc[0][b][i] = pre[b][L::part_vector(i, FirstSlot)];
  const auto add = [&](int c, int64_t k) __attribute__((always_inline)) {
    const Vec<P> ak = broadcast(a[k]);
#pragma GCC unroll 16
    for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) {
        constexpr int whole = n / kTileVectors * kTileVectors;
        const int first = i / kTileVectors * kTileVectors, width = i < whole ? kTileVectors : n - whole;
        multiply_add(acc[c][b][i], ak, load(panels + b * size + first * depth * W<T> + (k * width + i - first) * W<T>));
      }
  };
  int64_t k = 0;
  for (; k + Chains <= depth; k += Chains)
#pragma GCC unroll 8
    for (int c = 0; c < Chains; ++c) add(c, k + c);
  if constexpr (Chains > 1)
#pragma GCC unroll 8
    for (int c = 0; c < Chains - 1; ++c)
      if (k + c < depth) add(c, k + c);
  add_chains(acc);
#pragma GCC unroll 16
  for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) pre[b][L::part_vector(i, FirstSlot)] = acc[0][b][i];
}

// Products of one row for some blocks side by side.
template <class L, int Blocks>
static __attribute__((noinline)) void block_products(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t block,
                                                     Vec<typename L::Type>* result) {
  using T = typename L::Type;
  using Element = typename L::Element;
  const int64_t I = elements_of<Element>(p.shape.inputs), H = elements_of<Element>(p.shape.units);
  Vec<T> pre[Blocks][L::vectors];
  const T* start = p.made_ahead ? p.made(t, row, block) : p.bias + block * L::width;
#pragma GCC unroll 16
  for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) pre[b][v] = load(start + b * L::width + v * W<T>);
  if (!p.made_ahead)
    accumulate_blocks<L, L::Form::input_slot, Blocks, 1>(I, elements<L>(p.input_factor(t, row)),
                                                         p.input_panels + block * I * L::part_vectors * W<T>, pre);
  if (const auto* h_before = p.factor(t, row))
    accumulate_blocks<L, L::Form::recurrent_slot, Blocks, L::chains>(H, elements<L>(h_before), p.recurrent_panel(block),
                                                                     pre);
#pragma GCC unroll 16
  for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) result[b * L::vectors + v] = pre[b][v];
}

// One step of one row for some blocks of units. Every second step begins at the other end, where the last one left
// weights in the cache.
template <class L>
static __attribute__((noinline)) void forward_blocks(const ForwardPlan<L>& p, const CellKernels<L>& cell, int64_t t,
                                                     int64_t row, Range blocks) {
  const bool back = (t + p.call.turn) % 2 != 0;
  Vec<typename L::Type> pre[kBlocksTogether * L::vectors];
  for (int64_t done = 0; done < blocks.end - blocks.begin;) {
    const int64_t left = blocks.end - blocks.begin - done;
    const int64_t count = left >= kBlocksTogether ? kBlocksTogether : 1;
    const int64_t first = back ? blocks.begin + left - count : blocks.begin + done;
    if (count == 1)
      forward_products<L, 1>(p, t, row, 1, first, pre);
    else
      block_products<L, kBlocksTogether>(p, t, row, first, pre);
    for (int64_t i = 0; i < count; ++i) cell.forward(p, t, row, 1, 1, first + i, pre + i * L::vectors, nullptr);
    done += count;
  }
}

// Copies units [begin, end) of the states of rows that end with step t (t = -1: rows without a step).
template <class L>
static void keep_last_states(const ForwardPlan<L>& p, int64_t t, const RowShare& share, Range units) {
  using T = typename L::Type;
  const SequenceShape& s = p.shape;
  const int64_t H = s.units;
  const int64_t from = RowShare::below(share, active_rows(s, t + 1));
  const int64_t to = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
  for (int64_t i = from; i < to; ++i) {
    const int64_t r = share.first + i * share.step;
    for (int k = 0; k < (L::Form::has_memory ? 2 : 1); ++k) {
      if (!p.call.state[k]) continue;
      const T* initial = p.call.initial_state[k];
      const T* last =
          t >= 0 ? (k == 0 ? p.hidden_row(t, r) : p.memory_row(t, r)) : (initial ? initial + r * H : nullptr);
      for (int64_t u = units.begin; u < units.end; u += W<T>)
        store_partial(p.call.state[k] + r * H + u, last ? load_partial(last + u, units.end - u) : Vec<T>{},
                      units.end - u);
    }
  }
}

// All steps of one row of a layer of one block: its sums never leave the registers, since latency is all that counts,
// nor does h where it is a single vector.
template <class L, class CellOf>
static __attribute__((noinline)) void forward_row(const ForwardPlan<L>& p, const CellKernels<L>& kernels,
                                                  const RowShare& share, const Team& team) {
  using T = typename L::Type;
  const SequenceShape& s = p.shape;
  const bool keeps = kKeepsRow<L> && s.units == W<T> && !p.masked && !p.rounds;
  const CellOf cell{kernels};
  Vec<T> h{};
  for (int64_t t = 0; t < s.steps && share.first < active_rows(s, t); ++t) {
    if (t % kChunkSteps == 0) {
      may_stop(team, kChunkSteps * step_operations<L>(s));
      if (p.chunked) project_chunk(p, t, share, {0, 1}, team);
    }
    Vec<T> pre[L::vectors];
    if (keeps && t > 0)
      kept_row_products(p, t, share.first, h, pre);
    else
      step_products<L, 1>(p, t, share.first, 1, 0, pre, {});
    cell.forward(p, t, share.first, 1, 1, 0, pre, &h);
    if (share.first >= active_rows(s, t + 1)) keep_last_states(p, t, share, {0, s.units});
  }
}

// h·mask before the first step.
template <class L>
static void mask_initial_state(const ForwardPlan<L>& p, const Team& team) {
  using T = typename L::Type;
  const int64_t H = p.shape.units;
  const T* initial = p.call.initial_state[0];
  const Range elements = initial ? team_range(p.shape.rows * H, team, 1) : Range{0, 0};
  for (int64_t i = elements.begin; i < elements.end; ++i)
    p.masked_row(0, 0)[i] = p.call.recurrent_mask[i] == 0 ? T(0) : initial[i] * p.call.recurrent_mask[i];
}

// Rounds this thread's share of x and the initial states.
template <class L>
static void round_factors(const ForwardPlan<L>& p, const Team& team) {
  using T = typename L::Type;
  if constexpr (std::is_same_v<T, float>) {
    const SequenceShape& s = p.shape;
    const int64_t I = s.inputs, H = s.units;
    for (int64_t t = 0; t < s.steps; ++t) {
      const Range rows = team_range(active_rows(s, t), team, 1);
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        const T* x = view_row(p.call.x, s, t, r);
        auto* out = p.rounded_x + (step_offset(s, t) + r) * p.input_width();
        for (int64_t i = 0; i < I; i += W<T>) store_rounded(out + i, load_partial(x + i, I - i));
      }
    }
    if (!p.call.initial_state[0]) return;
    const Range rows = team_range(s.rows, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r)
      for (int64_t i = 0; i < H; i += W<T>) {
        const Vec<T> h = load_partial(p.call.initial_state[0] + r * H + i, H - i);
        store_rounded(p.rounded_hidden(-1, r) + i, p.through_mask(h, r, i));
      }
  }
}

template <class L>
static void sequence_forward(const SequenceForward<typename L::Type>& call, const CellKernels<L>& cell,
                             const Team& team) {
  using T = typename L::Type;
  const ForwardPlan<L> p(call, team.threads);
  const SequenceShape& s = p.shape;
  const Range all{0, p.blocks};
  const Range mine = team_range(p.blocks, team, 1);
  if (!call.packed_weights) pack_forward(p, mine);
  if (p.rounds) round_factors(p, team);
  const bool by_units = p.split == Split::units;
  if (p.masked) mask_initial_state(p, team);
  if ((!by_units && !call.packed_weights) || p.masked || p.rounds) team_barrier(team);

  const RowShare share = row_share<T>(s, team, p.split);
  const Range blocks = by_units ? mine : all;
  const int64_t H = s.units;
  const Range units{blocks.begin * L::units < H ? blocks.begin * L::units : H,
                    blocks.end * L::units < H ? blocks.end * L::units : H};
  keep_last_states(p, -1, share, units);
  const bool compact = kCompact<L> && s.weights != WeightFormat::full;
  if (p.blocks == 1 && share.count == 1 && !compact) return cell.forward_row(p, cell, share, team);
  const int64_t operations = share.count * step_operations<L>(s);  // of a block
  const bool long_step = operations * p.blocks > kLongStep;
  for (int64_t t = 0; t < s.steps; ++t) {
    const int64_t count = RowShare::below(share, active_rows(s, t));
    if (count == 0 && !by_units) break;
    if (t % kChunkSteps == 0) {
      if (!long_step) may_stop(team, kChunkSteps * operations * p.blocks);
      if (p.chunked) project_chunk(p, t, share, blocks, team);
    }
    if (compact) {
      if constexpr (kCompact<L>) {
        may_stop(team, operations * (blocks.end - blocks.begin));
        forward_compact(p, cell, t, share, count, blocks, team);
      }
    } else if (share.count == 1 && count == 1 && !p.fetches) {
      if (long_step) may_stop(team, operations * (blocks.end - blocks.begin));
      forward_blocks(p, cell, t, share.first, blocks);
    } else {
      for (int64_t block = blocks.begin; block < blocks.end; ++block) {
        if (long_step) may_stop(team, operations);
        forward_rows(p, cell, t, share, count, block);
      }
    }
    if (active_rows(s, t + 1) < active_rows(s, t)) keep_last_states(p, t, share, units);
    if (by_units) {
      team_barrier(team, p.recurrent_panel(blocks.begin));
      if (s.rows == 1 && t + 1 < s.steps) fetch_lines(p.factor(t + 1, 0), H);
    }
  }
}

}  // namespace
}  // namespace rnncore
