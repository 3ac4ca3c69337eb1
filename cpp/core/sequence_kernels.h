// Fills the table of recurrent kernels for one type: picks the cell, its activations and its layout.
#pragma once

#include "core/cells/gru.h"
#include "core/cells/lstm_peephole.h"
#include "core/cells/simple_rnn.h"
#include "core/cells/zoneout.h"
#include "core/gru_reset_before.h"
#include "core/normalized_sequence.h"
#include "core/projected_lstm.h"
#include "core/sequence_backward.h"

namespace rnncore {
namespace {

// The usual cells' rows are compiled as one piece, those of all others call the cell.
template <class L, class CellT>
constexpr CellKernels<L> kUsual{forward_tile<L, CellT>, backward_tile<L, CellT>, forward_row<L, InlineCell<L, CellT>>,
                                backward_row<L, InlineCell<L, CellT>>};
template <class L, class CellT>
constexpr CellKernels<L> kOther{forward_tile<L, CellT>, backward_tile<L, CellT>, forward_row<L, CellKernels<L>>,
                                backward_row<L, CellKernels<L>>};

template <class L>
RNNCORE_INLINE const CellKernels<L>& cell_kernels(const SequenceShape& s) {
  using T = typename L::Type;
  const bool usual = s.activation.function == Function::tanh && s.recurrent_activation.function == Function::sigmoid;
  if constexpr (std::is_same_v<typename L::Form, SimpleRnn>) {
    using Any = SimpleRnnCell<T, Chosen>;
    if (s.zoneout) return kOther<L, Zoned<Any>>;
    return s.activation.function == Function::tanh ? kUsual<L, SimpleRnnCell<T, Tanh>> : kOther<L, Any>;
  } else if constexpr (std::is_same_v<typename L::Form, Gru>) {
    using Any = GruCell<T, Chosen, Chosen>;
    if (s.zoneout) return kOther<L, Zoned<Any>>;
    return usual ? kUsual<L, GruCell<T, Tanh, Sigmoid>> : kOther<L, Any>;
  } else {
    using Any = LstmCell<T, Chosen, Chosen>;
    using Peephole = PeepholeLstmCell<T, Chosen, Chosen>;
    if (s.peepholes) return s.zoneout ? kOther<L, Zoned<Peephole>> : kOther<L, Peephole>;
    if (s.zoneout) return kOther<L, Zoned<Any>>;
    return usual ? kUsual<L, LstmCell<T, Tanh, Sigmoid>> : kOther<L, Any>;
  }
}

// Calls body.operator()<Layout>() with the layout that serves the shape; products multiply elements P.
template <class T, class P, class Body>
RNNCORE_INLINE void with_layout(const SequenceShape& s, Body body) {
  if (s.cell == Cell::lstm) return body.template operator()<Layout<T, Lstm, 1, P>>();
  if (s.cell == Cell::gru) return body.template operator()<Layout<T, Gru, 1, P>>();
  // Several vectors of units of one gate fill a tile. Two do nearly as well as four, which may be more padding.
  const int64_t vectors = (s.units + W<T> - 1) / W<T>, beyond_four = vectors % 4;
  if (vectors == 1) return body.template operator()<Layout<T, SimpleRnn, 1, P>>();
  if (beyond_four == 1 || beyond_four == 2) return body.template operator()<Layout<T, SimpleRnn, 2, P>>();
  body.template operator()<Layout<T, SimpleRnn, 4, P>>();
}

// Calls body(cell) with the cell of a projected lstm.
template <class T, class Body>
RNNCORE_INLINE void with_projected_cell(const SequenceShape& s, Body body) {
  if (s.activation.function == Function::tanh && s.recurrent_activation.function == Function::sigmoid)
    body(LstmCell<T, Tanh, Sigmoid>{});
  else
    body(LstmCell<T, Chosen, Chosen>::make(s));
}

// Calls body(cell) with the cell that is to be normalized.
template <class T, class Body>
RNNCORE_INLINE void with_normalized_cell(const SequenceShape& s, Body body) {
  const bool usual = s.activation.function == Function::tanh && s.recurrent_activation.function == Function::sigmoid;
  if (s.cell == Cell::lstm)
    usual ? body(LstmCell<T, Tanh, Sigmoid>{}) : body(LstmCell<T, Chosen, Chosen>::make(s));
  else if (s.cell == Cell::gru)
    usual ? body(GruCell<T, Tanh, Sigmoid>{}) : body(GruCell<T, Chosen, Chosen>::make(s));
  else
    body(SimpleRnnCell<T, Chosen>::make(s));
}

template <class T, class P>
static SequenceSizes sequence_sizes(const SequenceShape& shape, bool training, int threads) {
  SequenceSizes sizes{};
  SequenceBackward<T> call{};
  call.forward.shape = shape;
  // Null pointers stand for arrays to be; only the tape's and the output's presence matters here.
  T present{};
  if (training) call.forward.tape = call.forward.output.data = &present;
  if (shape.cell == Cell::gru_reset_before) {
    const Team team{0, threads, nullptr};
    sizes.tape = training ? step_offset(shape, shape.steps) * 3 * shape.units : 0;
    sizes.panels = ResetBeforeBackwardPlan<T>::panels_size(shape);
    sizes.forward_workspace = ResetBeforePlan<T>(call.forward, team).workspace_used;
    if (training) sizes.backward_workspace = ResetBeforeBackwardPlan<T>(call, team).workspace_used;
    return sizes;
  }
  if (shape.projected > 0) {
    const ProjectedPlan<T> plan(call.forward);
    sizes.tape = plan.tape_used;
    sizes.forward_workspace = plan.workspace_used;
    if (training) sizes.backward_workspace = ProjectedBackwardPlan<T>(call, {0, threads, nullptr}).workspace_used;
    return sizes;
  }
  if (shape.normalized) {
    with_normalized_cell<T>(shape, [&]<class CellT>(const CellT&) {
      using N = Normalized<CellT>;
      const NormalizedPlan<T, N> plan(call.forward);
      sizes.tape = plan.tape_used;
      sizes.forward_workspace = plan.workspace_used;
      if (training)
        sizes.backward_workspace = NormalizedBackwardPlan<T, N>(call, Team{0, threads, nullptr}).workspace_used;
    });
    return sizes;
  }
  with_layout<T, P>(shape, [&]<class L>() {
    sizes.tape = training ? ForwardPlan<L>::tape_size(shape) : 0;
    sizes.panels = panels_size<L>(shape);
    sizes.forward_workspace = ForwardPlan<L>(call.forward, threads).workspace_used;
    if (training) sizes.backward_workspace = BackwardPlan<L>(call, Team{0, threads, nullptr}).workspace_used;
  });
  return sizes;
}

template <class T, class P>
static SequenceSharing sequence_sharing(const SequenceShape& shape, int limit) {
  if (shape.cell == Cell::gru_reset_before) return {limit, false, false, false};
  if (shape.projected > 0 || shape.normalized)
    return {shape.rows < limit ? static_cast<int>(shape.rows < 1 ? 1 : shape.rows) : limit, false, false, false};
  SequenceSharing sharing{};
  SequenceBackward<T> call{};
  call.forward.shape = shape;
  with_layout<T, P>(shape, [&]<class L>() {
    sharing.threads = useful_threads<L>(shape, limit);
    const BackwardPlan<L> plan(call, Team{0, sharing.threads, nullptr});
    sharing.forward_by_units = plan.forward.split == Split::units;
    sharing.backward_by_units = plan.weights.split == Split::units;
    sharing.chunked = plan.forward.chunked;
  });
  return sharing;
}

template <class T, class P>
static void run_forward(const SequenceForward<T>& call, const Team& team) {
  if (call.shape.cell == Cell::gru_reset_before) {
    reset_before_forward(call, team);
    if (call.panels) reset_before_pack_panels(call, call.panels, team);
    return;
  }
  if (call.shape.projected > 0)
    return with_projected_cell<T>(call.shape, [&](const auto& cell) { projected_forward(call, cell, team); });
  if (call.shape.normalized)
    return with_normalized_cell<T>(call.shape, [&](const auto& cell) { normalized_forward(call, cell, team); });
  with_layout<T, P>(call.shape, [&]<class L>() {
    sequence_forward<L>(call, cell_kernels<L>(call.shape), team);
    if (call.panels) pack_panels<L>(call, team);
  });
}

template <class T, class P>
static void run_backward(const SequenceBackward<T>& call, const Team& team) {
  if (call.forward.shape.cell == Cell::gru_reset_before) return reset_before_backward(call, team);
  if (call.forward.shape.projected > 0)
    return with_projected_cell<T>(call.forward.shape, [&](const auto& cell) { projected_backward(call, cell, team); });
  if (call.forward.shape.normalized)
    return with_normalized_cell<T>(call.forward.shape,
                                   [&](const auto& cell) { normalized_backward(call, cell, team); });
  with_layout<T, P>(call.forward.shape,
                    [&]<class L>() { sequence_backward<L>(call, cell_kernels<L>(call.forward.shape), team); });
}

template <class T, class P = T>
constexpr SequenceKernels<T> sequence_table{sequence_sizes<T, P>, sequence_sharing<T, P>, run_forward<T, P>,
                                            run_backward<T, P>};

}  // namespace
}  // namespace rnncore
