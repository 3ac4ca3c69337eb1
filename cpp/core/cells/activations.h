// Activation functions of the cells, and their slopes as functions of the activation's output.
#pragma once

#include "core/math.h"
#include "core/sequence.h"

namespace rnncore {
namespace {

template <class T>
RNNCORE_INLINE Vec<T> activate_inline(Activation f, Vec<T> x) {
  switch (f) {
    case Activation::relu: return max(x, Vec<T>{});
    case Activation::sigmoid: return sigmoid<T>(x);
    case Activation::tanh: return tanh<T>(x);
    case Activation::hard_sigmoid: return max(min(x / T(6) + T(0.5), broadcast<T>(1)), Vec<T>{});
    default: return x;
  }
}

// Not inlined: a function chosen at run time would otherwise put every branch at every use.
template <class T>
static __attribute__((noinline)) Vec<T> activate_call(Activation f, Vec<T> x) {
  return activate_inline<T>(f, x);
}

template <class T>
RNNCORE_INLINE Vec<T> activation_slope(Activation f, Vec<T> y) {
  const Vec<T> one = broadcast<T>(1);
  switch (f) {
    case Activation::relu: return y > Vec<T>{} ? one : Vec<T>{};
    case Activation::sigmoid: return y * (one - y);
    case Activation::tanh: return one - y * y;
    case Activation::hard_sigmoid: return (y > Vec<T>{}) & (y < one) ? one / T(6) : Vec<T>{};
    default: return one;
  }
}

// A function fixed at compile time, and one chosen at run time, with the same interface.
template <Activation F>
struct Fixed {
  template <class T>
  static RNNCORE_INLINE Vec<T> apply(Fixed, Vec<T> x) {
    return activate_inline<T>(F, x);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> slope(Fixed, Vec<T> y) {
    return activation_slope<T>(F, y);
  }
};

struct Chosen {
  Activation function;
  template <class T>
  static RNNCORE_INLINE Vec<T> apply(Chosen f, Vec<T> x) {
    return activate_call<T>(f.function, x);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> slope(Chosen f, Vec<T> y) {
    return activation_slope<T>(f.function, y);
  }
};

}  // namespace
}  // namespace rnncore
