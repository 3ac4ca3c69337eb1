// The activation functions of the cells, whose derivatives follow from the output.
#pragma once

#include "core/activations.h"
#include "core/sequence.h"

namespace rnncore {
namespace {

template <class T, class F>
RNNCORE_INLINE Vec<T> slope(F f, Vec<T> y) {
  return f.template derivative<T>(Vec<T>{}, y);
}

// A function chosen at run time, in the place of one that is fixed at compile time.
struct Chosen {
  Function function;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    return call<T>(function, x);
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T> y) const {
    return with_cell_function(function,
                              [&](auto f) __attribute__((always_inline)) { return f.template derivative<T>(x, y); });
  }

 private:
  // Not inlined: it would put every branch at every use.
  template <class T>
  static __attribute__((noinline)) Vec<T> call(Function function, Vec<T> x) {
    return with_cell_function(function, [&](auto f) __attribute__((always_inline)) { return f.template value<T>(x); });
  }
};

}  // namespace
}  // namespace rnncore
