// Back-propagation through time for any cell (Werbos 1990).
//
// Going back in time, each step adds the product of the later step's slot gradients with the transposed recurrent
// weights to dh, runs the cell backward on registers, and overwrites the slots with their gradients.
// Everything that is not recurrent (dx and the weight gradients) follows as long products.
#pragma once

#include "core/kept_gradients.h"
#include "core/sequence_forward.h"
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
  T* dcarry;             // part of dh that passes the products by [N][padded H]
  T* dpeepholes;         // of each row, over its steps [N][3][padded H]
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
    dcarry = w.take(w, Form::carries_dh ? N * L::padded(H) : 0);
    dpeepholes = w.take(w, has_peepholes<Form> ? 3 * N * L::padded(H) : 0);
    using Panels = TransposedPanels<L>;
    using Element = typename L::Element;
    recurrent = {w.template take<Element>(w, Panels::size(H, H)), H, H, Form::recurrent_slot, true};
    const bool wants_dx = (b.dx.data || !b.workspace) && !has_narrow_inputs<L>(shape);
    input = {w.template take<Element>(w, wants_dx ? Panels::size(I, H) : 0), I, H, Form::input_slot, false};
    slice = slice_blocks<L>(shape);
    const bool whole = split == Split::rows && !shape.recurrent_dropout;
    narrow = whole && unit_vectors <= kTileVectors / 2 ? unit_vectors : 0;
    const int64_t scratch = WeightGradientPlan<L>(shape, team, nullptr).workspace_used;
    gradient_scratch = w.take(w, scratch * team.threads);
    if (gradient_scratch) gradient_scratch += scratch * team.thread;
    workspace_used = w.used;
  }

  bool wants_initial_gradients() const { return call.dinitial_state[0] || call.dinitial_state[1]; }

  T* dslots_row(int64_t t, int64_t r) const { return dslots + (step_offset(shape, t) + r) * forward.tape_row; }
};

// Slot gradients of unit vector `vector` of a row, as the products read them.
template <class L, class V>
RNNCORE_INLINE void store_dslots(typename L::Type* row, int64_t vector, const V (&slot)[L::Form::slots]) {
  constexpr int64_t size = L::Form::slots * W<typename L::Type>;
  if constexpr (L::rounded) {
    static_assert(L::U == 1 || !L::Form::keeps_slots, "overwrites a unit vector that is still to be read");
    auto* out = reinterpret_cast<typename L::Number*>(row + vector / L::U * L::width) + vector % L::U * size;
    for (int i = 0; i < L::Form::slots; ++i) store_bfloat16(out + i * W<typename L::Type>, slot[i]);
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < L::Form::slots; ++i) store(row + vector * size + i * W<typename L::Type>, slot[i]);
  }
}

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
  const T* carried = later && L::Form::carries_dh ? p.dcarry + row * padded + first : nullptr;
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
  accumulate_band(p.recurrent, p.slice, rows, vectors, dslots, dslots_row, vector, product);
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
  accumulate_band(p.recurrent, p.slice, rows, vectors, p.dslots_row(t, row), row_step * p.forward.tape_row, vector, dh);
}

// The same for one row of a layer no wider than `Vectors`, where latency is all that counts: `later` are the slot
// gradients of its last vector of units.
template <class L, int Vectors>
RNNCORE_INLINE void narrow_state_gradients(const BackwardPlan<L>& p, int64_t t, int64_t row,
                                           const Vec<typename L::Type> (&later)[L::Form::slots],
                                           Vec<typename L::Type>* sums) {
  using T = typename L::Type;
  const TransposedPanels<L>& u = p.recurrent;
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

// The cells of step t backward: overwrites the slots with their gradients. `kept`, if any, are those of the last
// vector.
template <int Vectors, class L, class CellT>
RNNCORE_INLINE void backward_cells(const BackwardPlan<L>& p, const CellT& cell, int64_t t, int64_t row,
                                   int64_t row_step, int64_t rows, int64_t vector, bool later,
                                   const Vec<typename L::Type>* dh, Vec<typename L::Type>* kept = nullptr) {
  using T = typename L::Type;
  using Form = typename L::Form;
  const SequenceShape& s = p.shape;
  const SequenceForward<T>& f = p.call.forward;
  const int64_t H = s.units, padded = L::padded(H), first = vector * W<T>;
  // Rows of this step and of the one before; null before the first step stands for zeros.
  T* dslots = p.dslots_row(t, row);
  const T *output = nullptr, *hidden = nullptr, *memory = nullptr, *memory_before = nullptr;
  if (!Form::keeps_slots) output = view_row(f.output, s, t, row);
  const T* ahead = !Form::keeps_slots && t > 0 ? view_row(f.output, s, t - 1, row) : nullptr;
  if (Form::carries_dh) hidden = t > 0 ? view_row(f.output, s, t - 1, row) : f.initial_state[0];
  if (Form::has_memory) {
    memory = p.forward.memory_row(t, row);
    memory_before = t > 0 ? p.forward.memory_row(t - 1, row) : f.initial_state[1];
  }
  if (t == 0 && hidden) hidden += row * H;
  if (t == 0 && memory_before) memory_before += row * H;
  const int64_t hidden_row = t > 0 ? f.output.row : H, before_row = t > 0 ? padded : H;
  for (int64_t r = 0; r < rows; ++r, dh += Vectors) {
    const int64_t place = r * row_step, n = row + place;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const int64_t unit = first + v * W<T>;
      T* row_slots = dslots + place * p.forward.tape_row;
      if (unit >= H) {
        // Padding: the products read these as zeros.
        store_dslots<L, Vec<T>>(row_slots, vector + v, {});
        continue;
      }
      Vec<T> slot[Form::slots];
      if (Form::keeps_slots)
#pragma GCC unroll 8
        for (int i = 0; i < Form::slots; ++i) slot[i] = load(row_slots + ((vector + v) * Form::slots + i) * W<T>);
      Vec<T> h{}, h_before{}, c{}, c_before{}, dc{}, carry{};
      if (ahead) __builtin_prefetch(ahead + place * f.output.row + unit);
      if (!Form::keeps_slots) h = load_partial(output + place * f.output.row + unit, H - unit);
      if (Form::carries_dh && hidden) h_before = load_partial(hidden + place * hidden_row + unit, H - unit);
      if (Form::has_memory) {
        c = load(memory + place * padded + unit);
        // Beyond the units the memory of a step holds what no one reads.
        if (memory_before) c_before = load_partial(memory_before + place * before_row + unit, H - unit);
        if (later)
          dc = load(p.dmemory + n * padded + unit);
        else if (p.call.dstate[1])
          dc = load_partial(p.call.dstate[1] + n * H + unit, H - unit);
      }
      const CellT here = cell_at<Form>(cell, f.further, unit, H);
      if constexpr (is_zoned<Form>)
        zoned_backward<Form>(here, slot, h, h_before, c, c_before, dh[v], dc, carry, hold(p.forward, 0, t, n, unit),
                             hold(p.forward, 1, t, n, unit));
      else
        CellT::backward(here, slot, h, h_before, c, c_before, dh[v], dc, carry);
      if constexpr (has_peepholes<Form>) {
        T* sums = p.dpeepholes + 3 * n * padded + unit;
        const Vec<T> shares[3] = {slot[0] * c_before, slot[1] * c_before, slot[3] * c};
        for (int k = 0; k < 3; ++k)
          store(sums + k * padded, unfused(shares[k]) + (later ? load(sums + k * padded) : Vec<T>{}));
      }
      store_dslots<L>(row_slots, vector + v, slot);
      if (kept)
#pragma GCC unroll 8
        for (int i = 0; i < Form::slots; ++i) kept[i] = slot[i];
      if (Form::has_memory) store(p.dmemory + n * padded + unit, dc);
      if (Form::carries_dh) store(p.dcarry + n * padded + unit, carry);
    }
  }
}

// What passes the products of the first step to dh of a row's initial state.
template <class L>
RNNCORE_INLINE Vec<typename L::Type> initial_carry(const BackwardPlan<L>& p, int64_t row, int64_t vector) {
  using T = typename L::Type;
  return L::Form::carries_dh ? load(p.dcarry + row * L::padded(p.shape.units) + vector * W<T>) : Vec<T>{};
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
template <int Vectors, bool Kept, class L, class CellT>
static __attribute__((noinline)) void backward_row(const BackwardPlan<L>& p, const CellT& cell, int64_t row,
                                                   const Team& team) {
  const SequenceShape& s = p.shape;
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
    backward_cells<Vectors>(p, cell, t, row, 1, 1, 0, later, dh, slots);
    if constexpr (Kept)
      Gradients::add(gradients, s.inputs, p.forward.input_factor(t, row), p.forward.factor(t, row), slots[0]);
    later = true;
  }
  if constexpr (Kept) Gradients::keep(gradients, s.inputs, p.call.dkernel, p.call.drecurrent_kernel, p.call.dbias);
  if (!later || !p.wants_initial_gradients()) return;
  Vec<typename L::Type> dh[Vectors];
  for (int v = 0; v < Vectors; ++v) dh[v] = initial_carry(p, row, v);
  narrow_state_gradients<L, Vectors>(p, 0, row, slots, dh);
  store_initial_gradients(p, row, 0, Vectors, dh);
}

template <class L, class CellT>
static void backward_row(const BackwardPlan<L>& p, const CellT& cell, int64_t row, const Team& team) {
  if constexpr (kKeepsGradients<L>)
    if (keeps_gradients<L>(p.shape)) return backward_row<1, true>(p, cell, row, team);
  p.narrow == 1 ? backward_row<1, false>(p, cell, row, team) : backward_row<2, false>(p, cell, row, team);
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

// Rows [from, to) of a share at step t, for the `Vectors` vectors of units of a panel. Later: step t + 1 has these
// rows.
template <bool Later, int Vectors, class L, class CellT>
static void backward_panel(const BackwardPlan<L>& p, const CellT& cell, int64_t t, const RowShare& share, int64_t from,
                           int64_t to, int64_t vector) {
  Vec<typename L::Type> dh[kBandRows * Vectors];
  for (int64_t i = from; i < to;) {
    // One tile at a time keeps dh in registers' reach; slices need a band.
    const int64_t rows = p.slice ? (to - i < kBandRows ? to - i : kBandRows) : tile_rows(to - i);
    const int64_t row = share.first + i * share.step;
    outer_gradients<Vectors>(p, t, row, share.step, rows, vector * W<typename L::Type>, Later, dh);
    if constexpr (L::Form::keeps_slots) fetch_saved<Vectors>(p, t, row, share.step, rows, vector);
    if constexpr (Later) state_gradients(p, t + 1, row, share.step, rows, vector, Vectors, dh);
    backward_cells<Vectors>(p, cell, t, row, share.step, rows, vector, Later, dh);
    i += rows;
  }
}

// The same for vectors [begin, end) of units. A long step's team is `watched`.
template <bool Later, class L, class CellT>
static void backward_step(const BackwardPlan<L>& p, const CellT& cell, int64_t t, const RowShare& share, int64_t from,
                          int64_t to, Range vectors, const Team* watched) {
  for (int64_t vector = vectors.begin; vector < vectors.end;) {
    const int count = panel_vectors(vectors.end - vector);
    if (watched) may_stop(*watched, (to - from) * count * step_operations<L>(p.shape) / L::U);
    if (count == 1)
      backward_panel<Later, 1>(p, cell, t, share, from, to, vector);
    else if (count == 2)
      backward_panel<Later, 2>(p, cell, t, share, from, to, vector);
    else
      backward_panel<Later, kTileVectors>(p, cell, t, share, from, to, vector);
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
static void peephole_gradients(const BackwardPlan<L>& p, const Team& team) {
  using T = typename L::Type;
  const int64_t H = p.shape.units, padded = L::padded(H);
  const Range vectors = team_range((H + W<T> - 1) / W<T>, team, 1);
  for (int k = 0; k < 3; ++k)
    for (int64_t unit = vectors.begin * W<T>; unit < vectors.end * W<T>; unit += W<T>) {
      Vec<T> sum{};
      for (int64_t r = 0; r < active_rows(p.shape, 0); ++r) sum += load(p.dpeepholes + (3 * r + k) * padded + unit);
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

template <class L, class CellT>
static void sequence_backward(const SequenceBackward<typename L::Type>& call, const CellT& cell, const Team& team) {
  using T = typename L::Type;
  const BackwardPlan<L> p(call, team);
  const SequenceShape& s = p.shape;
  const bool by_units = p.split == Split::units;
  const Range all{0, p.unit_vectors};
  const Range mine = team_range(p.unit_vectors, team, 1);
  if (by_units) {
    p.recurrent.pack(call.forward.recurrent_kernel, mine);
  } else {
    p.recurrent.pack(call.forward.recurrent_kernel, all, team);
    team_barrier(team);
  }

  const RowShare share = row_share<T>(s, team, p.split);
  const Range vectors = by_units ? mine : all;
  if (!by_units || team.thread == 0) pass_states_through(p, share);
  const bool narrow = share.count == 1 && p.narrow > 0;
  if (narrow) backward_row(p, cell, share.first, team);
  const int64_t operations = share.count * step_operations<L>(s) * L::blocks(s.units);
  const Team* watched = operations > kLongStep ? &team : nullptr;
  for (int64_t t = s.steps - 1; t >= 0 && !narrow; --t) {
    if (!watched && t % kChunkSteps == 0) may_stop(team, kChunkSteps * operations);
    const int64_t later = RowShare::below(share, active_rows(s, t + 1));
    const int64_t count = RowShare::below(share, active_rows(s, t));
    if (later > 0) backward_step<true>(p, cell, t, share, 0, later, vectors, watched);
    if (later < count) backward_step<false>(p, cell, t, share, later, count, vectors, watched);
    if (by_units) {
      team_barrier(team, p.recurrent.panel(mine.begin));
      if (s.rows == 1) fetch_lines(p.dslots_row(t, 0), p.forward.tape_row);
    }
  }
  if (!narrow && p.wants_initial_gradients()) initial_states(p, share, vectors);
  if (call.dx.data && !has_narrow_inputs<L>(s)) p.input.pack(call.forward.kernel, {0, p.input.column_vectors()}, team);
  team_barrier(team);
  if (call.dx.data) input_gradient(p, team);
  if constexpr (has_peepholes<typename L::Form>) peephole_gradients(p, team);
  if (!keeps_gradients<L>(s)) weight_gradients(p, team);
}

}  // namespace
}  // namespace rnncore
