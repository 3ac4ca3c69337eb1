// h = k·h' + (1 − k)·h~,  c = k·c' + (1 − k)·c~   (Krueger et al. 2016)
//
// h~ and c~ are what the cell makes of h' and c'; k is drawn for each step and unit in training, and its mean
// otherwise.
#pragma once

#include "core/recurrent/cells/activations.h"

namespace rnncore {
namespace {

// k·before + (1 − k)·now, where 0 and 1 let nothing of the other through, infinity and NaN neither.
template <class V>
RNNCORE_INLINE V zoned(V hold, V before, V now) {
  const V mixed = hold * before + unfused((1 - hold) * now);
  return hold == 0 ? now : hold == 1 ? before : mixed;
}

// Any cell, with zoneout. Its h' reaches h past the products.
template <class CellT>
struct Zoned {
  using V = typename CellT::V;
  struct Form : CellT::Form {
    static constexpr bool carries_dh = true;
    static constexpr bool holds = true;
  };
  CellT cell;

  static RNNCORE_INLINE Zoned make(const SequenceShape& s) { return {CellT::make(s)}; }

  template <class T>
  static RNNCORE_INLINE Zoned at(const Zoned& z, const T* weights, int64_t unit, int64_t H) {
    return {CellT::at(z.cell, weights, unit, H)};
  }

  static RNNCORE_INLINE V forward(const Zoned& z, V (&s)[Form::slots], V h_before, V& c, V hold_h, V hold_c) {
    const V c_before = c;
    const V h = CellT::forward(z.cell, s, h_before, c);
    c = zoned(hold_c, c_before, c);
    return zoned(hold_h, h_before, h);
  }

  // With holds of 0 or 1 only, as training draws them: where h is held, h~ is not needed. c becomes c~, which is not
  // saved.
  static RNNCORE_INLINE void backward(const Zoned& z, V (&s)[Form::slots], V h, V h_before, V& c, V c_before, V dh,
                                      V& dc, V& dh_carry, V hold_h, V hold_c) {
    if constexpr (Form::has_memory) c = CellT::memory(z.cell, s, c_before);
    const V dc_held = unfused(hold_c * dc);  // c = k·c' + (1 − k)·c~
    dc = unfused((1 - hold_c) * dc);         // c = k·c' + (1 − k)·c~
    CellT::backward(z.cell, s, h, h_before, c, c_before, (1 - hold_h) * dh, dc, dh_carry);
    dc += dc_held;
    dh_carry = unfused(dh_carry) + hold_h * dh;  // h = k·h' + (1 − k)·h~
  }

  static RNNCORE_INLINE void extra_gradients(const V (&s)[Form::slots], V c, V c_before,
                                             V (&d)[Form::extra_rows > 0 ? Form::extra_rows : 1]) {
    CellT::extra_gradients(s, c, c_before, d);
  }
};

}  // namespace
}  // namespace rnncore
