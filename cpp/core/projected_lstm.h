// The LSTM whose output is projected (Sak et al. 2014), of H units with P numbers of h:
//
//   i, f, g, o = activations of W·x + b + U·h',  c = f·c' + i·g,  y = o·a(c),  h = y·R
//
// A step has two products in a row, so it does not fit the one-product driver. Here each thread runs its rows with
// products by weights that are packed once, on rows [i f g o] of 4·H, without any barrier between steps.
#pragma once

#include "core/cells/lstm.h"
#include "core/row_steps.h"

namespace rnncore {
namespace {

template <class T>
struct ProjectedPlan {
  const SequenceForward<T>& call;
  const SequenceShape& shape;
  int64_t total, H, H4, P;
  RowSteps<T> h;
  T* slots;   // i f g o [Σ rows][4·H]: tape; without one [N][4·H], as all three
  T* memory;  // c [Σ rows][H]
  T* y;       // [Σ rows][H]
  PackedMatrix<T> kernel, recurrent, projection;
  int64_t workspace_used, tape_used;

  ProjectedPlan(const SequenceForward<T>& f, Workspace<T> w = {nullptr})
      : call(f),
        shape(f.shape),
        total(step_offset(f.shape, f.shape.steps)),
        H(f.shape.units),
        H4(4 * H),
        P(f.shape.projected),
        h(RowSteps<T>::make(f, P, w)) {
    Workspace<T> tape{f.tape};
    Workspace<T>& kept = f.tape ? tape : w;
    const int64_t rows = f.tape ? total : shape.rows;
    slots = kept.take(kept, rows * H4);
    memory = kept.take(kept, rows * H);
    y = kept.take(kept, rows * H);
    tape_used = tape.used;
    using Matrix = PackedMatrix<T>;
    kernel = {w.take(w, Matrix::size(shape.inputs, H4)), shape.inputs, H4};
    recurrent = {w.take(w, Matrix::size(P, H4)), P, H4};
    projection = {w.take(w, Matrix::size(H, P)), H, P};
    workspace_used = w.used;
  }

  int64_t place(int64_t t, int64_t r) const { return (call.tape ? step_offset(shape, t) : 0) + r; }

  const T* memory_before(int64_t t, int64_t r) const {
    if (t > 0) return memory + place(t - 1, r) * H;
    return call.initial_state[1] ? call.initial_state[1] + r * H : nullptr;
  }
};

template <class T, class CellT>
static void projected_forward(const SequenceForward<T>& call, const CellT& cell, const Team& team) {
  const ProjectedPlan<T> p(call, Workspace<T>{call.workspace});
  const SequenceShape& s = p.shape;
  const int64_t H = p.H, H4 = p.H4;
  p.kernel.pack(call.kernel, H4, 1, team);
  p.recurrent.pack(call.recurrent_kernel, H4, 1, team);
  p.projection.pack(call.further, p.P, 1, team);
  team_barrier(team);

  const RowShare share = row_share<T>(s, team, Split::rows);
  for (int64_t t = -1; t < s.steps; ++t) {
    const int64_t count = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
    if (count == 0) break;
    if (t >= 0) {
      T* slots = p.slots + p.place(t, share.first) * H4;
      p.kernel.multiply(count, view_row(call.x, s, t, share.first), share.step * call.x.row, slots, share.step * H4,
                        call.bias, false, team);
      p.h.multiply(p.recurrent, t, share, count, slots, H4, true, team);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t r = share.first + i * share.step, place = p.place(t, r);
        const T* before = p.memory_before(t, r);
        T* slot = p.slots + place * H4;
        for (int64_t u = 0; u < H; u += W<T>) {
          Vec<T> v[4], none{}, c = before ? load_partial(before + u, H - u) : Vec<T>{};
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) v[k] = load_partial(slot + k * H + u, H - u);
          const Vec<T> y = CellT::forward(cell, v, none, c);
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) store_partial(slot + k * H + u, v[k], H - u);
          store_partial(p.memory + place * H + u, c, H - u);
          store_partial(p.y + place * H + u, y, H - u);
        }
      }
      p.projection.multiply(count, p.y + p.place(t, share.first) * H, share.step * H, p.h.row(t, share.first),
                            share.step * p.h.stride(t + 1), nullptr, false, team);
    }
    for (int64_t i = RowShare::below(share, active_rows(s, t + 1)); i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      if (call.state[0]) copy_state(p.h.before(t + 1, r), p.P, call.state[0] + r * p.P);
      if (call.state[1]) copy_state(p.memory_before(t + 1, r), H, call.state[1] + r * H);
    }
  }
}

template <class T>
struct ProjectedBackwardPlan {
  ProjectedPlan<T> forward;
  PackedMatrix<T> kernel, recurrent, projection;  // transposed
  T* dh;                                          // what later steps hand to h [N][P]
  T* dc;                                          // [N][H]
  T* dhs;                                         // dh with all it gets [Σ rows][P]
  T* before;                                      // h'·mask [Σ rows][P]
  T* x;                                           // [Σ rows][I], for an uneven one
  T* dy;                                          // [N][H]
  T* dbias;                                       // of each row, over its steps [N][4·H]
  T* scratch;
  int64_t workspace_used;

  ProjectedBackwardPlan(const SequenceBackward<T>& b, const Team& team) : forward(b.forward) {
    const int64_t H = forward.H, H4 = forward.H4, P = forward.P, I = forward.shape.inputs, N = forward.shape.rows;
    Workspace<T> w{b.workspace};
    using Matrix = PackedMatrix<T>;
    kernel = {w.take(w, Matrix::size(H4, I)), H4, I};
    recurrent = {w.take(w, Matrix::size(H4, P)), H4, P};
    projection = {w.take(w, Matrix::size(P, H)), P, H};
    dh = w.take(w, N * P);
    dc = w.take(w, N * H);
    dhs = w.take(w, forward.total * P);
    before = w.take(w, forward.total * P);
    x = w.take(w, forward.total * I);
    dy = w.take(w, N * H);
    dbias = w.take(w, N * H4);
    scratch = w.take(w, product_workspace<T>() * team.threads);
    if (scratch) scratch += product_workspace<T>() * team.thread;
    workspace_used = w.used;
  }
};

template <class T, class CellT>
static void projected_backward(const SequenceBackward<T>& call, const CellT& cell, const Team& team) {
  const ProjectedBackwardPlan<T> p(call, team);
  const ProjectedPlan<T>& f = p.forward;
  const SequenceShape& s = f.shape;
  const int64_t H = f.H, H4 = f.H4, P = f.P, I = s.inputs;
  if (call.dx.data) p.kernel.pack(call.forward.kernel, 1, H4, team);
  p.recurrent.pack(call.forward.recurrent_kernel, 1, H4, team);
  p.projection.pack(call.forward.further, 1, P, team);
  const SequenceView<const T> x = even_rows(call.forward, p.x, team);
  team_barrier(team);

  const RowShare share = row_share<T>(s, team, Split::rows);
  for (int64_t t = s.steps - 1; t >= -1; --t) {
    const int64_t count = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
    const int64_t later = RowShare::below(share, active_rows(s, t + 1));
    for (int64_t i = later; i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      copy_state(call.dstate[0] ? call.dstate[0] + r * P : nullptr, P, p.dh + r * P);
      copy_state(call.dstate[1] ? call.dstate[1] + r * H : nullptr, H, p.dc + r * H);
    }
    if (t < 0) break;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = share.first + i * share.step, m = f.place(t, r);
      const T* dout = call.doutput.data ? view_row(call.doutput, s, t, r) : nullptr;
      for (int64_t u = 0; u < P; u += W<T>) {
        Vec<T> dh = load_partial(p.dh + r * P + u, P - u);
        if (dout) dh += load_partial(dout + u, P - u);
        store_partial(p.dhs + m * P + u, dh, P - u);
      }
      f.h.copy_factor(t, r, p.before + m * P);
    }
    // dy = dh·Rᵀ
    p.projection.multiply(count, p.dhs + f.place(t, share.first) * P, share.step * P, p.dy + share.first * H,
                          share.step * H, nullptr, false, team);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = share.first + i * share.step, m = f.place(t, r);
      const T* before = f.memory_before(t, r);
      T* slot = f.slots + m * H4;
      T* sums = p.dbias + r * H4;
      for (int64_t u = 0; u < H; u += W<T>) {
        Vec<T> v[4], none{}, carry{}, dc = load_partial(p.dc + r * H + u, H - u);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) v[k] = load_partial(slot + k * H + u, H - u);
        const Vec<T> c = load_partial(f.memory + m * H + u, H - u);
        const Vec<T> c_before = before ? load_partial(before + u, H - u) : Vec<T>{};
        CellT::backward(cell, v, none, none, c, c_before, load_partial(p.dy + r * H + u, H - u), dc, carry);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          store_partial(slot + k * H + u, v[k], H - u);
          if (!call.dbias) continue;
          const Vec<T> sum = i < later ? load_partial(sums + k * H + u, H - u) : Vec<T>{};
          store_partial(sums + k * H + u, sum + v[k], H - u);
        }
        store_partial(p.dc + r * H + u, dc, H - u);
      }
    }
    // dh' = dslots·Uᵀ·mask
    const T* dslots = f.slots + f.place(t, share.first) * H4;
    p.recurrent.multiply(count, dslots, share.step * H4, p.dh + share.first * P, share.step * P, nullptr, false, team);
    for (int64_t i = 0; i < count && s.recurrent_dropout; ++i) {
      const int64_t r = share.first + i * share.step;
      f.h.mask_row(p.dh + r * P, r, p.dh + r * P);
    }
    if (call.dx.data)
      p.kernel.multiply(count, dslots, share.step * H4, view_row(call.dx, s, t, share.first), share.step * call.dx.row,
                        nullptr, false, team);
  }
  for (int64_t i = 0; i < share.count; ++i) {
    const int64_t r = share.first + i * share.step;
    if (call.dinitial_state[0]) copy_state(p.dh + r * P, P, call.dinitial_state[0] + r * P);
    if (call.dinitial_state[1]) copy_state(p.dc + r * H, H, call.dinitial_state[1] + r * H);
  }
  team_barrier(team);

  product<T>({I, H4, f.total, x.data, 1, x.row, f.slots, H4, 1, call.dkernel, H4, nullptr, false}, team, p.scratch);
  product<T>({P, H4, f.total, p.before, 1, P, f.slots, H4, 1, call.drecurrent_kernel, H4, nullptr, false}, team,
             p.scratch);
  product<T>({H, P, f.total, f.y, 1, H, p.dhs, P, 1, call.dfurther, P, nullptr, false}, team, p.scratch);
  if (call.dbias) add_rows(s, p.dbias, H4, H4, call.dbias, team);
}

}  // namespace
}  // namespace rnncore
