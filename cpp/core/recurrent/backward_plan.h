// Where the backward pass keeps what.
#pragma once

#include "core/recurrent/forward_plan.h"
#include "core/recurrent/sequence_gradients.h"
#include "core/recurrent/weight_gradients.h"

namespace rnncore {
namespace {

// Calls body(units) with the vectors of units of this thread, where threads share them. In a team of fewer threads than
// the units are divided for, a thread has several parts.
template <class Body>
RNNCORE_INLINE void each_part(int64_t unit_vectors, int parts, const Team& team, Body body) {
  for (int part = team.thread; part < parts; part += team.threads)
    body(team_range(unit_vectors, Team{part, parts, nullptr, nullptr}, 1));
}

// What the backward pass reads of the weights.
template <class L>
struct BackwardWeights {
  using T = typename L::Type;
  TransposedPanels<L> recurrent;
  TransposedPanels<L> input;  // null data for an input of few numbers, or when dx is not wanted
  T* kernel;                  // a copy (I, G·H) for an input of few numbers, or null
  int64_t unit_vectors;
  int parts;  // that the units are divided into where threads share them
  Split split;

  // Takes its place from w; of the kernel when it is to be `copied`.
  BackwardWeights(const SequenceShape& s, int threads, Workspace<T>& w, bool wants_dx, bool copied)
      : unit_vectors(L::padded(s.units) / W<T>),
        parts(threads),
        split(choose_split(s, threads, unit_vectors, sizeof(T))) {
    using Panels = TransposedPanels<L>;
    using Element = typename L::Element;
    const bool narrow = has_narrow_inputs<L>(s), rounded = rounds<L>(s);
    const int64_t I = s.inputs, H = s.units, input_size = wants_dx && !narrow ? Panels::size(I, H) : 0;
    recurrent = {w.template take<Element>(w, Panels::size(H, H)), H, H, L::Form::recurrent_slot, true, rounded};
    input = {
        input_size > 0 ? w.template take<Element>(w, input_size) : nullptr, I, H, L::Form::input_slot, false, rounded};
    kernel = copied && narrow ? w.take(w, I * L::Form::gates * H) : nullptr;
  }

  void pack_recurrent(const T* weights, const Team& team) const {
    if (split == Split::rows) return recurrent.pack(weights, {0, unit_vectors}, team);
    each_part(unit_vectors, parts, team, [&](Range vectors) { recurrent.pack(weights, vectors); });
  }

  void pack_input(const T* weights, const Team& team) const {
    if (input.data) input.pack(weights, {0, input.column_vectors()}, team);
    if (!kernel) return;
    const Range mine = team_range(input.columns * L::Form::gates * input.H, team, W<T>);
    __builtin_memcpy(kernel + mine.begin, weights + mine.begin, static_cast<size_t>(mine.end - mine.begin) * sizeof(T));
  }
};

// Elements of the panels that a forward pass leaves for the backward one.
template <class L>
RNNCORE_INLINE int64_t panels_size(const SequenceShape& s) {
  Workspace<typename L::Type> w{nullptr};
  BackwardWeights<L>(s, 1, w, true, true);
  return w.used;
}

// Leaves them, after the forward pass.
template <class L>
static void pack_panels(const SequenceForward<typename L::Type>& f, const Team& team) {
  Workspace<typename L::Type> w{f.panels};
  const BackwardWeights<L> weights(f.shape, f.panel_threads, w, true, true);
  weights.pack_recurrent(f.recurrent_kernel, team);
  weights.pack_input(f.kernel, team);
}

template <class L>
struct BackwardPlan {
  using T = typename L::Type;
  using Form = typename L::Form;

  const SequenceBackward<T>& call;
  const SequenceShape& shape;
  ForwardPlan<L> forward;
  Workspace<T> workspace, panels;
  BackwardWeights<L> weights;
  T* dslots;            // [Σ rows][blocks][width]: the tape's slots, overwritten; rounded ones fill half of a block
  T* dmemory;           // dc [N][padded H]
  T* dcarry;            // part of dh that passes the products by [N][padded H], or null
  T* dextra;            // of a cell's extra rows, for each row over its steps [N][rows][padded H]
  int64_t slice;        // blocks of a slice of the products with panels, or 0
  int64_t narrow;       // vectors of units of a layer whose single rows need no panels, or 0
  T* gradient_scratch;  // of this thread
  int64_t workspace_used;

  BackwardPlan(const SequenceBackward<T>& b, const Team& team)
      : call(b),
        shape(b.forward.shape),
        forward(b.forward, team.threads),
        workspace{b.workspace},
        panels{b.forward.panels},
        weights(shape, panels.base ? b.forward.panel_threads : team.threads, panels.base ? panels : workspace,
                panels.base || b.dx.data || !b.workspace, panels.base || !b.workspace) {
    const int64_t H = shape.units, N = shape.rows;
    Workspace<T>& w = workspace;
    const int64_t total = step_offset(shape, shape.steps);
    dslots = Form::keeps_slots ? b.forward.tape : w.take(w, total * forward.tape_row);
    dmemory = w.take(w, Form::has_memory ? N * L::padded(H) : 0);
    dcarry = Form::carries_dh || shape.zoneout ? w.take(w, N * L::padded(H)) : nullptr;
    dextra = w.take(w, extra_rows(shape) * N * L::padded(H));
    slice = slice_blocks<L>(shape);
    // Their slot gradients stay in registers, where nothing rounds them.
    const bool whole = weights.split == Split::rows && !shape.recurrent_dropout && (L::rounded || !forward.rounds);
    narrow = whole && weights.unit_vectors <= kTileVectors / 2 ? weights.unit_vectors : 0;
    const int64_t scratch = WeightGradientPlan<L>(shape, team, nullptr).workspace_used;
    gradient_scratch = w.take(w, scratch * team.threads);
    if (gradient_scratch) gradient_scratch += scratch * team.thread;
    workspace_used = w.used;
  }

  // (I, G·H)
  const T* kernel() const { return weights.kernel ? weights.kernel : call.forward.kernel; }

  bool wants_initial_gradients() const { return call.dinitial_state[0] || call.dinitial_state[1]; }

  T* dslots_row(int64_t t, int64_t r) const { return dslots + (step_offset(shape, t) + r) * forward.tape_row; }
};

}  // namespace
}  // namespace rnncore
