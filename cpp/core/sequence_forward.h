// The forward pass of any cell over time.
//
// Weights are packed once. Then each step adds both products to the bias in registers, runs the cell and stores
// h, c and, for training, the slots. With few rows the input product is made for several steps at
// a time, since its rows can then fill a tile.
//
// Where the products take rounded factors, the input is rounded ahead of the steps, weights while they are packed, and
// h beside the h that is kept.
#pragma once

#include "core/cells/lstm_peephole.h"
#include "core/cells/zoneout.h"
#include "core/sequence_layout.h"

namespace rnncore {
namespace {

// Steps whose input products are made together, and the rows up to which that pays.
constexpr int64_t kChunkSteps = 16;
constexpr int64_t kChunkRows = 4;
constexpr int64_t kChunkInputs = 32;   // of a cell without slots, at least
constexpr int64_t kChunkRowsFar = 32;  // where weights come from beyond the second-level cache

template <class L>
struct ForwardPlan {
  using T = typename L::Type;
  using Form = typename L::Form;
  using Element = typename L::Element;
  using Number = typename L::Number;

  const SequenceForward<T>& call;
  const SequenceShape& shape;
  int64_t blocks;
  Split split;
  bool chunked;               // the input product is made ahead of the steps
  bool fetches;               // the next panels, while the products of a block run
  int64_t tape_row;           // numbers of a tape row: blocks · width
  Element* input_panels;      // [blocks][passes][I][·]
  Element* recurrent_panels;  // [blocks][passes][H][·]
  T* bias;                    // [blocks][width]
  T* slots;                   // tape [Σ rows][blocks][width], or the chunk's pre-activations, or null
  T* memory;                  // c: tape [Σ rows][padded H], or [N][padded H] without tape
  T* hidden;                  // [2][N][H] when the caller keeps no output
  T* masked;          // h·mask before each step: tape [N + Σ rows][H], or [2][N][H]; null without mask or rounding
  Number* rounded_x;  // [Σ rows][padded I]
  Number* rounded_h;  // h·mask: [N + Σ rows][padded H], the initial states first; without tape [N + 2 N][padded H]
  int64_t workspace_used;

  ForwardPlan(const SequenceForward<T>& f, int threads) : call(f), shape(f.shape) {
    const int64_t I = shape.inputs, H = shape.units, N = shape.rows;
    blocks = L::blocks(H);
    split = choose_split(shape, threads, blocks, sizeof(T));
    fetches = fetches_ahead(shape, (I + H) * L::part_vectors * W<T> * static_cast<int64_t>(sizeof(Number)));
    const bool all_rows = split == Split::units || threads == 1;
    const int64_t rows = all_rows ? N : (N + threads - 1) / threads;  // of a thread
    // A cell that keeps no slots would store its input products only to load them again.
    const int64_t near = Form::keeps_slots ? kChunkRows : I >= kChunkInputs ? kChunkRows / 2 : 0;
    chunked = rows <= (fetches ? kChunkRowsFar : near) && (all_rows || !shape.offsets) && shape.steps > 1;
    tape_row = blocks * L::width;
    Workspace<T> w{f.workspace};
    input_panels = w.template take<Element>(w, blocks * elements_of<Element>(I) * L::part_vectors * W<T>);
    recurrent_panels = w.template take<Element>(w, blocks * elements_of<Element>(H) * L::part_vectors * W<T>);
    bias = w.take(w, tape_row);
    const int64_t total = step_offset(shape, shape.steps);
    slots = nullptr;
    memory = nullptr;
    if (Form::keeps_slots && f.tape)
      slots = f.tape;
    else if (chunked)
      slots = w.take(w, kChunkSteps * N * tape_row);
    if (Form::has_memory) memory = f.tape ? f.tape + total * tape_row : w.take(w, N * L::padded(H));
    hidden = w.take(w, f.output.data ? 0 : 2 * N * H);
    masked = nullptr;
    rounded_x = rounded_h = nullptr;
    if constexpr (L::rounded) {
      Workspace<T> kept{f.tape ? f.tape + tape_size(shape) - rounded_size(shape) : nullptr};
      Workspace<T>& place = f.tape ? kept : w;
      rounded_x = place.template take<Number>(place, total * input_width());
      rounded_h = place.template take<Number>(place, (N + (f.tape ? total : 2 * N)) * L::padded(H));
    } else if (shape.recurrent_dropout) {
      masked = f.tape ? f.tape + tape_size(shape) - (N + total) * H : w.take(w, 2 * N * H);
    }
    workspace_used = w.used;
  }

  static RNNCORE_INLINE int64_t tape_size(const SequenceShape& s) {
    const int64_t total = step_offset(s, s.steps);
    const int64_t size = (Form::keeps_slots ? total * L::blocks(s.units) * L::width : 0) +
                         (Form::has_memory ? total * L::padded(s.units) : 0);
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    if (L::rounded) return (size + line - 1) / line * line + rounded_size(s);
    return size + (s.recurrent_dropout ? (s.rows + total) * s.units : 0);
  }

  // Of the rounded x and h of a tape.
  static RNNCORE_INLINE int64_t rounded_size(const SequenceShape& s) {
    const int64_t total = step_offset(s, s.steps);
    Workspace<T> w{nullptr};
    w.template take<Number>(w, total * ((s.inputs + W<T> - 1) / W<T> * W<T>));
    w.template take<Number>(w, (s.rows + total) * L::padded(s.units));
    return w.used;
  }

  // Numbers of a row of rounded_x.
  int64_t input_width() const { return (shape.inputs + W<T> - 1) / W<T> * W<T>; }

  const Element* recurrent_panel(int64_t block) const {
    return recurrent_panels + block * elements_of<Element>(shape.units) * L::part_vectors * W<T>;
  }

  bool tape_keeps_slots() const { return Form::keeps_slots && call.tape; }

  // Numbers at (row (t, r), block) of the slots.
  T* slots_at(int64_t t, int64_t r, int64_t block) const {
    const int64_t row = tape_keeps_slots() ? step_offset(shape, t) + r
                                           : step_offset(shape, t) - step_offset(shape, t - t % kChunkSteps) + r;
    return slots + row * tape_row + block * L::width;
  }

  T* memory_row(int64_t t, int64_t r) const {
    return memory + ((call.tape ? step_offset(shape, t) : 0) + r) * L::padded(shape.units);
  }

  // h of row r after step t.
  T* hidden_row(int64_t t, int64_t r) const {
    if (call.output.data) return view_row(call.output, shape, t, r);
    return hidden + ((t % 2) * shape.rows + r) * shape.units;
  }

  // h of row r before step t, or null for zeros; and the distance between rows.
  const T* before(int64_t t, int64_t r) const {
    if (t > 0) return hidden_row(t - 1, r);
    return call.initial_state[0] ? call.initial_state[0] + r * shape.units : nullptr;
  }
  int64_t before_stride(int64_t t) const { return t > 0 && call.output.data ? call.output.row : shape.units; }

  // h·mask of row r before step t.
  T* masked_row(int64_t t, int64_t r) const {
    const int64_t step = !call.tape ? (t % 2) * shape.rows : t > 0 ? shape.rows + step_offset(shape, t - 1) : 0;
    return masked + (step + r) * shape.units;
  }

  // Row r of x at step t as a factor, in numbers; and the distance between rows.
  const Number* input_factor(int64_t t, int64_t r) const {
    if constexpr (L::rounded)
      return rounded_x + (step_offset(shape, t) + r) * input_width();
    else
      return view_row(call.x, shape, t, r);
  }
  int64_t input_factor_stride() const { return L::rounded ? input_width() : call.x.row; }

  // Whether the rows of all steps lie at one distance, those of x and, from the second step on, of the factor h.
  bool evenly_spaced() const {
    if (shape.offsets || shape.rows == 0) return false;
    if (L::rounded) return true;
    return call.x.step == shape.rows * call.x.row && (masked || call.output.step == shape.rows * call.output.row);
  }

  // h·mask of row r after step t (-1: the initial state), rounded.
  Number* rounded_hidden(int64_t t, int64_t r) const {
    const int64_t place = t < 0 ? 0 : shape.rows + (call.tape ? step_offset(shape, t) : t % 2 * shape.rows);
    return rounded_h + (place + r) * L::padded(shape.units);
  }

  // What the recurrent product reads: h before step t, masked if there is a mask.
  const Number* factor(int64_t t, int64_t r) const {
    if constexpr (L::rounded) {
      return t > 0 || call.initial_state[0] ? rounded_hidden(t - 1, r) : nullptr;
    } else {
      if (!masked) return before(t, r);
      return t > 0 || call.initial_state[0] ? masked_row(t, r) : nullptr;
    }
  }
  int64_t factor_stride(int64_t t) const {
    if (L::rounded) return L::padded(shape.units);
    return masked ? shape.units : before_stride(t);
  }
};

// Factors as elements of a product; distances in elements.
template <class L>
RNNCORE_INLINE const typename L::Element* elements(const typename L::Number* numbers) {
  return reinterpret_cast<const typename L::Element*>(numbers);
}

// Packs rows [begin, end) of the columns `gate·H + unit` of one weight matrix (depth, G·H) for one block.
template <class L, class GateOf>
static void pack_part(const typename L::Type* weights, int64_t depth, Range rows, int64_t H, int64_t block,
                      GateOf gate_of, int first_slot, typename L::Element* panel) {
  using T = typename L::Type;
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
      const auto row = [&](int64_t k) { return load_partial(source + k * L::Form::gates * H, H - unit); };
      for (int64_t k = of_pairs.begin; k < of_pairs.end; ++k)
        if constexpr (L::rounded)
          store(out + k * n * W<T>,
                pair_up(round_to_bfloat16(row(2 * k)),
                        2 * k + 1 < depth ? round_to_bfloat16(row(2 * k + 1)) : Vec<Bfloat16Pair>{}));
        else
          store(out + k * n * W<T>, row(k));
    }
  }
}

// Packs one weight matrix for some blocks. Few rows at a time, whose pages serve all blocks.
template <class L, class GateOf>
static void pack_weights(const typename L::Type* weights, int64_t depth, int64_t H, Range blocks, GateOf gate_of,
                         int first_slot, typename L::Element* panels) {
  constexpr int64_t kRows = 32;
  const int64_t size = elements_of<typename L::Element>(depth) * L::part_vectors * W<typename L::Type>;
  for (int64_t k = 0; k < depth; k += kRows)
    for (int64_t block = blocks.begin; block < blocks.end; ++block)
      pack_part<L>(weights, depth, {k, k + kRows < depth ? k + kRows : depth}, H, block, gate_of, first_slot,
                   panels + block * size);
}

// Packs both weight matrices and the bias for some blocks.
template <class L>
static void pack_forward(const ForwardPlan<L>& p, Range blocks) {
  using T = typename L::Type;
  using Form = typename L::Form;
  const int64_t H = p.shape.units;
  pack_weights<L>(p.call.kernel, p.shape.inputs, H, blocks, Form::input_gate, Form::input_slot, p.input_panels);
  pack_weights<L>(p.call.recurrent_kernel, H, H, blocks, Form::recurrent_gate, Form::recurrent_slot,
                  p.recurrent_panels);
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
      default: project_tile<L, 6>(p, block, xi, x_row, si, slots_row); break;
    }
    i += rows;
  }
}

// Input products of the steps [t0, t0 + kChunkSteps): those of all rows at once where they lie together, or row by row.
template <class L>
static void project_chunk(const ForwardPlan<L>& p, int64_t t0, const RowShare& share, Range blocks, const Team& team) {
  const SequenceShape& s = p.shape;
  const int64_t t1 = t0 + kChunkSteps < s.steps ? t0 + kChunkSteps : s.steps;
  const auto& x = p.call.x;
  const bool together = share.count == s.rows && (L::rounded || s.offsets || x.step == s.rows * x.row);
  const int64_t x_step = L::rounded ? s.rows * p.input_width() : x.step;
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

// The bias plus the input products of one step for `Rows` rows (row, row + row_step, ...) and one block.
template <class L, int Rows, bool Fetch, class V>
RNNCORE_INLINE void input_products(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t block,
                                   Progress progress, V (&pre)[Rows][L::vectors]) {
  using T = typename L::Type;
  const int64_t I = elements_of<typename L::Element>(p.shape.inputs);
  if (p.chunked) {
    const T* ahead = p.slots_at(t, row, block);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < L::vectors; ++v) pre[r][v] = load(ahead + r * row_step * p.tape_row + v * W<T>);
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

// How much of a state stays in step t.
template <class L>
RNNCORE_INLINE Vec<typename L::Type> hold(const ForwardPlan<L>& p, int state, int64_t t, int64_t n, int64_t unit) {
  const auto& holds = p.call.holds[state];
  return holds.data ? load_partial(view_row(holds, p.shape, t, n) + unit, p.shape.units - unit)
                    : Vec<typename L::Type>{};
}

// The cell on the pre-activations of `rows` rows. `kept`, if any, is the last vector of h.
template <class L, class CellT>
RNNCORE_INLINE void forward_cells(const ForwardPlan<L>& p, const CellT& cell, int64_t t, int64_t row, int64_t row_step,
                                  int64_t rows, int64_t block, const Vec<typename L::Type>* pre,
                                  Vec<typename L::Type>* kept = nullptr) {
  using T = typename L::Type;
  using Form = typename L::Form;
  const int64_t H = p.shape.units;
  const T* h_before = p.before(t, row);
  const int64_t h_before_row = row_step * p.before_stride(t);
  const bool masked = p.masked;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t n = row + r * row_step;
#pragma GCC unroll 1
    for (int u = 0; u < L::U; ++u) {
      const int64_t unit = block * L::units + u * W<T>;
      if (unit >= H) break;
      Vec<T> slot[Form::slots];
#pragma GCC unroll 8
      for (int i = 0; i < Form::slots; ++i) slot[i] = pre[r * L::vectors + u * Form::slots + i];
      Vec<T> h{}, c{};
      if (Form::carries_dh && h_before) h = load_partial(h_before + r * h_before_row + unit, H - unit);
      if (Form::has_memory) {
        if (t > 0)
          c = load(p.memory_row(p.call.tape ? t - 1 : t, n) + unit);
        else if (p.call.initial_state[1])
          c = load_partial(p.call.initial_state[1] + n * H + unit, H - unit);
      }
      const CellT here = cell_at<Form>(cell, p.call.further, unit, H);
      if constexpr (is_zoned<Form>)
        h = zoned_forward<Form>(here, slot, h, c, hold(p, 0, t, n, unit), hold(p, 1, t, n, unit));
      else
        h = CellT::forward(here, slot, h, c);
      if (Form::has_memory) store(p.memory_row(t, n) + unit, c);
      if (kept) *kept = h;
      // What a masked store leaves reaches the next step's products later.
      if (H - unit >= W<T>)
        store(p.hidden_row(t, n) + unit, h);
      else
        store_partial(p.hidden_row(t, n) + unit, h, H - unit);
      if constexpr (L::rounded) {
        Vec<T> factor = h;
        if (p.call.recurrent_mask)
          factor = masked_product(factor, load_partial(p.call.recurrent_mask + n * H + unit, H - unit));
        store_bfloat16(p.rounded_hidden(t, n) + unit, factor);
      } else if (masked) {
        const Vec<T> mask = load_partial(p.call.recurrent_mask + n * H + unit, H - unit);
        store_partial(p.masked_row(t + 1, n) + unit, masked_product(h, mask), H - unit);
      }
      if (p.tape_keeps_slots()) {
        T* out = p.slots_at(t, n, block) + u * Form::slots * W<T>;
#pragma GCC unroll 8
        for (int i = 0; i < Form::slots; ++i) store(out + i * W<T>, slot[i]);
      }
    }
  }
}

// One step of the first `count` rows of a share for one block of units.
template <class L, class CellT>
static __attribute__((noinline)) void forward_rows(const ForwardPlan<L>& p, const CellT& cell, int64_t t,
                                                   const RowShare& share, int64_t count, int64_t block) {
  Vec<typename L::Type> pre[kTileRows * L::vectors];
  for (int64_t i = 0; i < count;) {
    const int64_t rows = tile_rows(count - i);
    const int64_t row = share.first + i * share.step;
    switch (rows) {
      case 1: forward_products<L, 1>(p, t, row, share.step, block, pre); break;
      case 2: forward_products<L, 2>(p, t, row, share.step, block, pre); break;
      case 3: forward_products<L, 3>(p, t, row, share.step, block, pre); break;
      case 4: forward_products<L, 4>(p, t, row, share.step, block, pre); break;
      case 5:
        if (p.fetches)
          forward_products<L, 5, true>(p, t, row, share.step, block, pre, {i, count});
        else
          forward_products<L, 5>(p, t, row, share.step, block, pre);
        break;
      default:
        if (p.fetches)
          forward_products<L, 6, true>(p, t, row, share.step, block, pre, {i, count});
        else
          forward_products<L, 6>(p, t, row, share.step, block, pre);
    }
    forward_cells(p, cell, t, row, share.step, rows, block, pre);
    i += rows;
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
template <class L, class CellT>
static __attribute__((noinline)) void forward_row(const ForwardPlan<L>& p, const CellT& cell, const RowShare& share,
                                                  const Team& team) {
  using T = typename L::Type;
  const SequenceShape& s = p.shape;
  const bool keeps = kKeepsRow<L> && s.units == W<T> && !p.masked;
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
    forward_cells(p, cell, t, share.first, 1, 1, 0, pre, &h);
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
  const SequenceShape& s = p.shape;
  const int64_t I = s.inputs, H = s.units;
  for (int64_t t = 0; t < s.steps; ++t) {
    const Range rows = team_range(active_rows(s, t), team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const T* x = view_row(p.call.x, s, t, r);
      auto* out = p.rounded_x + (step_offset(s, t) + r) * p.input_width();
      for (int64_t i = 0; i < I; i += W<T>) store_bfloat16(out + i, load_partial(x + i, I - i));
    }
  }
  if (!p.call.initial_state[0]) return;
  const Range rows = team_range(s.rows, team, 1);
  for (int64_t r = rows.begin; r < rows.end; ++r)
    for (int64_t i = 0; i < H; i += W<T>) {
      Vec<T> h = load_partial(p.call.initial_state[0] + r * H + i, H - i);
      if (p.call.recurrent_mask) h = masked_product(h, load_partial(p.call.recurrent_mask + r * H + i, H - i));
      store_bfloat16(p.rounded_hidden(-1, r) + i, h);
    }
}

template <class L, class CellT>
static void sequence_forward(const SequenceForward<typename L::Type>& call, const CellT& cell, const Team& team) {
  const ForwardPlan<L> p(call, team.threads);
  const SequenceShape& s = p.shape;
  const Range all{0, p.blocks};
  const Range mine = team_range(p.blocks, team, 1);
  pack_forward(p, mine);
  if constexpr (L::rounded) round_factors(p, team);
  const bool by_units = p.split == Split::units;
  if (p.masked) mask_initial_state(p, team);
  if (!by_units || p.masked || L::rounded) team_barrier(team);

  const RowShare share = row_share<typename L::Type>(s, team, p.split);
  const Range blocks = by_units ? mine : all;
  const int64_t H = s.units;
  const Range units{blocks.begin * L::units < H ? blocks.begin * L::units : H,
                    blocks.end * L::units < H ? blocks.end * L::units : H};
  keep_last_states(p, -1, share, units);
  if (p.blocks == 1 && share.count == 1) return forward_row(p, cell, share, team);
  const int64_t operations = share.count * step_operations<L>(s);  // of a block
  const bool long_step = operations * p.blocks > kLongStep;
  for (int64_t t = 0; t < s.steps; ++t) {
    const int64_t count = RowShare::below(share, active_rows(s, t));
    if (count == 0 && !by_units) break;
    if (t % kChunkSteps == 0) {
      if (!long_step) may_stop(team, kChunkSteps * operations * p.blocks);
      if (p.chunked) project_chunk(p, t, share, blocks, team);
    }
    for (int64_t block = blocks.begin; block < blocks.end; ++block) {
      if (long_step) may_stop(team, operations);
      forward_rows(p, cell, t, share, count, block);
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
