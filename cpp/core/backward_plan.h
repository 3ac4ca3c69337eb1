// Where the backward pass keeps what.
#pragma once

#include "core/forward_plan.h"
#include "core/sequence_gradients.h"
#include "core/weight_gradients.h"

namespace rnncore {
namespace {

template <class L>
struct BackwardPlan {
  using T = typename L::Type;
  using Form = typename L::Form;

  const SequenceBackward<T>& call;
  const SequenceShape& shape;
  ForwardPlan<L> forward;
  Split split;
  int64_t unit_vectors;  // vectors of units, padding included
  T* dslots;             // [Σ rows][blocks][width]: the tape's slots, overwritten; rounded ones fill half of a block
  T* dmemory;            // dc [N][padded H]
  T* dcarry;             // part of dh that passes the products by [N][padded H], or null
  T* dextra;             // of a cell's extra rows, for each row over its steps [N][rows][padded H]
  TransposedPanels<L> recurrent;
  TransposedPanels<L> input;
  int64_t slice;        // blocks of a slice of the products with panels, or 0
  int64_t narrow;       // vectors of units of a layer whose single rows need no panels, or 0
  T* gradient_scratch;  // of this thread
  int64_t workspace_used;

  BackwardPlan(const SequenceBackward<T>& b, const Team& team)
      : call(b), shape(b.forward.shape), forward(b.forward, team.threads) {
    const int64_t H = shape.units, I = shape.inputs, N = shape.rows;
    split = choose_split(shape, team.threads, L::padded(H) / W<T>, sizeof(T));
    unit_vectors = L::padded(H) / W<T>;
    Workspace<T> w{b.workspace};
    const int64_t total = step_offset(shape, shape.steps);
    dslots = Form::keeps_slots ? b.forward.tape : w.take(w, total * forward.tape_row);
    dmemory = w.take(w, Form::has_memory ? N * L::padded(H) : 0);
    dcarry = Form::carries_dh || shape.zoneout ? w.take(w, N * L::padded(H)) : nullptr;
    dextra = w.take(w, extra_rows(shape) * N * L::padded(H));
    using Panels = TransposedPanels<L>;
    using Element = typename L::Element;
    recurrent = {w.template take<Element>(w, Panels::size(H, H)), H, H, Form::recurrent_slot, true, forward.rounds};
    const bool wants_dx = (b.dx.data || !b.workspace) && !has_narrow_inputs<L>(shape);
    input = {
        w.template take<Element>(w, wants_dx ? Panels::size(I, H) : 0), I, H, Form::input_slot, false, forward.rounds};
    slice = slice_blocks<L>(shape);
    // Their slot gradients stay in registers, where nothing rounds them.
    const bool whole = split == Split::rows && !shape.recurrent_dropout && (L::rounded || !forward.rounds);
    narrow = whole && unit_vectors <= kTileVectors / 2 ? unit_vectors : 0;
    const int64_t scratch = WeightGradientPlan<L>(shape, team, nullptr).workspace_used;
    gradient_scratch = w.take(w, scratch * team.threads);
    if (gradient_scratch) gradient_scratch += scratch * team.thread;
    workspace_used = w.used;
  }

  bool wants_initial_gradients() const { return call.dinitial_state[0] || call.dinitial_state[1]; }

  T* dslots_row(int64_t t, int64_t r) const { return dslots + (step_offset(shape, t) + r) * forward.tape_row; }
};

}  // namespace
}  // namespace rnncore
