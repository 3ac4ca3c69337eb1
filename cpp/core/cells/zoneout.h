// h = k·h' + (1 − k)·h~,  c = k·c' + (1 − k)·c~   (Krueger et al. 2016)
//
// h~ and c~ are what the cell makes of h' and c'; k is drawn for each step and unit in training, and its mean
// otherwise.
#pragma once

#include "core/cells/activations.h"

namespace rnncore {
namespace {

// The form of a cell with zoneout: h' reaches h past the products.
template <class CellForm>
struct Zoned : CellForm {
  static constexpr bool carries_dh = true;
};

template <class Form>
constexpr bool is_zoned = false;
template <class CellForm>
constexpr bool is_zoned<Zoned<CellForm>> = true;

// k·before + (1 − k)·now, where 0 and 1 let nothing of the other through, infinity and NaN neither.
template <class V>
RNNCORE_INLINE V zoned(V hold, V before, V now) {
  const V mixed = hold * before + unfused((1 - hold) * now);
  return hold == 0 ? now : hold == 1 ? before : mixed;
}

template <class Form, class CellT, class V>
RNNCORE_INLINE V zoned_forward(const CellT& cell, V (&slot)[Form::slots], V h_before, V& c, V hold_h, V hold_c) {
  const V c_before = c;
  const V h = CellT::forward(cell, slot, h_before, c);
  c = zoned(hold_c, c_before, c);
  return zoned(hold_h, h_before, h);
}

// With holds of 0 or 1 only, as training draws them: where h is held, h~ is not needed. c becomes c~, which is not
// saved.
template <class Form, class CellT, class V>
RNNCORE_INLINE void zoned_backward(const CellT& cell, V (&slot)[Form::slots], V h, V h_before, V& c, V c_before, V dh,
                                   V& dc, V& dh_carry, V hold_h, V hold_c) {
  if constexpr (Form::has_memory) c = slot[1] * c_before + unfused(slot[0] * slot[2]);
  const V dc_held = unfused(hold_c * dc);  // c = k·c' + (1 − k)·c~
  dc = unfused((1 - hold_c) * dc);         // c = k·c' + (1 − k)·c~
  CellT::backward(cell, slot, h, h_before, c, c_before, (1 - hold_h) * dh, dc, dh_carry);
  dc += dc_held;
  dh_carry = unfused(dh_carry) + hold_h * dh;  // h = k·h' + (1 − k)·h~
}

}  // namespace
}  // namespace rnncore
