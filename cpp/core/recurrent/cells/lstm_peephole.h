// i, f = r(W·x + b + U·h' + p·c'),  g = a(W·x + b + U·h')
// c = f·c' + i·g,  o = r(W·x + b + U·h' + p·c),  h = o·a(c)     (Gers and Schmidhuber 2000)
//
// A unit's gates read its own c only, so p holds one factor of each unit for each of i, f, o.
#pragma once

#include "core/recurrent/cells/lstm.h"

namespace rnncore {
namespace {

struct PeepholeLstm : Lstm {
  static constexpr int extra_rows = 3;  // p of i, f, o
};

template <class T, class A, class R>
struct PeepholeLstmCell {
  using V = Vec<T>;
  using Form = PeepholeLstm;
  A a;
  R r;
  V p_i{}, p_f{}, p_o{};  // of the units at hand

  static RNNCORE_INLINE PeepholeLstmCell make(const SequenceShape& s) {
    return {function_for<A>(s.activation), function_for<R>(s.recurrent_activation)};
  }

  // The cell for a vector of units; peepholes (3, H).
  static RNNCORE_INLINE PeepholeLstmCell at(const PeepholeLstmCell& cell, const T* peepholes, int64_t unit, int64_t H) {
    const int64_t left = H - unit;
    return {cell.a, cell.r, load_partial(peepholes + unit, left), load_partial(peepholes + H + unit, left),
            load_partial(peepholes + 2 * H + unit, left)};
  }

  static RNNCORE_INLINE V forward(const PeepholeLstmCell& cell, V (&s)[Form::slots], V /*h_before*/, V& c) {
    s[0] = s[0] + cell.p_i * c;
    s[1] = s[1] + cell.p_f * c;
    const V i = activated<T>(cell.r, s[0]), f = activated<T>(cell.r, s[1]), g = activated<T>(cell.a, s[2]);
    c = f * c + unfused(i * g);
    s[3] = s[3] + cell.p_o * c;
    return activated<T>(cell.r, s[3]) * cell.a.template value<T>(c);
  }

  static RNNCORE_INLINE V memory(const PeepholeLstmCell& cell, const V (&s)[Form::slots], V c_before) {
    return LstmCell<T, A, R>::memory({cell.a, cell.r}, s, c_before);
  }

  static RNNCORE_INLINE void backward(const PeepholeLstmCell& cell, V (&s)[Form::slots], V /*h*/, V /*h_before*/, V c,
                                      V c_before, V dh, V& dc, V& /*dh_carry*/) {
    const V i = output<T>(cell.r, s[0]), f = output<T>(cell.r, s[1]);
    const V g = output<T>(cell.a, s[2]), o = output<T>(cell.r, s[3]);
    const V y = cell.a.template value<T>(c);
    s[3] = dh * y * slope<T>(cell.r, s[3], o);         // h = o·a(c)
    dc += unfused(dh * o * slope<T>(cell.a, c, y));    // h = o·a(c)
    dc += s[3] * cell.p_o;                             // o = r(... + p·c)
    s[0] = dc * g * slope<T>(cell.r, s[0], i);         // c = f·c' + i·g
    s[1] = dc * c_before * slope<T>(cell.r, s[1], f);  // c = f·c' + i·g
    s[2] = dc * i * slope<T>(cell.a, s[2], g);         // c = f·c' + i·g
    dc = unfused(dc * f) + s[0] * cell.p_i;            // c = f·c' + i·g, i = r(... + p·c')
    dc += s[1] * cell.p_f;                             // f = r(... + p·c')
  }

  // What a step adds to the gradients of the peepholes, from the gradients in s.
  static RNNCORE_INLINE void extra_gradients(const V (&s)[Form::slots], V c, V c_before, V (&d)[Form::extra_rows]) {
    d[0] = s[0] * c_before;
    d[1] = s[1] * c_before;
    d[2] = s[3] * c;
  }
};

}  // namespace
}  // namespace rnncore
