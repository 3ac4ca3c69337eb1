// Back-propagation through time for any cell (Werbos 1990).
//
// Going back in time, each step adds the product of the later step's slot gradients with the transposed recurrent
// weights to dh, runs the cell backward on registers, and overwrites the slots with their gradients.
// Everything that is not recurrent (dx and the weight gradients) follows as long products.
#pragma once

#include "core/recurrent/kept_gradients.h"
#include "core/recurrent/sequence_forward.h"
#include "core/recurrent/sequence_gradients.h"
#include "core/recurrent/weight_gradients.h"

namespace rnncore {
namespace {

// dh of step t from outside, for `Vectors` vectors of units from unit `first` on: the output's gradient, and what
// passes the products or the last state's gradient.
template <int Vectors, class L>
RNNCORE_INLINE void outer_gradients(const BackwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t rows,
                                    int64_t first, bool later, Vec<typename L::Type>* dh) {
  using T = typename L::Type;
  const SequenceShape& s = p.shape;
  const int64_t H = s.units, padded = L::padded(H);
  const auto& dy = p.call.doutput;
  const T* doutput = dy.data ? view_row(dy, s, t, row) + first : nullptr;
  const T* dstate = !later && p.call.dstate[0] ? p.call.dstate[0] + row * H + first : nullptr;
  // The rows of a batch may lie far apart, and the processor would not look for those of the step to come.
  const T* ahead = doutput && t > 0 ? view_row(dy, s, t - 1, row) + first : nullptr;
  const T* carried = later && p.dcarry ? p.dcarry + row * padded + first : nullptr;
  const int64_t doutput_row = row_step * dy.row, left = H - first;
  for (int64_t r = 0; r < rows; ++r, dh += Vectors)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const int64_t u = v * W<T>;
      Vec<T> sum = doutput ? load_partial(doutput + r * doutput_row + u, left - u) : Vec<T>{};
      if (ahead) __builtin_prefetch(ahead + r * doutput_row + u);
      if (carried) sum += load(carried + r * row_step * padded + u);
      if (dstate) sum += load_partial(dstate + r * row_step * H + u, left - u);
      dh[v] = sum;
    }
}

// Adds what the recurrent product of step t hands through the mask to dh before it.
template <class L>
static __attribute__((noinline)) void masked_state_gradients(const BackwardPlan<L>& p, int64_t t, int64_t row,
                                                             int64_t row_step, int64_t rows, int64_t vector,
                                                             int vectors, Vec<typename L::Type>* dh) {
  using T = typename L::Type;
  const T* dslots = p.dslots_row(t, row);
  const int64_t dslots_row = row_step * p.forward.tape_row, H = p.shape.units;
  Vec<T> product[kBandRows * kTileVectors];
  for (int64_t i = 0; i < rows * vectors; ++i) product[i] = Vec<T>{};
  accumulate_band(p.weights.recurrent, p.slice, rows, vectors, dslots, dslots_row, vector, product);
  const T* mask = p.call.forward.recurrent_mask;
  for (int64_t r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) {
      const int64_t unit = (vector + v) * W<T>;
      Vec<T>& sum = dh[r * vectors + v];
      sum = add_masked(sum, product[r * vectors + v], load_partial(mask + (row + r * row_step) * H + unit, H - unit));
    }
}

// Adds what the recurrent product of step t hands to dh before it.
template <class L>
RNNCORE_INLINE void state_gradients(const BackwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t rows,
                                    int64_t vector, int vectors, Vec<typename L::Type>* dh) {
  if (p.call.forward.recurrent_mask) return masked_state_gradients(p, t, row, row_step, rows, vector, vectors, dh);
  accumulate_band(p.weights.recurrent, p.slice, rows, vectors, p.dslots_row(t, row), row_step * p.forward.tape_row,
                  vector, dh);
}

// The same for one row of a layer no wider than `Vectors`, where latency is all that counts: `later` are the slot
// gradients of its last vector of units.
template <class L, int Vectors>
RNNCORE_INLINE void narrow_state_gradients(const BackwardPlan<L>& p, int64_t t, int64_t row,
                                           const Vec<typename L::Type> (&later)[L::Form::slots],
                                           Vec<typename L::Type>* sums) {
  using T = typename L::Type;
  const TransposedPanels<L>& u = p.weights.recurrent;
  constexpr int chains = kTileVectors / Vectors;
  auto& dh = *reinterpret_cast<Vec<T>(*)[1][Vectors]>(sums);
  if constexpr (kKeepsRow<L> && Vectors == 1) {
    Vec<T> acc[chains][1][1] = {};
    acc[0][0][0] = dh[0][0];
#pragma GCC unroll 8
    for (int i = 0; i < L::Form::gates; ++i)
      lanes_accumulate(later[L::Form::recurrent_slot + i], u.data + i * W<T> * W<T>, acc);
    add_chains(acc);
    dh[0][0] = acc[0][0][0];
  } else {
    const Runs runs = u.runs(L::blocks(u.H));
    const auto* a = u.factors(p.dslots_row(t, row), 0);
    for (int64_t i = 0; i < runs.count; ++i)
      tile_accumulate<T, 1, Vectors, chains>(runs.depth, a + i * runs.stride, 0, 1,
                                             u.data + i * runs.depth * Vectors * W<T>, Vectors * W<T>, dh);
  }
}

// What passes the products of the first step to dh of a row's initial state.
template <class L>
RNNCORE_INLINE Vec<typename L::Type> initial_carry(const BackwardPlan<L>& p, int64_t row, int64_t vector) {
  using T = typename L::Type;
  return p.dcarry ? load(p.dcarry + row * L::padded(p.shape.units) + vector * W<T>) : Vec<T>{};
}

// Hands on dh, and dc, of a row's initial state for some vectors of units.
template <class L>
RNNCORE_INLINE void store_initial_gradients(const BackwardPlan<L>& p, int64_t row, int64_t vector, int vectors,
                                            const Vec<typename L::Type>* dh) {
  using T = typename L::Type;
  const int64_t H = p.shape.units;
  for (int v = 0; v < vectors; ++v) {
    const int64_t unit = (vector + v) * W<T>;
    if (unit >= H) continue;
    if (p.call.dinitial_state[0]) store_partial(p.call.dinitial_state[0] + row * H + unit, dh[v], H - unit);
    if (L::Form::has_memory && p.call.dinitial_state[1])
      store_partial(p.call.dinitial_state[1] + row * H + unit, load(p.dmemory + row * L::padded(H) + unit), H - unit);
  }
}

// All steps of one row of a layer no wider than `Vectors`: its sums never leave the registers, nor do, with Kept, the
// gradients of its weights.
template <int Vectors, bool Kept, class L, class CellOf>
static __attribute__((noinline)) void backward_row(const BackwardPlan<L>& p, const CellKernels<L>& kernels, int64_t row,
                                                   const Team& team) {
  const SequenceShape& s = p.shape;
  const CellOf cell{kernels};
  Vec<typename L::Type> slots[L::Form::slots] = {};
  using Gradients = KeptGradients<L>;
  Gradients gradients;
  if constexpr (Kept) Gradients::clear(gradients);
  bool later = false;
  for (int64_t t = s.steps - 1; t >= 0; --t) {
    if (t % kChunkSteps == 0) may_stop(team, kChunkSteps * step_operations<L>(s) * L::blocks(s.units));
    if (row >= active_rows(s, t)) continue;
    Vec<typename L::Type> dh[Vectors];
    outer_gradients<Vectors>(p, t, row, 1, 1, 0, later, dh);
    if (later) narrow_state_gradients<L, Vectors>(p, t + 1, row, slots, dh);
    cell.backward(p, t, row, 1, 1, 0, Vectors, later, dh, slots);
    if constexpr (Kept)
      Gradients::add(gradients, s.inputs, p.forward.input_factor(t, row), p.forward.factor(t, row), slots[0]);
    later = true;
  }
  if constexpr (Kept) Gradients::keep(gradients, s.inputs, p.call.dkernel, p.call.drecurrent_kernel, p.call.dbias);
  if (!later || !p.wants_initial_gradients()) return;
  Vec<typename L::Type> dh[Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) dh[v] = initial_carry(p, row, v);
  narrow_state_gradients<L, Vectors>(p, 0, row, slots, dh);
  store_initial_gradients(p, row, 0, Vectors, dh);
}

template <class L, class CellOf>
static void backward_row(const BackwardPlan<L>& p, const CellKernels<L>& cell, int64_t row, const Team& team) {
  if constexpr (kKeepsGradients<L>)
    if (keeps_gradients<L>(p.shape)) return backward_row<1, true, L, CellOf>(p, cell, row, team);
  if constexpr (L::U == 1)
    if (p.narrow == 1) return backward_row<1, false, L, CellOf>(p, cell, row, team);
  // A wider layer of one gate has wider blocks.
  if constexpr (kTileVectors >= 4 && (L::U == 2 || L::part_vectors > 1) && L::U < 4)
    backward_row<2, false, L, CellOf>(p, cell, row, team);
}

// Asks for `Vectors` vectors of units of what the cells of some rows read, which comes from far away, while the
// products run.
template <int Vectors, class L>
RNNCORE_INLINE void fetch_saved(const BackwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t rows,
                                int64_t vector) {
  using T = typename L::Type;
  using Form = typename L::Form;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t n = row + r * row_step, first = vector * W<T>, count = Vectors * W<T>;
    fetch_lines(p.dslots_row(t, n) + first * Form::slots, count * Form::slots);
    if (Form::has_memory && t > 0) fetch_lines(p.forward.memory_row(t - 1, n) + first, count);
  }
}

// Rows [from, to) of a share at step t, for the `Vectors` vectors of units of a panel. `later`: step t + 1 has these
// rows.
template <int Vectors, class L>
static void backward_panel(const BackwardPlan<L>& p, const CellKernels<L>& cell, int64_t t, const RowShare& share,
                           int64_t from, int64_t to, int64_t vector, bool later) {
  Vec<typename L::Type> dh[kBandRows * Vectors];
  for (int64_t i = from; i < to;) {
    // Slices need a band. Otherwise a few tiles keep dh and what is fetched in the nearest cache.
    int64_t rows = p.slice ? (to - i < kBandRows ? to - i : kBandRows) : tile_rows(to - i);
    while (!p.slice && rows < to - i && rows <= kCellRows / Vectors) rows += tile_rows(to - i - rows);
    const int64_t row = share.first + i * share.step;
    outer_gradients<Vectors>(p, t, row, share.step, rows, vector * W<typename L::Type>, later, dh);
    if constexpr (L::Form::keeps_slots) fetch_saved<Vectors>(p, t, row, share.step, rows, vector);
    if (later) state_gradients(p, t + 1, row, share.step, rows, vector, Vectors, dh);
    cell.backward(p, t, row, share.step, rows, vector, Vectors, later, dh, nullptr);
    i += rows;
  }
}

// The same for vectors [begin, end) of units. A long step's team is `watched`.
template <class L>
static void backward_step(const BackwardPlan<L>& p, const CellKernels<L>& cell, int64_t t, const RowShare& share,
                          int64_t from, int64_t to, Range vectors, bool later, const Team* watched) {
  for (int64_t vector = vectors.begin; vector < vectors.end;) {
    const int count = panel_vectors(vectors.end - vector);
    if (watched) may_stop(*watched, (to - from) * count * step_operations<L>(p.shape) / L::U);
    if (count == 1)
      backward_panel<1>(p, cell, t, share, from, to, vector, later);
    else if (count == 2)
      backward_panel<2>(p, cell, t, share, from, to, vector, later);
    else
      backward_panel<kTileVectors>(p, cell, t, share, from, to, vector, later);
    vector += count;
  }
}

// dh and dc of the initial states, after the first step.
template <class L>
static void initial_states(const BackwardPlan<L>& p, const RowShare& share, Range vectors) {
  using T = typename L::Type;
  const int64_t count = RowShare::below(share, active_rows(p.shape, 0));
  for (int64_t vector = vectors.begin; vector < vectors.end;) {
    const int width = panel_vectors(vectors.end - vector);
    for (int64_t i = 0; i < count;) {
      const int64_t rows = count - i < kBandRows ? count - i : kBandRows, row = share.first + i * share.step;
      Vec<T> dh[kBandRows * kTileVectors];
      for (int64_t r = 0; r < rows; ++r)
        for (int v = 0; v < width; ++v) dh[r * width + v] = initial_carry(p, row + r * share.step, vector + v);
      state_gradients(p, 0, row, share.step, rows, vector, width, dh);
      for (int64_t r = 0; r < rows; ++r)
        store_initial_gradients(p, row + r * share.step, vector, width, dh + r * width);
      i += rows;
    }
    vector += width;
  }
}

// Sums over the rows, in order, for this thread's units.
template <class L>
static void extra_gradients(const BackwardPlan<L>& p, const Team& team) {
  using T = typename L::Type;
  const int64_t H = p.shape.units, padded = L::padded(H), count = extra_rows(p.shape);
  const Range vectors = team_range((H + W<T> - 1) / W<T>, team, 1);
  for (int64_t k = 0; k < count; ++k)
    for (int64_t unit = vectors.begin * W<T>; unit < vectors.end * W<T>; unit += W<T>) {
      Vec<T> sum{};
      for (int64_t r = 0; r < active_rows(p.shape, 0); ++r) sum += load(p.dextra + (count * r + k) * padded + unit);
      store_partial(p.call.dfurther + k * H + unit, sum, H - unit);
    }
}

// Rows without a step hand the gradient of their state on.
template <class L>
static void pass_states_through(const BackwardPlan<L>& p, const RowShare& share) {
  const int64_t H = p.shape.units;
  for (int64_t i = RowShare::below(share, active_rows(p.shape, 0)); i < share.count; ++i) {
    const int64_t r = share.first + i * share.step;
    for (int k = 0; k < (L::Form::has_memory ? 2 : 1); ++k) {
      if (!p.call.dinitial_state[k]) continue;
      for (int64_t u = 0; u < H; ++u)
        p.call.dinitial_state[k][r * H + u] = p.call.dstate[k] ? p.call.dstate[k][r * H + u] : 0;
    }
  }
}

template <class L>
static void sequence_backward(const SequenceBackward<typename L::Type>& call, const CellKernels<L>& cell,
                              const Team& team) {
  using T = typename L::Type;
  const BackwardPlan<L> p(call, team);
  const SequenceShape& s = p.shape;
  const bool by_units = p.weights.split == Split::units;
  const bool packed = call.forward.panels;
  if (!packed) p.weights.pack_recurrent(call.forward.recurrent_kernel, team);
  if (!packed && !by_units) team_barrier(team);

  const RowShare share = row_share<T>(s, team, p.weights.split);
  const auto own_units = [&](auto body) __attribute__((always_inline)) {
    by_units ? each_part(p.weights.unit_vectors, p.weights.parts, team, body) : body(Range{0, p.weights.unit_vectors});
  };
  if (!by_units || team.thread == 0) pass_states_through(p, share);
  const bool narrow = share.count == 1 && p.narrow > 0;
  if (narrow) cell.backward_row(p, cell, share.first, team);
  const int64_t operations = share.count * step_operations<L>(s) * L::blocks(s.units);
  const Team* watched = operations > kLongStep ? &team : nullptr;
  for (int64_t t = s.steps - 1; t >= 0 && !narrow; --t) {
    if (!watched && t % kChunkSteps == 0) may_stop(team, kChunkSteps * operations);
    const int64_t later = RowShare::below(share, active_rows(s, t + 1));
    const int64_t count = RowShare::below(share, active_rows(s, t));
    own_units([&](Range vectors) {
      if (later > 0) backward_step(p, cell, t, share, 0, later, vectors, true, watched);
      if (later < count) backward_step(p, cell, t, share, later, count, vectors, false, watched);
    });
    if (by_units) {
      team_barrier(team, p.weights.recurrent.panel(team_range(p.weights.unit_vectors, team, 1).begin));
      if (s.rows == 1) fetch_lines(p.dslots_row(t, 0), p.forward.tape_row);
    }
  }
  if (!narrow && p.wants_initial_gradients()) own_units([&](Range vectors) { initial_states(p, share, vectors); });
  if (!packed && call.dx.data) p.weights.pack_input(call.forward.kernel, team);
  team_barrier(team);
  if (call.dx.data) input_gradient(p, team);
  extra_gradients(p, team);
  if (!keeps_gradients<L>(s)) weight_gradients(p, team);
}

}  // namespace
}  // namespace rnncore
