// The GRU whose reset gate acts before the recurrent product (Cho et al. 2014, first version):
//
//   z, r = s(W·x + b + U·h'),  n = a(W·x + b + U·(r·h')),  h = z·h' + (1 - z)·n
//
// With recurrent dropout both products read h'·mask in place of h'; with zoneout h is mixed with h' at the end.
#pragma once

#include "core/recurrent/cells/zoneout.h"
#include "core/recurrent/row_plan.h"

namespace rnncore {
namespace {

template <class T>
struct GruResetBefore {
  using V = Vec<T>;
  Chosen a, r;

  static RNNCORE_INLINE GruResetBefore make(const SequenceShape& s) {
    return {{&s.activation}, {&s.recurrent_activation}};
  }

  static RowFacts facts(const SequenceShape& s) {
    const int64_t H = s.units;
    return {.columns = 3 * H,  // z r n
            .recurrent = 2 * H,
            .biased = true,
            .factor = H,
            .carries_dh = s.recurrent_dropout,
            .begins_through = true};
  }

  static RNNCORE_INLINE V factor(const Row<T>& p, int64_t u) {
    const V before = p.at(p.h_before, 0, u);
    return p.mask ? masked_product(before, p.at(p.mask, 0, u)) : before;
  }

  static RNNCORE_INLINE void forward(const GruResetBefore& cell, const Row<T>& p) {
    for (int64_t u = 0; u < p.H; u += W<T>) {
      V z = p.at(p.pre, 0, u), r = p.at(p.pre, 1, u);
      activated<T>(cell.r, z);
      const V reset = activated<T>(cell.r, r);
      p.put(p.pre, 0, u, z);
      p.put(p.pre, 1, u, r);
      p.put(p.factor, 0, u, reset * factor(p, u));
    }
  }

  static RNNCORE_INLINE void finish(const GruResetBefore& cell, const Row<T>& p) {
    for (int64_t u = 0; u < p.H; u += W<T>) {
      const V before = p.at(p.h_before, 0, u);
      V kept = p.at(p.pre, 2, u);
      const V n = activated<T>(cell.a, kept);
      p.put(p.pre, 2, u, kept);
      const V h = n + output<T>(cell.r, p.at(p.pre, 0, u)) * (before - n);
      p.put(p.h, 0, u, p.hold ? zoned(p.at(p.hold, 0, u), before, h) : h);
    }
  }

  static RNNCORE_INLINE void finish_backward(const GruResetBefore& cell, const Row<T>& p, const RowGradients<T>& g) {
    for (int64_t u = 0; u < p.H; u += W<T>) {
      const V kept_z = p.at(p.pre, 0, u), kept_n = p.at(p.pre, 2, u);
      const V z = output<T>(cell.r, kept_z), n = output<T>(cell.a, kept_n);
      const V held = p.at(p.hold, 0, u) * p.at(g.dh, 0, u);
      const V dh = p.at(g.dh, 0, u) - held;  // exact: a hold is 0 or 1 in training
      p.put(p.pre, 0, u, dh * (p.at(p.h_before, 0, u) - n) * slope<T>(cell.r, kept_z, z));
      p.put(p.pre, 2, u, dh * (T(1) - z) * slope<T>(cell.a, kept_n, n));
      p.put(g.dh, 0, u, dh * z + held);
      if (p.mask) p.put(g.through, 0, u, V{});
    }
  }

  static RNNCORE_INLINE void backward(const GruResetBefore& cell, const Row<T>& p, const RowGradients<T>& g) {
    for (int64_t u = 0; u < p.H; u += W<T>) {
      const V kept = p.at(p.pre, 1, u), reset = output<T>(cell.r, kept), dreset = p.at(g.dfactor, 0, u);
      p.put(p.pre, 1, u, dreset * factor(p, u) * slope<T>(cell.r, kept, reset));
      add_to(g.through + u, p.H - u, dreset * reset);
    }
  }
};

}  // namespace
}  // namespace rnncore
