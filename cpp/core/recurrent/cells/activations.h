// What every cell has in common: its activation functions, and the facts that the drivers ask for. A cell is a struct
// with
//
//   Form                                         facts about its gates and states, see lstm.h
//   make(shape)                                  the cell of a call
//   forward(cell, s, h_before, c) -> h           from pre-activations in s to what backward needs, and from c' to c
//   backward(cell, s, h, ..., dh, dc, dh_carry)  from that to the gradients of the pre-activations in s
//
// on vectors of units. With extra_rows it also has at() and extra_gradients(), see lstm_peephole.h; a cell that holds,
// see zoneout.h, takes the shares that it holds as further arguments.
#pragma once

#include "core/activations.h"
#include "core/recurrent/sequence.h"

namespace rnncore {
namespace {

struct CellForm {
  static constexpr int extra_rows = 0;            // rows of H weights beside the products'
  static constexpr bool holds = false;            // mixes its states with those before
  static constexpr bool may_keep_inputs = false;  // where its function needs them
};

// A function chosen at run time, in the place of one that is fixed at compile time.
struct Chosen {
  const Elementwise* function;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    return call<T>(*function, x);
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T> y) const {
    return slope<T>(*function, x, y);
  }

 private:
  // Not inlined: they would put every branch at every use.
  template <class T>
  static __attribute__((noinline)) Vec<T> call(const Elementwise& function, Vec<T> x) {
    return with_function(function, [&](auto f) __attribute__((always_inline)) { return f.template value<T>(x); });
  }
  template <class T>
  static __attribute__((noinline)) Vec<T> slope(const Elementwise& function, Vec<T> x, Vec<T> y) {
    return with_function(function,
                         [&](auto f) __attribute__((always_inline)) { return f.template derivative<T>(x, y); });
  }
};

// The function that stands for a call's: itself where it is fixed.
template <class F>
RNNCORE_INLINE F function_for(const Elementwise& function) {
  if constexpr (std::is_same_v<F, Chosen>)
    return {&function};
  else
    return {};
}

// Whether backward needs a function's input rather than its output. Those fixed at compile time do not.
template <class F>
RNNCORE_INLINE bool keeps_input(const F& f) {
  if constexpr (std::is_same_v<F, Chosen>)
    return needs_input(f.function->function);
  else
    return false;
}

// f at the pre-activation s, which becomes what backward needs: the output, or it stays as it is.
template <class T, class F>
RNNCORE_INLINE Vec<T> activated(F f, Vec<T>& s) {
  const Vec<T> y = f.template value<T>(s);
  if (!keeps_input(f)) s = y;
  return y;
}

// The output again, and the derivative there, from what `activated` has left.
template <class T, class F>
RNNCORE_INLINE Vec<T> output(F f, Vec<T> s) {
  return keeps_input(f) ? f.template value<T>(s) : s;
}
template <class T, class F>
RNNCORE_INLINE Vec<T> slope(F f, Vec<T> s, Vec<T> y) {
  return f.template derivative<T>(s, y);
}

}  // namespace
}  // namespace rnncore
