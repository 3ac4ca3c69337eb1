// The sequence of a normalized cell. A mean over all columns of a row does not fit the tiles of the one-product driver,
// so each thread runs its rows here, whole rows at a time, without any barrier between steps.
#pragma once

#include "core/normalized_cells.h"
#include "core/row_steps.h"

namespace rnncore {
namespace {

template <class T, class N>
struct NormalizedPlan {
  static constexpr int kFactors = 3;

  const SequenceForward<T>& call;
  const SequenceShape& shape;
  int64_t total, H, columns;
  RowSteps<T> h;
  // Over all steps in the tape [Σ rows], without one of the last two steps; see NormalizedRow.
  T *input, *recurrent, *slots, *c, *normal_c, *factors;
  PackedMatrix<T> kernel, recurrent_kernel;
  int64_t workspace_used, tape_used;

  NormalizedPlan(const SequenceForward<T>& f, Workspace<T> w = {nullptr})
      : call(f),
        shape(f.shape),
        total(step_offset(f.shape, f.shape.steps)),
        H(f.shape.units),
        columns(N::gates * f.shape.units),
        h(RowSteps<T>::make(f, f.shape.units, w)) {
    Workspace<T> tape{f.tape};
    Workspace<T>& kept = f.tape ? tape : w;
    const int64_t rows = f.tape ? total : 2 * shape.rows;
    input = kept.take(kept, rows * columns);
    recurrent = kept.take(kept, N::sums_products ? 0 : rows * columns);
    slots = kept.take(kept, rows * N::slots * H);
    c = kept.take(kept, N::has_memory ? rows * H : 0);
    normal_c = kept.take(kept, N::has_memory ? rows * H : 0);
    factors = kept.take(kept, rows * kFactors);
    tape_used = tape.used;
    kernel = {w.take(w, PackedMatrix<T>::size(shape.inputs, columns)), shape.inputs, columns};
    recurrent_kernel = {w.take(w, PackedMatrix<T>::size(H, columns)), H, columns};
    workspace_used = w.used;
  }

  int64_t place(int64_t t, int64_t r) const { return call.tape ? step_offset(shape, t) + r : (t % 2) * shape.rows + r; }

  const T* memory_before(int64_t t, int64_t r) const {
    if (t > 0) return c + place(t - 1, r) * H;
    return call.initial_state[1] ? call.initial_state[1] + r * H : nullptr;
  }

  NormalizedRow<T> row(int64_t t, int64_t r) const {
    const int64_t m = place(t, r);
    return {H,
            input + m * columns,
            recurrent + m * columns,
            slots + m * N::slots * H,
            c + m * H,
            normal_c + m * H,
            factors + m * kFactors,
            call.further,
            call.bias,
            h.before(t, r),
            N::has_memory ? memory_before(t, r) : nullptr};
  }
};

template <class T, class CellT>
static void normalized_forward(const SequenceForward<T>& call, const CellT& cell, const Team& team) {
  using N = Normalized<CellT>;
  const NormalizedPlan<T, N> p(call, Workspace<T>{call.workspace});
  const SequenceShape& s = p.shape;
  const int64_t H = p.H, columns = p.columns;
  p.kernel.pack(call.kernel, columns, 1, team);
  p.recurrent_kernel.pack(call.recurrent_kernel, columns, 1, team);
  team_barrier(team);

  const RowShare share = row_share<T>(s, team, Split::rows);
  for (int64_t t = -1; t < s.steps; ++t) {
    const int64_t count = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
    if (count == 0) break;
    if (t >= 0) {
      const int64_t first = p.place(t, share.first) * columns, stride = share.step * columns;
      p.kernel.multiply(count, view_row(call.x, s, t, share.first), share.step * call.x.row, p.input + first, stride,
                        nullptr, false, team);
      T* recurrent = N::sums_products ? p.input : p.recurrent;
      if (p.h.before(t, share.first))
        p.h.multiply(p.recurrent_kernel, t, share, count, recurrent + first, columns, N::sums_products, team);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t r = share.first + i * share.step;
        const NormalizedRow<T> row = p.row(t, r);
        if (!N::sums_products && !row.h_before) copy_state<T>(nullptr, columns, row.recurrent);
        N::forward(cell, row, p.h.row(t, r));
      }
    }
    for (int64_t i = RowShare::below(share, active_rows(s, t + 1)); i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      if (call.state[0]) copy_state(p.h.before(t + 1, r), H, call.state[0] + r * H);
      if (N::has_memory && call.state[1]) copy_state(p.memory_before(t + 1, r), H, call.state[1] + r * H);
    }
  }
}

template <class T, class N>
struct NormalizedBackwardPlan {
  NormalizedPlan<T, N> forward;
  PackedMatrix<T> kernel, recurrent_kernel;  // transposed
  T* dh;                                     // [N][H]
  T* dc;                                     // [N][H]
  T* through;                                // what reaches h' through the product [N][H]
  T* before;                                 // h'·mask [Σ rows][H]
  T* x;                                      // [Σ rows][I], for an uneven one
  T* weights;                                // sums of each row over its steps [N][weight_rows·H]
  T* bias;                                   // [N][bias_rows·H]
  T *dinput, *drecurrent, *scratch;          // of this thread
  int64_t workspace_used;

  NormalizedBackwardPlan(const SequenceBackward<T>& b, const Team& team) : forward(b.forward) {
    const int64_t H = forward.H, columns = forward.columns, I = forward.shape.inputs, rows = forward.shape.rows;
    Workspace<T> w{b.workspace};
    using Matrix = PackedMatrix<T>;
    kernel = {w.take(w, Matrix::size(columns, I)), columns, I};
    recurrent_kernel = {w.take(w, Matrix::size(columns, H)), columns, H};
    dh = w.take(w, rows * H);
    dc = w.take(w, N::has_memory ? rows * H : 0);
    through = w.take(w, rows * H);
    before = w.take(w, forward.total * H);
    x = w.take(w, forward.total * I);
    weights = w.take(w, rows * N::weight_rows * H);
    bias = w.take(w, rows * N::bias_rows * H);
    for (int k = 0; k < team.threads; ++k) {
      T* input = w.take(w, columns);
      T* recurrent = w.take(w, columns);
      T* work = w.take(w, product_workspace<T>());
      if (k == team.thread) dinput = input, drecurrent = recurrent, scratch = work;
    }
    workspace_used = w.used;
  }
};

template <class T, class CellT>
static void normalized_backward(const SequenceBackward<T>& call, const CellT& cell, const Team& team) {
  using N = Normalized<CellT>;
  const NormalizedBackwardPlan<T, N> p(call, team);
  const NormalizedPlan<T, N>& f = p.forward;
  const SequenceShape& s = f.shape;
  const int64_t H = f.H, columns = f.columns, I = s.inputs;
  if (call.dx.data) p.kernel.pack(call.forward.kernel, 1, columns, team);
  p.recurrent_kernel.pack(call.forward.recurrent_kernel, 1, columns, team);
  const SequenceView<const T> x = even_rows(call.forward, p.x, team);
  team_barrier(team);

  const RowShare share = row_share<T>(s, team, Split::rows);
  for (int64_t i = 0; i < share.count; ++i) {
    const int64_t r = share.first + i * share.step;
    copy_state<T>(nullptr, N::weight_rows * H, p.weights + r * N::weight_rows * H);
    copy_state<T>(nullptr, N::bias_rows * H, p.bias + r * N::bias_rows * H);
  }
  const T* drecurrent = N::sums_products ? f.input : f.recurrent;  // once they are gradients
  for (int64_t t = s.steps - 1; t >= -1; --t) {
    const int64_t count = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
    for (int64_t i = RowShare::below(share, active_rows(s, t + 1)); i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      copy_state(call.dstate[0] ? call.dstate[0] + r * H : nullptr, H, p.dh + r * H);
      if (N::has_memory) copy_state(call.dstate[1] ? call.dstate[1] + r * H : nullptr, H, p.dc + r * H);
    }
    if (t < 0) break;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      const T* dout = call.doutput.data ? view_row(call.doutput, s, t, r) : nullptr;
      for (int64_t u = 0; dout && u < H; u += W<T>) add_to(p.dh + r * H + u, H - u, load_partial(dout + u, H - u));
      N::backward(cell, f.row(t, r), f.h.row(t, r),
                  {p.dh + r * H, p.dc + r * H, p.dinput, p.drecurrent, p.weights + r * N::weight_rows * H,
                   p.bias + r * N::bias_rows * H});
      f.h.copy_factor(t, r, p.before + f.place(t, r) * H);
    }
    // dh' = dm·Uᵀ·mask, and what passed the product
    const int64_t first = f.place(t, share.first) * columns, stride = share.step * columns;
    p.recurrent_kernel.multiply(count, drecurrent + first, stride, p.through + share.first * H, share.step * H, nullptr,
                                false, team);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      T *through = p.through + r * H, *dh = p.dh + r * H;
      if (s.recurrent_dropout) f.h.mask_row(through, r, through);
      for (int64_t u = 0; u < H; u += W<T>) {
        const Vec<T> v = load_partial(through + u, H - u);
        store_partial(dh + u, N::carries_dh ? load_partial(dh + u, H - u) + v : v, H - u);
      }
    }
    if (call.dx.data)
      p.kernel.multiply(count, f.input + first, stride, view_row(call.dx, s, t, share.first), share.step * call.dx.row,
                        nullptr, false, team);
  }
  for (int64_t i = 0; i < share.count; ++i) {
    const int64_t r = share.first + i * share.step;
    if (call.dinitial_state[0]) copy_state(p.dh + r * H, H, call.dinitial_state[0] + r * H);
    if (N::has_memory && call.dinitial_state[1]) copy_state(p.dc + r * H, H, call.dinitial_state[1] + r * H);
  }
  team_barrier(team);

  product<T>({I, columns, f.total, x.data, 1, x.row, f.input, columns, 1, call.dkernel, columns, nullptr, false}, team,
             p.scratch);
  product<T>(
      {H, columns, f.total, p.before, 1, H, drecurrent, columns, 1, call.drecurrent_kernel, columns, nullptr, false},
      team, p.scratch);
  add_rows(s, p.weights, N::weight_rows * H, N::weight_rows * H, call.dfurther, team);
  if (call.dbias) add_rows(s, p.bias, N::bias_rows * H, N::bias_rows * H, call.dbias, team);
}

}  // namespace
}  // namespace rnncore
