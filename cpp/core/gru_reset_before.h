// The GRU whose reset gate acts before the recurrent product (Cho et al. 2014, first version):
//
//   z, r = s(W·x + b + U·h'),  n = a(W·x + b + U·(r·h')),  h = z·h' + (1 - z)·n
//
// With recurrent dropout both products read h'·mask in place of h'; with zoneout h is mixed with h' at the end.
// A step has two products in a row, so it does not fit the one-product driver. Here each thread runs its rows with
// general products, on rows [z r n] of 3·H; everything that is not recurrent is one long product.
#pragma once

#include "core/cells/zoneout.h"
#include "core/sequence_layout.h"

namespace rnncore {
namespace {

template <class T>
struct ResetBeforePlan {
  const SequenceForward<T>& call;
  const SequenceShape& shape;
  int64_t total, H, H3;
  T* slots;    // z r n [Σ rows][3·H]: the tape, or workspace
  T* x;        // [Σ rows][I], packed
  T* reset;    // r·h' [N][H]
  T* hidden;   // h [2][N][H] when the caller keeps no output
  T* masked;   // h'·mask [N][H], null without mask
  T* scratch;  // of this thread
  int64_t workspace_used;

  ResetBeforePlan(const SequenceForward<T>& f, const Team& team)
      : call(f), shape(f.shape), total(step_offset(f.shape, f.shape.steps)), H(f.shape.units), H3(3 * f.shape.units) {
    Workspace<T> w{f.workspace};
    slots = f.tape ? f.tape : w.take(w, total * H3);
    x = w.take(w, total * shape.inputs);
    reset = w.take(w, shape.rows * H);
    hidden = w.take(w, f.output.data ? 0 : 2 * shape.rows * H);
    masked = shape.recurrent_dropout ? w.take(w, shape.rows * H) : nullptr;
    scratch = w.take(w, product_workspace<T>() * team.threads);
    if (scratch) scratch += product_workspace<T>() * team.thread;
    workspace_used = w.used;
  }

  T* slots_row(int64_t t, int64_t r) const { return slots + (step_offset(shape, t) + r) * H3; }

  T* hidden_row(int64_t t, int64_t r) const {
    return call.output.data ? view_row(call.output, shape, t, r) : hidden + ((t % 2) * shape.rows + r) * H;
  }

  // h of row r before step t, or null for zeros; and the distance between rows.
  const T* before(int64_t t, int64_t r) const {
    if (t > 0) return hidden_row(t - 1, r);
    return call.initial_state[0] ? call.initial_state[0] + r * H : nullptr;
  }
  int64_t before_stride(int64_t t) const { return t > 0 && call.output.data ? call.output.row : H; }

  // How much of h' stays in step t, for zoneout.
  Vec<T> hold(int64_t t, int64_t r, int64_t u) const {
    return shape.zoneout ? load_partial(view_row(call.holds[0], shape, t, r) + u, H - u) : Vec<T>{};
  }

  // What the recurrent products of row r read at unit u, given h there.
  Vec<T> factor(Vec<T> before, int64_t r, int64_t u) const {
    return shape.recurrent_dropout ? masked_product(before, load_partial(call.recurrent_mask + r * H + u, H - u))
                                   : before;
  }
};

template <class T>
static void copy_inputs(const SequenceForward<T>& f, T* x, const Team& team) {
  const SequenceShape& s = f.shape;
  for (int64_t t = 0; t < s.steps; ++t) {
    const Range rows = team_range(active_rows(s, t), team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r)
      __builtin_memcpy(x + (step_offset(s, t) + r) * s.inputs, view_row(f.x, s, t, r),
                       static_cast<size_t>(s.inputs) * sizeof(T));
  }
}

template <class T>
static void reset_before_forward(const SequenceForward<T>& call, const Team& team) {
  const ResetBeforePlan<T> p(call, team);
  const SequenceShape& s = p.shape;
  const Chosen gate{&s.recurrent_activation}, candidate{&s.activation};
  const int64_t H = p.H, H3 = p.H3;
  const Team alone = alone_of(team);
  copy_inputs(call, p.x, team);
  team_barrier(team);
  product<T>({p.total, H3, s.inputs, p.x, s.inputs, 1, call.kernel, H3, 1, p.slots, H3, call.bias, false}, team,
             p.scratch);
  team_barrier(team);

  const RowShare share = row_share<T>(s, team, Split::rows);
  for (int64_t t = -1; t < s.steps; ++t) {
    const int64_t count = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
    may_stop(team, count * step_operations(s));
    const T* h0 = t < 0 ? nullptr : p.before(t, share.first);
    const int64_t stride = share.step * p.before_stride(t);
    for (int64_t i = 0; h0 && p.masked && i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      for (int64_t u = 0; u < H; u += W<T>)
        store_partial(p.masked + r * H + u, p.factor(load_partial(h0 + i * stride + u, H - u), r, u), H - u);
    }
    if (h0)
      product<T>({count, 2 * H, H, p.masked ? p.masked + share.first * H : h0, p.masked ? share.step * H : stride, 1,
                  call.recurrent_kernel, H3, 1, p.slots_row(t, share.first), share.step * H3, nullptr, true},
                 alone, p.scratch);
    for (int64_t i = 0; t >= 0 && i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      T* z = p.slots_row(t, r);
      for (int64_t u = 0; u < H; u += W<T>) {
        Vec<T> kept = load_partial(z + u, H - u);
        activated<T>(gate, kept);
        store_partial(z + u, kept, H - u);
        kept = load_partial(z + H + u, H - u);
        const Vec<T> reset = activated<T>(gate, kept);
        store_partial(z + H + u, kept, H - u);
        const Vec<T> before = h0 ? load_partial(h0 + i * stride + u, H - u) : Vec<T>{};
        store_partial(p.reset + r * H + u, reset * p.factor(before, r, u), H - u);
      }
    }
    if (h0)
      product<T>({count, H, H, p.reset + share.first * H, share.step * H, 1, call.recurrent_kernel + 2 * H, H3, 1,
                  p.slots_row(t, share.first) + 2 * H, share.step * H3, nullptr, true},
                 alone, p.scratch);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      const bool last = r >= active_rows(s, t + 1);
      for (int64_t u = 0; u < H; u += W<T>) {
        const T* initial = call.initial_state[0];
        Vec<T> h{};
        if (t < 0) {
          if (initial) h = load_partial(initial + r * H + u, H - u);
        } else {
          T* z = p.slots_row(t, r) + u;
          Vec<T> kept = load_partial(z + 2 * H, H - u);
          const Vec<T> n = activated<T>(candidate, kept);
          store_partial(z + 2 * H, kept, H - u);
          const Vec<T> before = h0 ? load_partial(h0 + i * stride + u, H - u) : Vec<T>{};
          h = n + output<T>(gate, load_partial(z, H - u)) * (before - n);
          if (s.zoneout) h = zoned(p.hold(t, r, u), before, h);
          store_partial(p.hidden_row(t, r) + u, h, H - u);
        }
        if (last && call.state[0]) store_partial(call.state[0] + r * H + u, h, H - u);
      }
    }
  }
}

template <class T>
struct ResetBeforeBackwardPlan {
  ResetBeforePlan<T> forward;
  T* transposed;  // [recurrent_kernel, kernel] transposed [3·H][H + I]
  T* dh;          // [N][H]
  T* dreset;      // d(r·h') [N][H]
  T* before;      // h' [Σ rows][H]
  T* reset;       // r·h' [Σ rows][H]
  T* x;           // [Σ rows][I]
  T* dx;          // [Σ rows][I]
  T* scratch;
  int64_t workspace_used;

  ResetBeforeBackwardPlan(const SequenceBackward<T>& b, const Team& team) : forward(b.forward, team) {
    const int64_t H = forward.H, I = forward.shape.inputs, N = forward.shape.rows, total = forward.total;
    Workspace<T> w{b.workspace};
    transposed = b.forward.panels ? b.forward.panels : w.take(w, panels_size(forward.shape));
    dh = w.take(w, N * H);
    dreset = w.take(w, N * H);
    before = w.take(w, total * H);
    reset = w.take(w, total * H);
    x = w.take(w, total * I);
    dx = w.take(w, total * I);
    scratch = w.take(w, product_workspace<T>() * team.threads);
    if (scratch) scratch += product_workspace<T>() * team.thread;
    workspace_used = w.used;
  }

  static int64_t panels_size(const SequenceShape& s) {
    Workspace<T> w{nullptr};
    w.take(w, 3 * s.units * (s.units + s.inputs));
    return w.used;
  }
};

// Transposes this thread's share of both weight matrices.
template <class T>
static void reset_before_pack_panels(const SequenceForward<T>& call, T* transposed, const Team& team) {
  const int64_t H = call.shape.units, I = call.shape.inputs, H3 = 3 * H;
  const Range columns = team_range(H3, team, 1);
  for (int64_t j = columns.begin; j < columns.end; ++j) {
    T* row = transposed + j * (H + I);
    for (int64_t k = 0; k < H; ++k) row[k] = call.recurrent_kernel[k * H3 + j];
    for (int64_t k = 0; k < I; ++k) row[H + k] = call.kernel[k * H3 + j];
  }
}

template <class T>
static void reset_before_backward(const SequenceBackward<T>& call, const Team& team) {
  const ResetBeforeBackwardPlan<T> p(call, team);
  const ResetBeforePlan<T>& f = p.forward;
  const SequenceShape& s = f.shape;
  const Chosen gate{&s.recurrent_activation}, candidate{&s.activation};
  const int64_t H = f.H, H3 = f.H3, I = s.inputs;
  const Team alone = alone_of(team);
  if (!call.forward.panels) reset_before_pack_panels(call.forward, p.transposed, team);
  copy_inputs(call.forward, p.x, team);
  team_barrier(team);

  const RowShare share = row_share<T>(s, team, Split::rows);
  for (int64_t t = s.steps - 1; t >= -1; --t) {
    const int64_t count = t < 0 ? share.count : RowShare::below(share, active_rows(s, t));
    may_stop(team, count * step_operations(s));
    const T* h0 = t < 0 ? nullptr : f.before(t, share.first);
    const int64_t stride = share.step * f.before_stride(t);
    // dh of this step: what the later step left, or the gradient of the last state.
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      const bool last = r >= active_rows(s, t + 1);
      T* dh_row = p.dh + r * H;
      for (int64_t u = 0; u < H; u += W<T>) {
        Vec<T> dh = !last ? load_partial(dh_row + u, H - u)
                          : (call.dstate[0] ? load_partial(call.dstate[0] + r * H + u, H - u) : Vec<T>{});
        if (t < 0) {
          if (call.dinitial_state[0]) store_partial(call.dinitial_state[0] + r * H + u, dh, H - u);
          continue;
        }
        if (call.doutput.data) dh += load_partial(view_row(call.doutput, s, t, r) + u, H - u);
        T* slot = f.slots_row(t, r) + u;
        const Vec<T> kept_z = load_partial(slot, H - u), kept_n = load_partial(slot + 2 * H, H - u);
        const Vec<T> z = output<T>(gate, kept_z), n = output<T>(candidate, kept_n);
        const Vec<T> before = h0 ? load_partial(h0 + i * stride + u, H - u) : Vec<T>{};
        const Vec<T> held = f.hold(t, r, u) * dh;
        dh -= held;  // exact: a hold is 0 or 1 in training
        store_partial(slot, dh * (before - n) * slope<T>(gate, kept_z, z), H - u);
        store_partial(slot + 2 * H, dh * (T(1) - z) * slope<T>(candidate, kept_n, n), H - u);
        store_partial(dh_row + u, dh * z + held, H - u);
      }
    }
    if (t < 0) break;
    // d(r·h') = dn·Uᵀ
    product<T>({count, H, H, f.slots_row(t, share.first) + 2 * H, share.step * H3, 1, p.transposed + 2 * H * (H + I),
                H + I, 1, p.dreset + share.first * H, share.step * H, nullptr, false},
               alone, p.scratch);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = share.first + i * share.step, m = step_offset(s, t) + r;
      for (int64_t u = 0; u < H; u += W<T>) {
        T* slot = f.slots_row(t, r) + H + u;
        const Vec<T> kept = load_partial(slot, H - u), reset = output<T>(gate, kept);
        const Vec<T> dreset = load_partial(p.dreset + r * H + u, H - u);
        const Vec<T> before = f.factor(h0 ? load_partial(h0 + i * stride + u, H - u) : Vec<T>{}, r, u);
        store_partial(p.before + m * H + u, before, H - u);
        store_partial(p.reset + m * H + u, reset * before, H - u);
        store_partial(slot, dreset * before * slope<T>(gate, kept, reset), H - u);
        // To h' itself, or to h'·mask, which the product below adds to first.
        T* dh = (f.masked ? p.dreset : p.dh) + r * H + u;
        store_partial(dh, (f.masked ? Vec<T>{} : load_partial(dh, H - u)) + dreset * reset, H - u);
      }
    }
    // dh' += [dz dr]·Uᵀ
    product<T>({count, H, 2 * H, f.slots_row(t, share.first), share.step * H3, 1, p.transposed, H + I, 1,
                (f.masked ? p.dreset : p.dh) + share.first * H, share.step * H, nullptr, true},
               alone, p.scratch);
    for (int64_t i = 0; f.masked && i < count; ++i) {
      const int64_t r = share.first + i * share.step;
      for (int64_t u = 0; u < H; u += W<T>) {
        T* dh = p.dh + r * H + u;
        const Vec<T> mask = load_partial(call.forward.recurrent_mask + r * H + u, H - u);
        store_partial(dh, add_masked(load_partial(dh, H - u), load_partial(p.dreset + r * H + u, H - u), mask), H - u);
      }
    }
  }
  team_barrier(team);

  const T* ds = f.slots;
  product<T>({I, H3, f.total, p.x, 1, I, ds, H3, 1, call.dkernel, H3, nullptr, false}, team, p.scratch);
  product<T>({H, 2 * H, f.total, p.before, 1, H, ds, H3, 1, call.drecurrent_kernel, H3, nullptr, false}, team,
             p.scratch);
  product<T>({H, H, f.total, p.reset, 1, H, ds + 2 * H, H3, 1, call.drecurrent_kernel + 2 * H, H3, nullptr, false},
             team, p.scratch);
  if (call.dbias) {
    const Range mine = team_range(H3, team, W<T>);
    for (int64_t j = mine.begin; j < mine.end; j += W<T>) {
      Vec<T> sum{};
      for (int64_t m = 0; m < f.total; ++m) sum += load_partial(ds + m * H3 + j, H3 - j);
      store_partial(call.dbias + j, sum, H3 - j);
    }
  }
  if (!call.dx.data) return;
  product<T>({f.total, I, H3, ds, H3, 1, p.transposed + H, H + I, 1, p.dx, I, nullptr, false}, team, p.scratch);
  team_barrier(team);
  for (int64_t t = 0; t < s.steps; ++t) {
    const Range rows = team_range(active_rows(s, t), team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r)
      __builtin_memcpy(view_row(call.dx, s, t, r), p.dx + (step_offset(s, t) + r) * I,
                       static_cast<size_t>(I) * sizeof(T));
  }
}

}  // namespace
}  // namespace rnncore
