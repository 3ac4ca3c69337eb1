// i, f, o = r(W·x + b + U·h'),  g = a(W·x + b + U·h')
// c = f·c' + i·g,  h = o·a(c)     (Hochreiter and Schmidhuber 1997; Gers et al. 2000)
#pragma once

#include "core/recurrent/cells/activations.h"

namespace rnncore {
namespace {

struct Lstm : CellForm {
  static constexpr int gates = 4;
  static constexpr int slots = 4;  // i, f, g, o
  static constexpr int input_slot = 0, recurrent_slot = 0;
  static constexpr bool has_memory = true;
  static constexpr bool keeps_slots = true;
  static constexpr bool carries_dh = false;

  static constexpr int input_gate(int slot) { return slot; }
  static constexpr int recurrent_gate(int slot) { return slot; }
};

template <class T, class A, class R>
struct LstmCell {
  using V = Vec<T>;
  using Form = Lstm;
  A a;
  R r;

  static RNNCORE_INLINE LstmCell make(const SequenceShape& s) {
    return {function_for<A>(s.activation), function_for<R>(s.recurrent_activation)};
  }

  static RNNCORE_INLINE V forward(const LstmCell& cell, V (&s)[Form::slots], V /*h_before*/, V& c) {
    const V i = activated<T>(cell.r, s[0]), f = activated<T>(cell.r, s[1]);
    const V g = activated<T>(cell.a, s[2]), o = activated<T>(cell.r, s[3]);
    c = f * c + unfused(i * g);
    return o * cell.a.template value<T>(c);
  }

  // c again, from what `forward` has left in s.
  static RNNCORE_INLINE V memory(const LstmCell& cell, const V (&s)[Form::slots], V c_before) {
    const V i = output<T>(cell.r, s[0]), f = output<T>(cell.r, s[1]), g = output<T>(cell.a, s[2]);
    return f * c_before + unfused(i * g);
  }

  static RNNCORE_INLINE void backward(const LstmCell& cell, V (&s)[Form::slots], V /*h*/, V /*h_before*/, V c,
                                      V c_before, V dh, V& dc, V& /*dh_carry*/) {
    const V i = output<T>(cell.r, s[0]), f = output<T>(cell.r, s[1]);
    const V g = output<T>(cell.a, s[2]), o = output<T>(cell.r, s[3]);
    const V y = cell.a.template value<T>(c);
    const V do_ = dh * y;                              // h = o·a(c)
    dc += dh * o * slope<T>(cell.a, c, y);             // h = o·a(c)
    s[0] = dc * g * slope<T>(cell.r, s[0], i);         // c = f·c' + i·g
    s[1] = dc * c_before * slope<T>(cell.r, s[1], f);  // c = f·c' + i·g
    s[2] = dc * i * slope<T>(cell.a, s[2], g);         // c = f·c' + i·g
    s[3] = do_ * slope<T>(cell.r, s[3], o);
    dc = dc * f;  // c = f·c' + i·g
  }
};

}  // namespace
}  // namespace rnncore
