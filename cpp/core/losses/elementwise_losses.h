// The losses that are a mean over the last axis of something elementwise: value(y, t) and its derivative by y.
#pragma once

#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

constexpr double kLossEpsilon = 1e-7;

template <class T>
RNNCORE_INLINE T log(T x) {
  return sizeof(T) == 4 ? static_cast<T>(__builtin_logf(static_cast<float>(x))) : static_cast<T>(__builtin_log(x));
}

// 1, -1, and 0 or NaN where x is
template <class T>
RNNCORE_INLINE T sign(T x) {
  return x > 0 ? T(1) : x < 0 ? T(-1) : x;
}

// Probabilities are kept within [1e-7, 1 − 1e-7], as Keras does; no gradient passes outside. The bounds are numbers of
// T, also where the probability is a `Number` of more digits. NaN is inside.
template <class T, class Number = T>
struct Probability {
  static constexpr Number low = T(1e-7), high = T(1 - 1e-7);

  Number value;
  bool inside;

  explicit Probability(Number p) : value(p < low ? low : p > high ? high : p), inside(!(p < low) && !(p > high)) {}
};

template <class T>
struct SquaredError {
  T value(T y, T t) const { return (y - t) * (y - t); }
  T slope(T y, T t) const { return 2 * (y - t); }
};

template <class T>
struct AbsoluteError {
  T value(T y, T t) const { return y < t ? t - y : y - t; }
  T slope(T y, T t) const { return sign(y - t); }
};

template <class T>
struct Huber {
  T delta;
  T value(T y, T t) const {
    const T size = y < t ? t - y : y - t;
    return size <= delta ? T(0.5) * size * size : delta * size - T(0.5) * delta * delta;
  }
  T slope(T y, T t) const {
    const T e = y - t;
    return e > delta ? delta : e < -delta ? -delta : e;
  }
};

template <class T>
struct BinaryCrossentropy {
  T smoothing;
  T smooth(T t) const { return t * (1 - smoothing) + T(0.5) * smoothing; }
  T value(T y, T t) const {
    const T p = Probability<T>(y).value;
    return -(smooth(t) * log(p) + (1 - smooth(t)) * log(1 - p));
  }
  T slope(T y, T t) const {
    const Probability<T> p(y);
    return p.inside ? (1 - smooth(t)) / (1 - p.value) - smooth(t) / p.value : T(0);
  }
};

// z is the logit: value = log(1 + e^-|z|) + max(z, 0) − z·t, which an infinite z that is right makes 0
template <class T>
struct BinaryCrossentropyLogits {
  T smoothing;
  T smooth(T t) const { return t * (1 - smoothing) + T(0.5) * smoothing; }
  T value(T z, T t) const {
    const double size = z < 0 ? -z : z;
    const T wrong = z > 0 ? 1 - smooth(t) : -smooth(t);
    return static_cast<T>(__builtin_log1p(__builtin_exp(-size))) + (wrong == 0 ? T(0) : z * wrong);
  }
  T slope(T z, T t) const { return static_cast<T>(1 / (1 + __builtin_exp(-static_cast<double>(z)))) - smooth(t); }
};

template <class T>
struct AbsolutePercentageError {
  static T factor(T t) {
    const T size = t < 0 ? -t : t;
    return T(100) / (size < T(kLossEpsilon) ? T(kLossEpsilon) : size);
  }
  T value(T y, T t) const { return factor(t) * (y < t ? t - y : y - t); }
  T slope(T y, T t) const { return factor(t) * sign(y - t); }
};

template <class T>
struct SquaredLogarithmicError {
  static double above(T x) { return x < T(kLossEpsilon) ? kLossEpsilon : static_cast<double>(x); }
  static double error(T y, T t) { return __builtin_log1p(above(y)) - __builtin_log1p(above(t)); }
  T value(T y, T t) const { return static_cast<T>(error(y, t) * error(y, t)); }
  T slope(T y, T t) const { return y < T(kLossEpsilon) ? T(0) : static_cast<T>(2 * error(y, t) / (1 + above(y))); }
};

template <class T>
struct LogCosh {
  T value(T y, T t) const {
    const double size = __builtin_fabs(static_cast<double>(y - t));
    return static_cast<T>(size + __builtin_log1p(__builtin_exp(-2 * size)) - 0.69314718055994530942);
  }
  T slope(T y, T t) const { return static_cast<T>(__builtin_tanh(static_cast<double>(y - t))); }
};

template <class T>
struct Poisson {
  T value(T y, T t) const { return y - t * log(y + T(kLossEpsilon)); }
  T slope(T y, T t) const { return 1 - t / (y + T(kLossEpsilon)); }
};

// Targets are −1 or 1; 0 stands for −1.
template <class T>
struct Hinge {
  static T side(T t) { return t == 0 ? T(-1) : t; }
  static T margin(T y, T t) { return side(t) * y >= 1 ? T(0) : 1 - side(t) * y; }
  T value(T y, T t) const { return margin(y, t); }
  T slope(T y, T t) const {
    const T m = margin(y, t);
    return m > 0 ? -side(t) : m;  // 0 or NaN
  }
};

template <class T>
struct SquaredHinge {
  T value(T y, T t) const { return Hinge<T>::margin(y, t) * Hinge<T>::margin(y, t); }
  T slope(T y, T t) const { return -2 * Hinge<T>::side(t) * Hinge<T>::margin(y, t); }
};

// distance^gamma and its derivative; none at 0.
struct Focus {
  double factor, slope;
  Focus(double distance, double gamma)
      : factor(distance > 0 ? __builtin_pow(distance, gamma) : static_cast<double>(gamma == 0)),
        slope(distance > 0 ? gamma * __builtin_pow(distance, gamma - 1) : 0) {}
};

template <class T>
struct BinaryFocalCrossentropy {
  bool from_logits, balanced;
  double alpha, gamma, smoothing;

  struct Parts {
    double t, y, p, entropy, balance;
    bool inside;
    Focus focus;
  };
  Parts parts(T output, T target) const {
    const double given = static_cast<double>(output);
    const double t = static_cast<double>(target) * (1 - smoothing) + 0.5 * smoothing;
    const double y = from_logits ? 1 / (1 + __builtin_exp(-given)) : given;
    const Probability<T, double> p(y);
    const double entropy = -(t * __builtin_log(p.value) + (1 - t) * __builtin_log(1 - p.value));
    const double balance = balanced ? t * alpha + (1 - t) * (1 - alpha) : 1;
    return {t, y, p.value, entropy, balance, p.inside, Focus(1 - (t * y + (1 - t) * (1 - y)), gamma)};
  }
  T value(T y, T t) const {
    const Parts a = parts(y, t);
    return static_cast<T>(a.balance * a.focus.factor * a.entropy);
  }
  T slope(T y, T t) const {
    const Parts a = parts(y, t);
    const double dentropy = a.inside ? (1 - a.t) / (1 - a.p) - a.t / a.p : 0;
    const double dy = a.focus.factor * dentropy - a.focus.slope * (2 * a.t - 1) * a.entropy;
    return static_cast<T>(a.balance * dy * (from_logits ? a.y * (1 - a.y) : 1));
  }
};

// One term of a sum over classes.
template <class T>
struct Divergence {
  static T clip(T p) { return p < T(kLossEpsilon) ? T(kLossEpsilon) : p > 1 ? T(1) : p; }
  T value(T y, T t) const { return clip(t) * log(clip(t) / clip(y)); }
  T slope(T y, T t) const { return y < T(kLossEpsilon) || y > 1 ? T(0) : -clip(t) / y; }
};

}  // namespace
}  // namespace rnncore
