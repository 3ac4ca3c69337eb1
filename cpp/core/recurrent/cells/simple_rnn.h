// h = f(W·x + b + U·h')   (Elman 1990)
#pragma once

#include "core/recurrent/cells/activations.h"

namespace rnncore {
namespace {

struct SimpleRnn : CellForm {
  static constexpr int gates = 1;                           // columns of the weights, in units
  static constexpr int slots = 1;                           // pre-activations of a unit
  static constexpr int input_slot = 0, recurrent_slot = 0;  // first slot each product adds to
  static constexpr bool has_memory = false;                 // carries c
  static constexpr bool keeps_slots = false;                // backward mostly needs h only
  static constexpr bool carries_dh = false;                 // h' reaches h past the products

  static constexpr int input_gate(int slot) { return slot; }
  static constexpr int recurrent_gate(int slot) { return slot; }
};

template <class T, class F>
struct SimpleRnnCell {
  using V = Vec<T>;
  struct Form : SimpleRnn {
    static constexpr bool may_keep_inputs = std::is_same_v<F, Chosen>;
  };
  F f;

  static RNNCORE_INLINE SimpleRnnCell make(const SequenceShape& s) { return {function_for<F>(s.activation)}; }

  static RNNCORE_INLINE V forward(const SimpleRnnCell& cell, V (&s)[Form::slots], V /*h_before*/, V& /*c*/) {
    return activated<T>(cell.f, s[0]);
  }

  static RNNCORE_INLINE void backward(const SimpleRnnCell& cell, V (&s)[Form::slots], V h, V /*h_before*/, V /*c*/,
                                      V /*c_before*/, V dh, V& /*dc*/, V& /*dh_carry*/) {
    s[0] = dh * slope<T>(cell.f, s[0], h);
  }
};

}  // namespace
}  // namespace rnncore
