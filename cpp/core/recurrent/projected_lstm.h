// The LSTM whose output is projected (Sak et al. 2014), of H units with P numbers of h:
//
//   i, f, g, o = activations of W·x + b + U·h',  c = f·c' + i·g,  y = o·a(c),  h = y·R
#pragma once

#include "core/recurrent/cells/lstm.h"
#include "core/recurrent/row_plan.h"

namespace rnncore {
namespace {

template <class T, class CellT>
struct ProjectedLstm : CellT {
  static RowFacts facts(const SequenceShape& s) {
    const int64_t H = s.units;
    return {.columns = 4 * H, .recurrent = 4 * H, .biased = true, .memory = H, .factor = H, .bias_sums = 4 * H};
  }

  static RNNCORE_INLINE void forward(const CellT& cell, const Row<T>& p) {
    for (int64_t u = 0; u < p.H; u += W<T>) {
      Vec<T> s[4], none{}, c = p.at(p.c_before, 0, u);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) s[k] = p.at(p.pre, k, u);
      p.put(p.factor, 0, u, CellT::forward(cell, s, none, c));
      p.put(p.c, 0, u, c);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) p.put(p.pre, k, u, s[k]);
    }
  }

  static RNNCORE_INLINE void backward(const CellT& cell, const Row<T>& p, const RowGradients<T>& g) {
    for (int64_t u = 0; u < p.H; u += W<T>) {
      Vec<T> s[4], none{}, carry{}, dc = p.at(g.dc, 0, u);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) s[k] = p.at(p.pre, k, u);
      CellT::backward(cell, s, none, none, p.at(p.c, 0, u), p.at(p.c_before, 0, u), p.at(g.dfactor, 0, u), dc, carry);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        p.put(p.pre, k, u, s[k]);
        add_to(g.bias + k * p.H + u, p.H - u, s[k]);
      }
      p.put(g.dc, 0, u, dc);
    }
  }
};

}  // namespace
}  // namespace rnncore
