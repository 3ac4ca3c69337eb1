// Elementwise activations and their derivatives, which all follow from the output.
#pragma once

#include "core/math.h"
#include "core/ops.h"

namespace rnncore {
namespace {

struct Linear {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return x;
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T>) {
    return broadcast<T>(1);
  }
};

struct Relu {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return x < T(0) ? Vec<T>{} : x;  // keeps NaN
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> y) {
    return y > T(0) ? broadcast<T>(1) : Vec<T>{};
  }
};

struct Sigmoid {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return sigmoid<T>(x);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> y) {
    return y * (T(1) - y);
  }
};

struct Tanh {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return tanh<T>(x);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> y) {
    return T(1) - y * y;
  }
};

struct HardSigmoid {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    const Vec<T> y = x * T(1.0 / 6) + T(0.5);
    const Vec<T> below = y > T(1) ? broadcast<T>(1) : y;  // NaN stays NaN
    return below < T(0) ? Vec<T>{} : below;
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> y) {
    return (y > T(0)) & (y < T(1)) ? broadcast<T>(T(1.0 / 6)) : Vec<T>{};
  }
};

// Calls body(function) with the type that stands for `activation`, so that the choice is outside the loop.
template <class Body>
RNNCORE_INLINE void with_activation(Activation activation, Body body) {
  switch (activation) {
    case Activation::linear: return body(Linear{});
    case Activation::relu: return body(Relu{});
    case Activation::sigmoid: return body(Sigmoid{});
    case Activation::tanh: return body(Tanh{});
    case Activation::hard_sigmoid: return body(HardSigmoid{});
  }
}

template <class T>
void activate(Activation activation, int64_t size, const T* x, T* y, const Team& team) {
  const Range range = team_range(size, team, 256);
  with_activation(activation, [&](auto f) {
    for (int64_t i = range.begin; i < range.end; i += W<T>) {
      const int64_t left = range.end - i;
      store_partial(y + i, f.template value<T>(load_partial(x + i, left)), left);
    }
  });
}

template <class T>
void activate_backward(Activation activation, int64_t size, const T* y, const T* dy, T* dx, const Team& team) {
  const Range range = team_range(size, team, 256);
  with_activation(activation, [&](auto f) {
    for (int64_t i = range.begin; i < range.end; i += W<T>) {
      const int64_t left = range.end - i;
      const Vec<T> slope = f.template derivative<T>(load_partial(y + i, left));
      store_partial(dx + i, load_partial(dy + i, left) * slope, left);
    }
  });
}

}  // namespace
}  // namespace rnncore
