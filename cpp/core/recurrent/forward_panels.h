// What the forward pass prepares: weights packed for its products, and input products made some steps ahead.
#pragma once

#include "core/recurrent/forward_plan.h"

namespace rnncore {
namespace {

// Factors as elements of a product; distances in elements.
template <class L>
RNNCORE_INLINE const typename L::Element* elements(const typename L::Number* numbers) {
  return reinterpret_cast<const typename L::Element*>(numbers);
}

// Packs rows [begin, end) of the columns `gate·H + unit` of one weight matrix (depth, G·H) for one block.
template <class L, class GateOf>
static void pack_part(const SequenceShape& s, const typename L::Type* weights, int64_t depth, Range rows, int64_t block,
                      GateOf gate_of, int first_slot, typename L::Element* panel) {
  using T = typename L::Type;
  const int64_t H = s.units, row_size = L::Form::gates * H;
  constexpr int64_t numbers = L::factor_numbers;
  const int64_t pairs = elements_of<typename L::Element>(depth);
  const Range of_pairs{rows.begin / numbers, elements_of<typename L::Element>(rows.end)};
  for (int first = 0; first < L::part_vectors; first += kTileVectors) {
    const int n = L::part_vectors - first < kTileVectors ? L::part_vectors - first : kTileVectors;
    for (int i = 0; i < n; ++i) {
      const int slot = first_slot + (first + i) % L::Form::gates;
      const int64_t unit = block * L::units + (first + i) / L::Form::gates * W<T>;
      const T* source = weights + gate_of(slot) * H + unit;
      auto* out = panel + (first * pairs + i) * W<T>;
      const auto row = [&](int64_t k) { return load_partial(source + k * row_size, H - unit); };
      const auto pack = [&](auto element) __attribute__((always_inline)) {
        for (int64_t k = of_pairs.begin; k < of_pairs.end; ++k) store(out + k * n * W<T>, element(k));
      };
      if constexpr (L::rounded) {
        pack([&](int64_t k) {
          return pair_up(round_to_bfloat16(row(2 * k)),
                         2 * k + 1 < depth ? round_to_bfloat16(row(2 * k + 1)) : Vec<Bfloat16Pair>{});
        });
      } else {
        if constexpr (std::is_same_v<T, float>)
          if (s.bfloat16) {
            pack([&](int64_t k) { return rounded_float(row(k)); });
            continue;
          }
        pack(row);
      }
    }
  }
}

// Packs one weight matrix for some blocks. Few rows at a time, whose pages serve all blocks.
template <class L, class GateOf>
static void pack_weights(const SequenceShape& s, const typename L::Type* weights, int64_t depth, Range blocks,
                         GateOf gate_of, int first_slot, typename L::Element* panels) {
  constexpr int64_t kRows = 32;
  const int64_t size = elements_of<typename L::Element>(depth) * L::part_vectors * W<typename L::Type>;
  for (int64_t k = 0; k < depth; k += kRows)
    for (int64_t block = blocks.begin; block < blocks.end; ++block)
      pack_part<L>(s, weights, depth, {k, k + kRows < depth ? k + kRows : depth}, block, gate_of, first_slot,
                   panels + block * size);
}

// Packs the bias for some blocks.
template <class L>
static void pack_bias(const ForwardPlan<L>& p, Range blocks) {
  using T = typename L::Type;
  using Form = typename L::Form;
  const int64_t H = p.shape.units;
  // A slot that both products add to gets both biases. Only gru has a second one.
  for (int64_t block = blocks.begin; block < blocks.end; ++block)
    for (int v = 0; v < L::vectors; ++v) {
      const int slot = v % Form::slots;
      const int64_t unit = block * L::units + v / Form::slots * W<T>;
      Vec<T> b{};
      if (p.call.bias) {
        if (slot < Form::input_slot + Form::gates)
          b += load_partial(p.call.bias + Form::input_gate(slot) * H + unit, H - unit);
        if (Form::slots != Form::gates && slot >= Form::recurrent_slot)
          b += load_partial(p.call.bias + (Form::gates + Form::recurrent_gate(slot)) * H + unit, H - unit);
      }
      store(p.bias + block * L::width + v * W<T>, b);
    }
}

// Packs both weight matrices and the bias for some blocks.
template <class L>
static void pack_forward(const ForwardPlan<L>& p, Range blocks) {
  using Form = typename L::Form;
  pack_weights<L>(p.shape, p.call.kernel, p.shape.inputs, blocks, Form::input_gate, Form::input_slot, p.input_panels);
  pack_weights<L>(p.shape, p.call.recurrent_kernel, p.shape.units, blocks, Form::recurrent_gate, Form::recurrent_slot,
                  p.recurrent_panels);
  pack_bias(p, blocks);
}

// Input products plus bias of `Rows` rows that lie `x_row` and `slots_row` apart.
template <class L, int Rows>
static void project_tile(const ForwardPlan<L>& p, int64_t block, const typename L::Number* x, int64_t x_row,
                         typename L::Type* slots, int64_t slots_row) {
  using T = typename L::Type;
  Vec<T> pre[Rows][L::vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) pre[r][v] = load(p.bias + block * L::width + v * W<T>);
  const int64_t depth = elements_of<typename L::Element>(p.shape.inputs);
  accumulate_part<L, L::Form::input_slot, 0, Rows, 1, false>(depth, elements<L>(x), x_row / L::factor_numbers,
                                                             p.input_panels + block * depth * L::part_vectors * W<T>,
                                                             {}, pre);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) store(slots + r * slots_row + v * W<T>, pre[r][v]);
}

template <class L>
static __attribute__((noinline)) void project_rows(const ForwardPlan<L>& p, int64_t block, int64_t count,
                                                   const typename L::Number* x, int64_t x_row, typename L::Type* slots,
                                                   int64_t slots_row) {
  for (int64_t i = 0; i < count;) {
    const int64_t rows = tile_rows(count - i);
    const auto* xi = x + i * x_row;
    auto* si = slots + i * slots_row;
    switch (rows) {
      case 1: project_tile<L, 1>(p, block, xi, x_row, si, slots_row); break;
      case 2: project_tile<L, 2>(p, block, xi, x_row, si, slots_row); break;
      case 3: project_tile<L, 3>(p, block, xi, x_row, si, slots_row); break;
      case 4: project_tile<L, 4>(p, block, xi, x_row, si, slots_row); break;
      case 5: project_tile<L, 5>(p, block, xi, x_row, si, slots_row); break;
      default: project_tile<L, kTileRows>(p, block, xi, x_row, si, slots_row); break;
    }
    i += rows;
  }
}

// The table of a vocabulary, for some blocks whose weights are packed.
template <class L>
static void pack_table(const ForwardPlan<L>& p, Range blocks) {
  if constexpr (!L::rounded)
    for (int64_t block = blocks.begin; block < blocks.end && p.table; ++block)
      project_rows(p, block, p.shape.vocabulary, p.call.embeddings, p.shape.inputs, p.table + block * L::width,
                   p.tape_row);
}

// Input products of the steps [t0, t0 + kChunkSteps): those of all rows at once where they lie together, or row by row.
template <class L>
static void project_chunk(const ForwardPlan<L>& p, int64_t t0, const RowShare& share, Range blocks, const Team& team) {
  const SequenceShape& s = p.shape;
  const int64_t t1 = t0 + kChunkSteps < s.steps ? t0 + kChunkSteps : s.steps;
  const auto& x = p.call.x;
  const bool together = share.count == s.rows && (p.rounds || s.offsets || x.step == s.rows * x.row);
  const int64_t x_step = p.rounds ? s.rows * p.input_width() : x.step;
  for (int64_t block = blocks.begin; block < blocks.end; ++block) {
    may_stop(team, 2 * (t1 - t0) * share.count * s.inputs * L::width);
    if (together) {
      project_rows(p, block, step_offset(s, t1) - step_offset(s, t0), p.input_factor(t0, 0), p.input_factor_stride(),
                   p.slots_at(t0, 0, block), p.tape_row);
    } else {
      for (int64_t i = 0; i < share.count; ++i) {
        const int64_t r = share.first + i * share.step;
        project_rows(p, block, t1 - t0, p.input_factor(t0, r), x_step, p.slots_at(t0, r, block), s.rows * p.tape_row);
      }
    }
  }
}

}  // namespace
}  // namespace rnncore
