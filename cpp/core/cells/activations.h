// What every cell has in common: its activation functions, whose derivatives follow from the output, and the facts that
// the drivers ask for. A cell is a struct with
//
//   Form                                         facts about its gates and states, see lstm.h
//   make(shape)                                  the cell of a call
//   forward(cell, s, h_before, c) -> h           from pre-activations to activations in s, and from c' to c
//   backward(cell, s, h, ..., dh, dc, dh_carry)  from activations to gradients of the pre-activations in s
//
// on vectors of units. With extra_rows it also has at() and extra_gradients(), see lstm_peephole.h; a cell that holds,
// see zoneout.h, takes the shares that it holds as further arguments.
#pragma once

#include "core/activations.h"
#include "core/sequence.h"

namespace rnncore {
namespace {

template <class T, class F>
RNNCORE_INLINE Vec<T> slope(F f, Vec<T> y) {
  return f.template derivative<T>(Vec<T>{}, y);
}

struct CellForm {
  static constexpr int extra_rows = 0;  // rows of H weights beside the products'
  static constexpr bool holds = false;  // mixes its states with those before
};

// A function chosen at run time, in the place of one that is fixed at compile time.
struct Chosen {
  Function function;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    return call<T>(function, x);
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T> y) const {
    return slope<T>(function, y);
  }

 private:
  // Not inlined: they would put every branch at every use.
  template <class T>
  static __attribute__((noinline)) Vec<T> call(Function function, Vec<T> x) {
    return with_cell_function(function, [&](auto f) __attribute__((always_inline)) { return f.template value<T>(x); });
  }
  template <class T>
  static __attribute__((noinline)) Vec<T> slope(Function function, Vec<T> y) {
    return with_cell_function(function,
                              [&](auto f) __attribute__((always_inline)) { return f.template derivative<T>(y, y); });
  }
};

// The function that stands for a call's: itself where it is fixed.
template <class F>
RNNCORE_INLINE F function_for(Function function) {
  if constexpr (std::is_same_v<F, Chosen>)
    return {function};
  else
    return {};
}

}  // namespace
}  // namespace rnncore
