// Fills the table of recurrent kernels for one type: picks the cell, its activations and its layout.
#pragma once

#include "core/recurrent/cells/gru.h"
#include "core/recurrent/cells/lstm_peephole.h"
#include "core/recurrent/cells/simple_rnn.h"
#include "core/recurrent/cells/zoneout.h"
#include "core/recurrent/gru_reset_before.h"
#include "core/recurrent/normalized_cells.h"
#include "core/recurrent/projected_lstm.h"
#include "core/recurrent/row_sequence.h"
#include "core/recurrent/sequence_backward.h"

namespace rnncore {
namespace {

// The usual cells' rows are compiled as one piece, those of all others call the cell.
template <class L, class CellT>
constexpr CellKernels<L> kUsual{forward_tile<L, CellT>, backward_tile<L, CellT>, forward_row<L, InlineCell<L, CellT>>,
                                backward_row<L, InlineCell<L, CellT>>};
template <class L, class CellT>
constexpr CellKernels<L> kOther{forward_tile<L, CellT>, backward_tile<L, CellT>, forward_row<L, CellKernels<L>>,
                                backward_row<L, CellKernels<L>>};

// Whether a call has the functions that cells are compiled with.
RNNCORE_INLINE bool usual_functions(const SequenceShape& s) {
  return s.activation.function == Function::tanh && s.recurrent_activation.function == Function::sigmoid;
}

template <class L>
RNNCORE_INLINE const CellKernels<L>& cell_kernels(const SequenceShape& s) {
  using T = typename L::Type;
  const bool usual = usual_functions(s);
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

// Each driver says how much memory a call takes and how many threads, and runs it forward and backward.

// Products and cells of tiles of rows.
template <class L>
struct TileDriver {
  using T = typename L::Type;

  void sizes(const SequenceBackward<T>& call, const Team& team, SequenceSizes& sizes) const {
    const SequenceShape& s = call.forward.shape;
    sizes.tape = ForwardPlan<L>::tape_size(s);
    sizes.panels = panels_size<L>(s);
    const ForwardPlan<L> plan(call.forward, team.threads);
    sizes.packed_weights = plan.packed_used;
    sizes.forward_workspace = plan.workspace_used;
    if (call.forward.tape) sizes.backward_workspace = BackwardPlan<L>(call, team).workspace_used;
  }
  SequenceSharing sharing(const SequenceShape& s, int limit) const {
    SequenceBackward<T> call{};
    call.forward.shape = s;
    const int threads = useful_threads<L>(s, limit);
    const BackwardPlan<L> plan(call, Team{0, threads, nullptr});
    return {threads, plan.forward.split == Split::units, plan.weights.split == Split::units, plan.forward.chunked};
  }
  void pack(const SequenceForward<T>& call, const Team& team) const {
    const ForwardPlan<L> plan(call, team.threads);
    const Range blocks = team_range(plan.blocks, team, 1);
    if constexpr (kCompact<L>)
      if (call.shape.weights != WeightFormat::full) return pack_forward_compact(plan, blocks);
    pack_forward(plan, blocks);
    pack_table(plan, blocks);
  }
  void forward(const SequenceForward<T>& call, const Team& team) const {
    sequence_forward<L>(call, cell_kernels<L>(call.shape), team);
    if (call.panels) pack_panels<L>(call, team);
  }
  void backward(const SequenceBackward<T>& call, const Team& team) const {
    sequence_backward<L>(call, cell_kernels<L>(call.forward.shape), team);
  }
};

// Products and policies of whole rows.
template <class T>
struct RowDriver {
  const RowKernels<T>& policy;

  void sizes(const SequenceBackward<T>& call, const Team& team, SequenceSizes& sizes) const {
    const RowFacts facts = policy.facts(call.forward.shape);
    Workspace<T> forward{nullptr}, panels{nullptr};
    RowWeights<T>(call.forward.shape, facts, false, forward), RowWeights<T>(call.forward.shape, facts, true, panels);
    sizes.packed_weights = forward.used;
    sizes.tape = RowPlan<T>(call.forward, facts, team.threads, forward).tape_used;
    sizes.forward_workspace = forward.used;
    sizes.panels = panels.used;
    if (call.forward.tape) sizes.backward_workspace = RowBackwardPlan<T>(call, facts, team).workspace.used;
  }
  SequenceSharing sharing(const SequenceShape&, int limit) const { return {limit, false, false, false}; }
  void pack(const SequenceForward<T>& call, const Team& team) const {
    Workspace<T> packed{call.packed_weights};
    RowWeights<T>(call.shape, policy.facts(call.shape), false, packed).pack(call, true, team);
  }
  void forward(const SequenceForward<T>& call, const Team& team) const {
    row_forward(call, policy, team);
    if (!call.panels) return;
    Workspace<T> panels{call.panels};
    RowWeights<T>(call.shape, policy.facts(call.shape), true, panels).pack(call, true, team);
  }
  void backward(const SequenceBackward<T>& call, const Team& team) const { row_backward(call, policy, team); }
};

// The step policy that serves the shape, or null.
template <class T>
RNNCORE_INLINE const RowKernels<T>* row_kernels(const SequenceShape& s) {
  using UsualLstm = LstmCell<T, Tanh, Sigmoid>;
  using AnyLstm = LstmCell<T, Chosen, Chosen>;
  using UsualGru = GruCell<T, Tanh, Sigmoid>;
  using AnyGru = GruCell<T, Chosen, Chosen>;
  const bool usual = usual_functions(s);
  if (s.cell == Cell::gru_reset_before) return &kRow<T, GruResetBefore<T>>;
  if (s.projected > 0) return usual ? &kRow<T, ProjectedLstm<T, UsualLstm>> : &kRow<T, ProjectedLstm<T, AnyLstm>>;
  if (!s.normalized) return nullptr;
  if (s.cell == Cell::lstm) return usual ? &kRow<T, Normalized<UsualLstm>> : &kRow<T, Normalized<AnyLstm>>;
  if (s.cell == Cell::gru) return usual ? &kRow<T, Normalized<UsualGru>> : &kRow<T, Normalized<AnyGru>>;
  return &kRow<T, Normalized<SimpleRnnCell<T, Chosen>>>;
}

// Calls body with the driver that serves the shape; products of tiles multiply elements P.
template <class T, class P, class Body>
RNNCORE_INLINE void with_driver(const SequenceShape& s, Body body) {
  if constexpr (std::is_same_v<T, P>)  // others are the tiles' only
    if (const RowKernels<T>* rows = row_kernels<T>(s)) return body(RowDriver<T>{*rows});
  with_layout<T, P>(s, [&]<class L>() { body(TileDriver<L>{}); });
}

template <class T, class P>
static SequenceSizes sequence_sizes(const SequenceShape& shape, bool training, int threads) {
  SequenceSizes sizes{};
  SequenceBackward<T> call{};
  call.forward.shape = shape;
  // Null pointers stand for arrays to be; only the tape's and the output's presence matters here.
  T present{};
  if (training) call.forward.tape = call.forward.output.data = &present;
  with_driver<T, P>(shape, [&](const auto& driver) { driver.sizes(call, Team{0, threads, nullptr}, sizes); });
  if (!training) sizes.tape = 0;
  return sizes;
}

template <class T, class P>
static SequenceSharing sequence_sharing(const SequenceShape& shape, int limit) {
  SequenceSharing sharing{};
  with_driver<T, P>(shape, [&](const auto& driver) { sharing = driver.sharing(shape, limit); });
  return sharing;
}

template <class T, class P>
static void pack_weights_ahead(const SequenceForward<T>& call, const Team& team) {
  with_driver<T, P>(call.shape, [&](const auto& driver) { driver.pack(call, team); });
}

template <class T, class P>
static void run_forward(const SequenceForward<T>& call, const Team& team) {
  with_driver<T, P>(call.shape, [&](const auto& driver) { driver.forward(call, team); });
}

template <class T, class P>
static void run_backward(const SequenceBackward<T>& call, const Team& team) {
  with_driver<T, P>(call.forward.shape, [&](const auto& driver) { driver.backward(call, team); });
}

template <class T, class P = T>
constexpr SequenceKernels<T> sequence_table{sequence_sizes<T, P>, sequence_sharing<T, P>, pack_weights_ahead<T, P>,
                                            run_forward<T, P>, run_backward<T, P>};

}  // namespace
}  // namespace rnncore
