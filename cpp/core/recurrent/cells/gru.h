// z, r = s(W·x + b + U·h' + b'),  q = U·h' + b',  n = a(W·x + b + r·q)
// h = z·h' + (1 - z)·n     (Cho et al. 2014, reset after the product)
#pragma once

#include "core/recurrent/cells/activations.h"

namespace rnncore {
namespace {

struct Gru : CellForm {
  static constexpr int gates = 3;
  static constexpr int slots = 4;  // n, z, r, q: the input product adds to n z r, the recurrent one to z r q
  static constexpr int input_slot = 0, recurrent_slot = 1;
  static constexpr bool has_memory = false;
  static constexpr bool keeps_slots = true;
  static constexpr bool carries_dh = true;

  // Columns of the weights are z, r, h.
  static constexpr int input_gate(int slot) { return slot == 0 ? 2 : slot - 1; }
  static constexpr int recurrent_gate(int slot) { return slot - 1; }
};

template <class T, class A, class R>
struct GruCell {
  using V = Vec<T>;
  using Form = Gru;
  A a;
  R r;

  static RNNCORE_INLINE GruCell make(const SequenceShape& s) {
    return {function_for<A>(s.activation), function_for<R>(s.recurrent_activation)};
  }

  static RNNCORE_INLINE V forward(const GruCell& cell, V (&s)[Form::slots], V h_before, V& /*c*/) {
    const V z = activated<T>(cell.r, s[1]), r = activated<T>(cell.r, s[2]);
    s[0] = s[0] + r * s[3];
    const V n = activated<T>(cell.a, s[0]);
    return n + z * (h_before - n);
  }

  static RNNCORE_INLINE void backward(const GruCell& cell, V (&s)[Form::slots], V /*h*/, V h_before, V /*c*/,
                                      V /*c_before*/, V dh, V& /*dc*/, V& dh_carry) {
    const V n = output<T>(cell.a, s[0]), z = output<T>(cell.r, s[1]), r = output<T>(cell.r, s[2]), q = s[3];
    const V dn = dh * (T(1) - z) * slope<T>(cell.a, s[0], n);  // h = z·h' + (1 - z)·n
    s[0] = dn;                                                 // n = a(W·x + b + r·q)
    s[1] = dh * (h_before - n) * slope<T>(cell.r, s[1], z);    // h = z·h' + (1 - z)·n
    s[2] = dn * q * slope<T>(cell.r, s[2], r);                 // n = a(W·x + b + r·q)
    s[3] = dn * r;                                             // n = a(W·x + b + r·q)
    dh_carry = dh * z;                                         // h = z·h' + (1 - z)·n
  }
};

}  // namespace
}  // namespace rnncore
