// The sequence of a step policy: see row_plan.h. Each thread runs its rows without any barrier between steps, but where
// it has so few that the team makes the input products of some steps together.
#pragma once

#include "core/recurrent/row_plan.h"

namespace rnncore {
namespace {

// A policy as the driver sees it: what its rows hold, and its math for some rows at one step.
template <class T>
struct RowKernels {
  using Forward = void(const RowPlan<T>&, int64_t t, const RowShare&, int64_t count);
  using Backward = void(const RowBackwardPlan<T>&, int64_t t, const RowShare&, int64_t count);

  RowFacts (*facts)(const SequenceShape&);
  Forward *forward, *finish;  // no finish: null
  Backward *finish_backward, *backward;
};

template <class T, class Policy, auto Math>
static void forward_rows(const RowPlan<T>& p, int64_t t, const RowShare& share, int64_t count) {
  const auto cell = Policy::make(p.shape);
  for (int64_t i = 0; i < count; ++i) Math(cell, p.row(t, share.first + i * share.step));
}

template <class T, class Policy, auto Math>
static void backward_rows(const RowBackwardPlan<T>& p, int64_t t, const RowShare& share, int64_t count) {
  const auto cell = Policy::make(p.forward.shape);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t r = share.first + i * share.step;
    Math(cell, p.forward.row(t, r), p.row(r));
  }
}

template <class T, class Policy>
constexpr RowKernels<T> row_table() {
  RowKernels<T> k{Policy::facts, forward_rows<T, Policy, Policy::forward>, nullptr, nullptr,
                  backward_rows<T, Policy, Policy::backward>};
  if constexpr (requires { &Policy::finish; }) {
    k.finish = forward_rows<T, Policy, Policy::finish>;
    k.finish_backward = backward_rows<T, Policy, Policy::finish_backward>;
  }
  return k;
}
template <class T, class Policy>
constexpr RowKernels<T> kRow = row_table<T, Policy>();

// c = a·B + bias for all rows of the steps [t0, t1), shared out to the team; both views begin at step t0.
template <class T>
static void multiply_steps(const PackedMatrix<T>& matrix, const SequenceShape& s, int64_t t0, int64_t t1,
                           const SequenceView<const T>& a, const SequenceView<T>& c, const T* bias, const Team& team) {
  // Packed rows lie at one distance. Others do over time and across a step: the longer way fills the tiles.
  int64_t groups = 1, rows = step_offset(s, t1) - step_offset(s, t0);
  SequenceView<const T> from = a;
  SequenceView<T> to = c;
  if (!s.offsets) groups = t1 - t0, rows = s.rows;
  if (!s.offsets && groups > rows) {
    groups = s.rows, rows = t1 - t0;
    from = {a.data, a.row, a.step}, to = {c.data, c.row, c.step};
  }
  const Range mine = team_range(rows, team, 1);
  from.data += mine.begin * from.row, to.data += mine.begin * to.row;
  matrix.multiply(groups, mine.end - mine.begin, from, to, bias, false, team);
}

// h'·mask·U of a share's rows.
template <class T>
static void recurrent_products(const RowPlan<T>& p, const PackedMatrix<T>& recurrent, int64_t t, const RowShare& share,
                               int64_t count, const Team& team) {
  const RowFacts& f = p.facts;
  const T* h = p.hidden_before(t, share.first);
  if (!h) {  // zeros
    for (int64_t i = 0; i < count && f.apart; ++i)
      copy_state<T>(nullptr, f.columns, p.recurrent_row(t, share.first + i * share.step));
    return;
  }
  int64_t h_row = t > 0 ? p.hidden_stride() : p.P;
  if (p.masked) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      p.mask_row(h + i * share.step * h_row, r, p.masked + r * p.P);
    }
    h = p.masked + share.first * p.P, h_row = p.P;
  }
  recurrent.multiply(count, h, share.step * h_row, p.recurrent_row(t, share.first), share.step * f.columns, nullptr,
                     !f.apart, team);
}

template <class T>
static void row_forward(const SequenceForward<T>& call, const RowKernels<T>& cell, const Team& team) {
  const RowFacts f = cell.facts(call.shape);
  Workspace<T> w{call.workspace}, packed{call.packed_weights};
  const RowWeights<T> weights(call.shape, f, false, call.packed_weights ? packed : w);
  const RowPlan<T> p(call, f, team.threads, w);
  const SequenceShape& s = p.shape;
  const T* bias = f.biased ? call.bias : nullptr;
  if (!call.packed_weights) {
    weights.pack(call, true, team);
    team_barrier(team);
  }

  const RowShare share = row_share<T>(s, team, Split::rows);
  const int64_t first = share.first, step = share.step;
  for (int64_t t = -1; t < s.steps; ++t) {
    const int64_t count = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
    if (p.ahead > 1 && t >= 0 && t % p.ahead == 0) {
      if (t > 0) team_barrier(team);
      multiply_steps<T>(weights.kernel, s, t, t + p.ahead < s.steps ? t + p.ahead : s.steps,
                        {view_row(call.x, s, t, 0), call.x.step, call.x.row},
                        {p.pre_row(t, 0), s.rows * f.columns, f.columns}, bias, team);
      team_barrier(team);
    }
    if (t >= 0 && count > 0) {
      T* pre = p.pre_row(t, first);
      if (p.ahead == 1)
        weights.kernel.multiply(count, view_row(call.x, s, t, first), step * call.x.row, pre, step * f.columns, bias,
                                false, team);
      recurrent_products(p, weights.recurrent, t, share, count, team);
      cell.forward(p, t, share, count);
      if (f.projects() || (f.factor > 0 && p.hidden_before(t, first)))
        weights.second.multiply(count, p.factor_row(t, first), step * f.factor,
                                f.projects() ? p.hidden_row(t, first) : pre + f.recurrent,
                                step * (f.projects() ? p.hidden_stride() : f.columns), nullptr, !f.projects(), team);
      if (cell.finish) cell.finish(p, t, share, count);
    }
    for (int64_t i = RowShare::below(share, active_rows(s, t + 1)); i < count; ++i) {
      const int64_t r = first + i * step;
      if (call.state[0]) copy_state(p.hidden_before(t + 1, r), p.P, call.state[0] + r * p.P);
      if (f.memory > 0 && call.state[1]) copy_state(p.memory_before(t + 1, r), p.H, call.state[1] + r * p.H);
    }
  }
}

// Rows of x at one distance: in place, or copied to `copy` [Σ rows][I] by the team.
template <class T>
static SequenceView<const T> even_rows(const SequenceForward<T>& f, T* copy, const Team& team) {
  const SequenceShape& s = f.shape;
  if (s.offsets || s.steps == 1 || f.x.step == s.rows * f.x.row) return f.x;
  for (int64_t t = 0; t < s.steps; ++t) {
    const Range rows = team_range(s.rows, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r)
      __builtin_memcpy(copy + (step_offset(s, t) + r) * s.inputs, view_row(f.x, s, t, r),
                       static_cast<size_t>(s.inputs) * sizeof(T));
  }
  return {copy, 0, s.inputs};
}

// to[j] = Σ from[r][j], in order; threads share the columns out.
template <class T>
static void add_rows(int64_t rows, const T* from, int64_t columns, T* to, const Team& team) {
  const Range vectors = team_range((columns + W<T> - 1) / W<T>, team, 1);
  for (int64_t j = vectors.begin * W<T>; j < vectors.end * W<T>; j += W<T>) {
    Vec<T> sum{};
    for (int64_t r = 0; r < rows; ++r) sum += load_partial(from + r * columns + j, columns - j);
    store_partial(to + j, sum, columns - j);
  }
}

// dh' from what came through h'·U and what passed it by.
template <class T>
static void gather_dh(const RowBackwardPlan<T>& p, int64_t r) {
  const RowPlan<T>& f = p.forward;
  T *through = p.through + r * f.P, *dh = p.dh + r * f.P;
  const T* mask = f.facts.begins_through && f.shape.recurrent_dropout ? f.call.recurrent_mask + r * f.P : nullptr;
  if (!mask) f.mask_row(through, r, through);
  for (int64_t u = 0; through != dh && u < f.P; u += W<T>) {
    const Vec<T> passed = load_partial(dh + u, f.P - u), v = load_partial(through + u, f.P - u);
    store_partial(dh + u, mask ? add_masked(passed, v, load_partial(mask + u, f.P - u)) : passed + v, f.P - u);
  }
}

// The gradients of the weights, and dx where it was left, from those of all steps.
template <class T>
static void row_weight_gradients(const SequenceBackward<T>& call, const RowBackwardPlan<T>& p,
                                 const SequenceView<const T>& x, const Team& team) {
  const RowPlan<T>& f = p.forward;
  const RowFacts& facts = f.facts;
  const SequenceShape& s = f.shape;
  const int64_t columns = facts.columns, total = f.total, P = f.P;
  const auto add = [&](int64_t m, const T* a, int64_t a_row, int64_t n, const T* b, int64_t b_row, T* c,
                       int64_t c_row) {
    product<T>({m, n, total, a, 1, a_row, b, b_row, 1, c, c_row, nullptr, false}, team, p.products);
  };
  add(s.inputs, x.data, x.row, columns, f.pre, columns, call.dkernel, columns);
  add(P, p.before, P, facts.recurrent, facts.apart ? f.recurrent : f.pre, columns, call.drecurrent_kernel, columns);
  if (facts.factor > 0) {
    add(facts.factor, f.factor, facts.factor, p.weights.second.depth,
        facts.projects() ? p.doutput : f.pre + facts.recurrent, facts.projects() ? P : columns,
        p.weights.second_of(call.drecurrent_kernel, call.dfurther), p.weights.second_row());
  }
  const int64_t rows = active_rows(s, 0);
  if (facts.weight_sums > 0) add_rows(rows, p.dweights, facts.weight_sums, call.dfurther, team);
  if (call.dbias && facts.bias_sums > 0) add_rows(rows, p.dbias, facts.bias_sums, call.dbias, team);
  if (call.dbias && facts.bias_sums == 0) add_rows(total, f.pre, columns, call.dbias, team);
  if (call.dx.data && f.ahead > 1)
    multiply_steps<T>(p.weights.kernel, s, 0, s.steps, {f.pre, s.rows * columns, columns},
                      {view_row(call.dx, s, 0, 0), call.dx.step, call.dx.row}, nullptr, team);
}

template <class T>
static void row_backward(const SequenceBackward<T>& call, const RowKernels<T>& cell, const Team& team) {
  const RowBackwardPlan<T> p(call, cell.facts(call.forward.shape), team);
  const RowPlan<T>& f = p.forward;
  const RowFacts& facts = f.facts;
  const SequenceShape& s = f.shape;
  const int64_t P = f.P, columns = facts.columns;
  if (!call.forward.panels) p.weights.pack(call.forward, call.dx.data, team);
  const SequenceView<const T> x = even_rows(call.forward, p.x, team);
  team_barrier(team);

  const RowShare share = row_share<T>(s, team, Split::rows);
  const int64_t first = share.first, step = share.step;
  for (int64_t i = 0; i < share.count; ++i) {
    const int64_t r = first + i * step;
    copy_state<T>(nullptr, facts.weight_sums, p.dweights + r * facts.weight_sums);
    copy_state<T>(nullptr, facts.bias_sums, p.dbias + r * facts.bias_sums);
  }
  for (int64_t t = s.steps - 1; t >= -1; --t) {
    const int64_t count = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
    for (int64_t i = RowShare::below(share, active_rows(s, t + 1)); i < count; ++i) {
      const int64_t r = first + i * step;
      copy_state(call.dstate[0] ? call.dstate[0] + r * P : nullptr, P, p.dh + r * P);
      if (facts.memory > 0) copy_state(call.dstate[1] ? call.dstate[1] + r * f.H : nullptr, f.H, p.dc + r * f.H);
    }
    if (t < 0) break;
    if (count == 0) continue;
    const int64_t m = step_offset(s, t) + first;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = first + i * step;
      const T *dh = p.dh + r * P, *doutput = call.doutput.data ? view_row(call.doutput, s, t, r) : nullptr;
      T* to = facts.projects() ? p.doutput + (m + i * step) * P : p.dh + r * P;
      for (int64_t u = 0; (doutput || to != dh) && u < P; u += W<T>)
        store_partial(
            to + u,
            doutput ? load_partial(dh + u, P - u) + load_partial(doutput + u, P - u) : load_partial(dh + u, P - u),
            P - u);
      f.mask_row(f.hidden_before(t, r), r, p.before + (m + i * step) * P);
    }
    if (cell.finish_backward) cell.finish_backward(p, t, share, count);
    if (facts.factor > 0)
      p.weights.second.multiply(count, facts.projects() ? p.doutput + m * P : f.pre_row(t, first) + facts.recurrent,
                                step * (facts.projects() ? P : columns), p.dfactor + first * facts.factor,
                                step * facts.factor, nullptr, false, team);
    cell.backward(p, t, share, count);
    p.weights.recurrent.multiply(count, f.recurrent_row(t, first), step * columns, p.through + first * P, step * P,
                                 nullptr, facts.begins_through, team);
    if (s.recurrent_dropout || p.through != p.dh)
      for (int64_t i = 0; i < count; ++i) gather_dh(p, first + i * step);
    if (call.dx.data && f.ahead == 1)
      p.weights.kernel.multiply(count, f.pre_row(t, first), step * columns, view_row(call.dx, s, t, first),
                                step * call.dx.row, nullptr, false, team);
  }
  for (int64_t i = 0; i < share.count; ++i) {
    const int64_t r = first + i * step;
    if (call.dinitial_state[0]) copy_state(p.dh + r * P, P, call.dinitial_state[0] + r * P);
    if (facts.memory > 0 && call.dinitial_state[1]) copy_state(p.dc + r * f.H, f.H, call.dinitial_state[1] + r * f.H);
  }
  team_barrier(team);
  row_weight_gradients(call, p, x, team);
}

}  // namespace
}  // namespace rnncore
