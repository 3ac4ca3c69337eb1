// Where the forward pass keeps what: one plan for a call, of the same sizes with and without memory behind it.
#pragma once

#include "core/recurrent/sequence_layout.h"

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
  bool chunked;                          // the input products of some steps are made ahead of them
  bool made_ahead;                       // so they are, or looked up
  bool fetches;                          // the next panels, while the products of a block run
  int64_t tape_row;                      // numbers of a tape row: blocks · width
  int64_t input_depth, recurrent_depth;  // of the panels, in elements
  Element* input_panels;                 // [blocks][passes][input_depth][·]
  Element* recurrent_panels;             // [blocks][passes][recurrent_depth][·]
  T* scales;    // of int8: [blocks][input, recurrent][scales, 128·sums of columns][part_vectors][W]
  T* bias;      // [blocks][width]
  T* table;     // input products and bias of each id [vocabulary][blocks][width], or null
  T* slots;     // tape [Σ rows][blocks][width], or the chunk's pre-activations, or null
  T* inputs;    // pre-activations of a cell without slots: tape [Σ rows][blocks][width], or null
  T* memory;    // c: tape [Σ rows][padded H], or [N][padded H] without tape
  T* hidden;    // [2][N][H] when the caller keeps no output
  T* masked;    // h·mask before each step: tape [N + Σ rows][H], or [2][N][H]; null without mask or with rounding
  bool rounds;  // the factors of products
  uint32_t* quantized;  // of int8: x and h of a thread's rows [threads][N][input_depth + recurrent_depth], and scales
  Number* rounded_x;    // [Σ rows][padded I]
  Number* rounded_h;    // h·mask: [N + Σ rows][padded H], the initial states first; without tape [N + 2 N][padded H]
  int64_t packed_used;  // of the panels and the bias
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
    const bool compact = shape.weights != WeightFormat::full;
    chunked = !compact && shape.vocabulary == 0 && rows <= (fetches ? kChunkRowsFar : near) &&
              (all_rows || !shape.offsets) && shape.steps > 1;
    made_ahead = chunked || shape.vocabulary > 0;
    tape_row = blocks * L::width;
    Workspace<T> w{f.workspace};
    Workspace<T> given{f.packed_weights};
    Workspace<T>& weights = f.packed_weights ? given : w;
    input_depth = panel_depth(I), recurrent_depth = panel_depth(H);
    input_panels = weights.template take<Element>(weights, blocks * input_depth * L::part_vectors * W<T>);
    recurrent_panels = weights.template take<Element>(weights, blocks * recurrent_depth * L::part_vectors * W<T>);
    bias = weights.take(weights, tape_row);
    const bool int8 = shape.weights == WeightFormat::int8;
    scales = weights.take(weights, int8 ? blocks * 4 * L::part_vectors * W<T> : 0);
    table = shape.vocabulary > 0 ? weights.take(weights, shape.vocabulary * tape_row) : nullptr;
    packed_used = weights.used;
    const int64_t total = step_offset(shape, shape.steps);
    slots = nullptr;
    inputs = keeps_inputs(shape) ? f.tape : nullptr;
    memory = nullptr;
    if (Form::keeps_slots && f.tape)
      slots = f.tape;
    else if (chunked)
      slots = w.take(w, kChunkSteps * N * tape_row);
    if (Form::has_memory) memory = f.tape ? f.tape + total * tape_row : w.take(w, N * L::padded(H));
    hidden = w.take(w, f.output.data ? 0 : 2 * N * H);
    masked = nullptr;
    quantized = w.template take<uint32_t>(w, int8 ? threads * N * quantized_row() : 0);
    rounded_x = rounded_h = nullptr;
    rounds = rnncore::rounds<L>(shape);
    if (rounds) {
      Workspace<T> kept{f.tape ? f.tape + tape_size(shape) - rounded_size(shape) : nullptr};
      Workspace<T>& place = f.tape ? kept : w;
      rounded_x = place.template take<Number>(place, total * input_width());
      rounded_h = place.template take<Number>(place, (N + (f.tape ? total : 2 * N)) * L::padded(H));
    } else if (shape.recurrent_dropout) {
      masked = f.tape ? f.tape + tape_size(shape) - (N + total) * H : w.take(w, 2 * N * H);
    }
    workspace_used = w.used;
  }

  // Elements along the depth of a panel for factors of `count` numbers.
  int64_t panel_depth(int64_t count) const {
    if (shape.weights == WeightFormat::full) return elements_of<Element>(count);
    return (count + numbers_of(shape.weights) - 1) / numbers_of(shape.weights);
  }

  // Whether backward needs pre-activations that are no slots.
  static RNNCORE_INLINE bool keeps_inputs(const SequenceShape& s) {
    return !Form::keeps_slots && needs_input(s.activation.function);
  }

  static RNNCORE_INLINE int64_t tape_size(const SequenceShape& s) {
    const int64_t total = step_offset(s, s.steps);
    const int64_t size = (Form::keeps_slots || keeps_inputs(s) ? total * L::blocks(s.units) * L::width : 0) +
                         (Form::has_memory ? total * L::padded(s.units) : 0);
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    if (rnncore::rounds<L>(s)) return (size + line - 1) / line * line + rounded_size(s);
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

  // Words of a row of `quantized`: its factors, then the scale of each.
  int64_t quantized_row() const { return (input_depth + recurrent_depth + 2 + 15) / 16 * 16; }

  // Numbers of a row of rounded_x.
  int64_t input_width() const { return (shape.inputs + W<T> - 1) / W<T> * W<T>; }

  const Element* recurrent_panel(int64_t block) const {
    return recurrent_panels + block * recurrent_depth * L::part_vectors * W<T>;
  }

  bool tape_keeps_slots() const { return Form::keeps_slots && call.tape; }

  // Numbers at (row (t, r), block) of the slots.
  T* slots_at(int64_t t, int64_t r, int64_t block) const {
    const int64_t row = tape_keeps_slots() ? step_offset(shape, t) + r
                                           : step_offset(shape, t) - step_offset(shape, t - t % kChunkSteps) + r;
    return slots + row * tape_row + block * L::width;
  }

  // Where the input products and bias of a row are.
  const T* made(int64_t t, int64_t r, int64_t block) const {
    if (chunked) return slots_at(t, r, block);
    return table + *view_row(call.ids, shape, t, r) * tape_row + block * L::width;
  }

  T* inputs_row(int64_t t, int64_t r) const {
    return inputs ? inputs + (step_offset(shape, t) + r) * tape_row : nullptr;
  }

  T* memory_row(int64_t t, int64_t r) const {
    return memory + ((call.tape ? step_offset(shape, t) : 0) + r) * L::padded(shape.units);
  }

  // c of row r before step t, or null for zeros; rows lie apart as those of c after a step, or as the units.
  const T* memory_before(int64_t t, int64_t r) const {
    if (t > 0) return memory_row(call.tape ? t - 1 : t, r);
    return call.initial_state[1] ? call.initial_state[1] + r * shape.units : nullptr;
  }

  // h of row r after step t; and the distance between rows.
  T* hidden_row(int64_t t, int64_t r) const {
    if (call.output.data) return view_row(call.output, shape, t, r);
    return hidden + ((t % 2) * shape.rows + r) * shape.units;
  }

  int64_t hidden_stride() const { return call.output.data ? call.output.row : shape.units; }

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

  // A vector of units of row r of h, with the mask of recurrent dropout, if any.
  Vec<T> through_mask(Vec<T> h, int64_t r, int64_t unit) const {
    if (!call.recurrent_mask) return h;
    return masked_product(h, load_partial(call.recurrent_mask + r * shape.units + unit, shape.units - unit));
  }

  // Row r of x at step t as a factor, in numbers; and the distance between rows.
  const Number* input_factor(int64_t t, int64_t r) const {
    if constexpr (!L::rounded)
      if (!rounds) return view_row(call.x, shape, t, r);
    return rounded_x + (step_offset(shape, t) + r) * input_width();
  }
  int64_t input_factor_stride() const { return L::rounded || rounds ? input_width() : call.x.row; }

  // Whether the rows of all steps lie at one distance, those of x and, from the second step on, of the factor h.
  bool evenly_spaced() const {
    if (shape.offsets || shape.rows == 0) return false;
    if (L::rounded || rounds) return true;
    return call.x.step == shape.rows * call.x.row && (masked || call.output.step == shape.rows * call.output.row);
  }

  // h·mask of row r after step t (-1: the initial state), rounded.
  Number* rounded_hidden(int64_t t, int64_t r) const {
    const int64_t place = t < 0 ? 0 : shape.rows + (call.tape ? step_offset(shape, t) : t % 2 * shape.rows);
    return rounded_h + (place + r) * L::padded(shape.units);
  }

  // What the recurrent product reads: h before step t, masked if there is a mask.
  RNNCORE_INLINE const Number* factor(int64_t t, int64_t r) const {
    if constexpr (!L::rounded) {
      if (!masked && !rounds) return before(t, r);
      if (masked) return t > 0 || call.initial_state[0] ? masked_row(t, r) : nullptr;
    }
    return t > 0 || call.initial_state[0] ? rounded_hidden(t - 1, r) : nullptr;
  }
  int64_t factor_stride(int64_t t) const {
    if (L::rounded || rounds) return L::padded(shape.units);
    return masked ? shape.units : before_stride(t);
  }
};

}  // namespace
}  // namespace rnncore
