// Elementwise functions and their derivatives, from input x and output y, of cells, dense, convolution and activation.
// Only those that `needs_input` names read x in `derivative`. NaN gives NaN in both; at ±infinity they have their
// limits.
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
  static RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T>) {
    return broadcast<T>(1);
  }
};

struct Relu {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return max(Vec<T>{}, x);  // keeps NaN
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T> y) {
    return y > T(0) ? broadcast<T>(1) : y;  // 0 or NaN
  }
};

struct Sigmoid {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return sigmoid<T>(x);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T> y) {
    return y * (T(1) - y);
  }
};

struct Tanh {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return tanh<T>(x);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T> y) {
    return T(1) - y * y;
  }
};

struct HardSigmoid {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return clamp<T>(x + T(3), 0, 6) * T(1.0 / 6);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T> y) {
    const Vec<T> inside = y * (T(1) - y);  // 0 at both ends
    return inside > T(0) ? broadcast<T>(T(1.0 / 6)) : inside;
  }
};

struct Affine {
  double alpha, beta;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    return x * T(alpha) + T(beta);
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T>) const {
    return broadcast<T>(T(alpha));
  }
};

// HardSigmoid with options.
struct ClippedAffine {
  double alpha, beta;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    return clamp<T>(x * T(alpha) + T(beta), 0, 1);
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T> y) const {
    const Vec<T> inside = y * (T(1) - y);  // 0 at both ends
    return inside > T(0) ? broadcast<T>(T(alpha)) : inside;
  }
};

// As Keras's ReLU: `limit` where x reaches it (NaN: none), x from `threshold` on, below that `slope` of the distance to
// it.
struct LeakyRelu {
  double slope, limit, threshold;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    const Vec<T> below = slope == 0 ? Vec<T>{} : (x - T(threshold)) * T(slope);  // -infinity·0 is 0 here
    const Vec<T> y = x < T(threshold) ? below : x;
    return x >= T(limit) ? broadcast<T>(T(limit)) : y;
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T>) const {
    const Vec<T> one = broadcast<T>(1), limited = x >= T(limit) ? Vec<T>{} : one;
    const Vec<T> inside = __builtin_isnan(limit) ? one : limited;
    const Vec<T> known = x < T(threshold) ? broadcast<T>(T(slope)) : inside;
    return x != x ? x : known;
  }
};

// x above `threshold`, elsewhere `otherwise`.
struct Threshold {
  double threshold, otherwise;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    return x <= T(threshold) ? broadcast<T>(T(otherwise)) : x;
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T>) const {
    const Vec<T> known = x > T(threshold) ? broadcast<T>(1) : Vec<T>{};
    return x != x ? x : known;
  }
};

// alpha·tanh(beta·x)
struct ScaledTanh {
  double alpha, beta;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    return tanh<T>(x * T(beta)) * T(alpha);
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T>) const {
    const Vec<T> t = tanh<T>(x * T(beta));
    return (T(1) - t * t) * T(alpha * beta);
  }
};

// e^x - 1, from the identity (e^x + 1)·tanh(x/2), which cancels nothing at zero.
template <class T>
RNNCORE_INLINE Vec<T> exp_minus_1(Vec<T> x) {
  return (exp<T>(x) + T(1)) * tanh<T>(x * T(0.5));
}

// scale·x above zero, scale·alpha·(e^(rate·x) - 1) below: elu with scale and rate 1, selu, and celu with rate 1/alpha.
struct Elu {
  double alpha, scale, rate;

  template <class T>
  RNNCORE_INLINE Vec<T> value(Vec<T> x) const {
    return x < T(0) ? exp_minus_1<T>(unfused(x * T(rate))) * T(scale * alpha) : x * T(scale);
  }
  template <class T>
  RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T> y) const {
    return x > T(0) ? broadcast<T>(T(scale)) : (y + T(scale * alpha)) * T(rate);
  }
};

struct Exponential {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return exp_everywhere<T>(x);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T> y) {
    return y;
  }
};

template <class T>
RNNCORE_INLINE Vec<T> magnitude(Vec<T> x) {
  return x < T(0) ? -x : x;
}

struct Softsign {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    constexpr T most = sizeof(T) == 4 ? T(__FLT_MAX__) : T(__DBL_MAX__);
    const Vec<T> finite = clamp<T>(x, -most, most);
    return finite / (T(1) + magnitude<T>(finite));
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T>, Vec<T> y) {
    const Vec<T> rest = T(1) - magnitude<T>(y);
    return rest * rest;
  }
};

// log(1 + e^x) = max(x, 0) + log(1 + u), u = e^-|x|; log(1 + u) = 2·artanh(s), s = u/(2 + u) <= 1/3.
struct Softplus {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    constexpr int terms = sizeof(T) == 4 ? 8 : 16;
    const Vec<T> u = exp_to_zero<T>(-magnitude<T>(x)), s = u / (u + T(2)), y = s * s;
    Vec<T> sum = broadcast<T>(T(1.0 / (2 * terms + 1)));
#pragma GCC unroll 16
    for (int i = terms - 1; i >= 0; --i) sum = sum * y + T(1.0 / (2 * i + 1));
    return (x < T(0) ? Vec<T>{} : x) + T(2) * s * sum;
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T>) {
    return sigmoid<T>(x);
  }
};

// Where e^x is no normal number, x·e^x counts for nothing, which sigmoid's clamp would multiply by any x.
template <class T>
RNNCORE_INLINE Vec<T> zero_far_below(Vec<T> x, Vec<T> value) {
  return x < ExpTable<T>::low ? Vec<T>{} : value;
}

struct Silu {
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    return zero_far_below<T>(x, x * sigmoid<T>(x));
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T>) {
    constexpr T bound = -ExpTable<T>::low;  // beyond it 0 or 1
    const Vec<T> near = clamp<T>(x, -bound, bound), s = sigmoid<T>(near);
    return s * (T(1) + near * (T(1) - s));
  }
};

// x·tanh(log(1 + e^x)) = x·n/(n + 2), n = e^x·(e^x + 2)
struct Mish {
  static constexpr int bound = 25;  // beyond it the factor is 1
  template <class T>
  static RNNCORE_INLINE Vec<T> ratio(Vec<T> x) {
    const Vec<T> e = exp<T>(x);
    return e * (e + T(2));
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    const Vec<T> n = ratio<T>(min(broadcast<T>(bound), x));
    return zero_far_below<T>(x, x * (n / (n + T(2))));
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T>) {
    const Vec<T> near = clamp<T>(x, ExpTable<T>::low, bound);
    const Vec<T> n = ratio<T>(near), whole = n + T(2);
    return n / whole + near * sigmoid<T>(near) * ((n + T(1)) / whole) * (T(4) / whole);
  }
};

// erfc(z)·e^(z²) = t·p(u) for z >= 0, t = 2/(2 + z), u = scale·t + shift: the interpolating polynomial at Chebyshev's
// points, in 50 digits, for z up to 4.1 (float32) and 6.
template <class T>
struct ErfcTable;

template <>
struct ErfcTable<float> {
  static constexpr float scale = 0x1.7ce0c8p+1f, shift = -0x1.f9c19p+0f;
  static constexpr float c[] = {0x1.472708p-1f,   0x1.2e6fd6p-2f,  0x1.1551dep-4f,  0x1.2234cap-11f,
                                -0x1.644436p-9f,  0x1.179a76p-16f, 0x1.3495cap-13f, -0x1.2a1290p-16f,
                                -0x1.c75af6p-18f, 0x1.11c6a2p-19f, 0x1.eb6d44p-25f};
};

template <>
struct ErfcTable<double> {
  static constexpr double scale = 0x1.5555555555555p+1, shift = -0x1.aaaaaaaaaaaabp+0;
  static constexpr double c[] = {
      0x1.36190cd3465edp-1,   0x1.3f983f3836098p-2,   0x1.5733c8284adecp-4,   0x1.49bd721152f62p-9,
      -0x1.120f50c5829dap-8,  -0x1.46163da108c52p-13, 0x1.41f17aabddb69p-12,  -0x1.87c11b33131d4p-16,
      -0x1.764cdbce9b91bp-16, 0x1.b7b5e20970c13p-18,  0x1.47580171c386bp-21,  -0x1.b6df4e8f4c2fdp-21,
      0x1.738b48d7cb9a3p-23,  0x1.26ab689c65468p-25,  -0x1.097dc49c2adf3p-25, 0x1.e79f7b5eefe3bp-28,
      0x1.13d14365f1c23p-30,  -0x1.66a2f5ab8e1c9p-30, 0x1.bd90708fe3f7ep-32,  0x1.fedc7df10235bp-36,
      -0x1.124de43bee8fap-34, 0x1.68ac5a49f1c85p-37,  0x1.33ab6ce248491p-39};
};

// x·Φ(x), Φ(x) = erfc(-x/√2)/2
struct Gelu {
  template <class T>
  static constexpr T bound = sizeof(T) == 4 ? 14 : 39;  // beyond it Φ is 0 or 1
  // Φ(x), and e^(-x²/2)
  template <class T>
  static RNNCORE_INLINE Vec<T> probability(Vec<T> x, Vec<T>& bell) {
    using C = ErfcTable<T>;
    const Vec<T> t = T(2) / (T(2) + magnitude<T>(x) * T(0.70710678118654752440));
    const Vec<T> u = t * C::scale + C::shift;
    constexpr int terms = sizeof(C::c) / sizeof(T);
    Vec<T> p = broadcast<T>(C::c[terms - 1]);
#pragma GCC unroll 32
    for (int i = terms - 2; i >= 0; --i) p = p * u + C::c[i];
    bell = exp<T>(x * x * T(-0.5));
    const Vec<T> tail = t * p * bell * T(0.5);
    return x < T(0) ? tail : T(1) - tail;
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    Vec<T> bell;
    const Vec<T> p = probability<T>(x, bell);
    return max(broadcast<T>(-bound<T>), x) * p;
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T>) {
    Vec<T> bell;
    const Vec<T> near = clamp<T>(x, -bound<T>, bound<T>), p = probability<T>(near, bell);
    return p + near * bell * T(0.39894228040143267794);
  }
};

// x·σ(v), v = √(8/π)·(x + 0.044715·x³)
struct GeluTanh {
  static constexpr int bound = 100;  // beyond it σ(v) is 0 or 1
  // v, and its derivative
  template <class T>
  static RNNCORE_INLINE Vec<T> argument(Vec<T> near, Vec<T>& dv) {
    constexpr T factor = T(1.59576912160573071176);
    const Vec<T> square = near * near;
    dv = factor * (T(1) + T(3 * 0.044715) * square);
    return factor * near * (T(1) + T(0.044715) * square);
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> value(Vec<T> x) {
    Vec<T> dv;
    const Vec<T> v = argument<T>(clamp<T>(x, -bound, bound), dv);
    return zero_far_below<T>(v, x * sigmoid<T>(v));
  }
  template <class T>
  static RNNCORE_INLINE Vec<T> derivative(Vec<T> x, Vec<T>) {
    Vec<T> dv;
    const Vec<T> near = clamp<T>(x, -bound, bound), s = sigmoid<T>(argument<T>(near, dv));
    return s + near * dv * s * (T(1) - s);
  }
};

// Calls body(function) with the type that stands for one of the common functions.
template <class Body>
RNNCORE_INLINE auto with_common_function(Function function, Body body) {
  switch (function) {
    case Function::relu: return body(Relu{});
    case Function::sigmoid: return body(Sigmoid{});
    case Function::tanh: return body(Tanh{});
    case Function::hard_sigmoid: return body(HardSigmoid{});
    default: return body(Linear{});
  }
}

// The same with any function, so that the choice is outside the loop.
template <class Body>
RNNCORE_INLINE auto with_function(const Elementwise& e, Body body) {
  switch (e.function) {
    default: return with_common_function(e.function, body);
    case Function::affine: return body(Affine{e.alpha, e.beta});
    case Function::clipped_affine: return body(ClippedAffine{e.alpha, e.beta});
    case Function::leaky_relu: return body(LeakyRelu{e.slope, e.limit, e.threshold});
    case Function::threshold: return body(Threshold{e.threshold, e.otherwise});
    case Function::scaled_tanh: return body(ScaledTanh{e.alpha, e.beta});
    case Function::elu:
    case Function::celu: return body(Elu{e.alpha, e.scale, e.function == Function::celu ? 1 / e.alpha : 1});
    case Function::exponential: return body(Exponential{});
    case Function::softsign: return body(Softsign{});
    case Function::softplus: return body(Softplus{});
    case Function::silu: return body(Silu{});
    case Function::gelu: return body(Gelu{});
    case Function::gelu_tanh: return body(GeluTanh{});
    case Function::mish: return body(Mish{});
  }
}

template <class T>
void activate(const Elementwise& e, int64_t size, const T* x, T* y, const Team& team) {
  const Range range = team_range(size, team, 256);
  with_function(e, [&](auto f) {
    for (int64_t i = range.begin; i < range.end; i += W<T>) {
      const int64_t left = range.end - i;
      fetch_ahead(x + i);
      store_partial(y + i, f.template value<T>(load_partial(x + i, left)), left);
    }
  });
}

template <class T>
void activate_backward(const Elementwise& e, int64_t size, const T* x, const T* y, const T* dy, T* dx,
                       const Team& team) {
  const Range range = team_range(size, team, 256);
  const bool reads_x = needs_input(e.function);
  with_function(e, [&](auto f) {
    for (int64_t i = range.begin; i < range.end; i += W<T>) {
      const int64_t left = range.end - i;
      const Vec<T> in = reads_x ? load_partial(x + i, left) : Vec<T>{};
      const Vec<T> slope = f.template derivative<T>(in, load_partial(y + i, left));
      store_partial(dx + i, load_partial(dy + i, left) * slope, left);
    }
  });
}

}  // namespace
}  // namespace rnncore
