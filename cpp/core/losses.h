// Losses and their gradients: one value per row, the mean over the last axis or, for cross-entropies over
// classes, their sum.
#pragma once

#include "core/softmax.h"

namespace rnncore {
namespace {

template <class T>
RNNCORE_INLINE T log(T x) {
  return sizeof(T) == 4 ? static_cast<T>(__builtin_logf(static_cast<float>(x))) : static_cast<T>(__builtin_log(x));
}

// Probabilities are kept within [1e-7, 1 − 1e-7], as Keras does; no gradient passes outside.
template <class T>
struct Probability {
  static constexpr T low = T(1e-7), high = T(1 - 1e-7);

  T value;
  bool inside;

  explicit Probability(T p) : value(p < low ? low : p > high ? high : p), inside(p >= low && p <= high) {}
};

// The elementwise losses: value(y, t) and the derivative with respect to y.
template <class T>
struct SquaredError {
  T value(T y, T t) const { return (y - t) * (y - t); }
  T slope(T y, T t) const { return 2 * (y - t); }
};

template <class T>
struct AbsoluteError {
  T value(T y, T t) const { return y < t ? t - y : y - t; }
  T slope(T y, T t) const { return T(y > t) - T(y < t); }
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

// z is the logit: value = log(1 + e^-|z|) + max(z, 0) − z·t
template <class T>
struct BinaryCrossentropyLogits {
  T smoothing;
  T smooth(T t) const { return t * (1 - smoothing) + T(0.5) * smoothing; }
  T value(T z, T t) const {
    const double size = z < 0 ? -z : z;
    return static_cast<T>(__builtin_log1p(__builtin_exp(-size))) + (z > 0 ? z : T(0)) - z * smooth(t);
  }
  T slope(T z, T t) const { return static_cast<T>(1 / (1 + __builtin_exp(-static_cast<double>(z)))) - smooth(t); }
};

// Padding is not looked at: it adds nothing and its gradient is zero.
template <class T>
RNNCORE_INLINE bool skip_row(const LossArguments<T>& a, int64_t r) {
  if (!a.counted || a.counted[r]) return false;
  for (int64_t c = r * a.classes; a.gradient && c < (r + 1) * a.classes; ++c) a.gradient[c] = 0;
  return true;
}

// A part of the rows: Σ weight·loss and Σ weight.
template <class T, class F>
RNNCORE_INLINE void elementwise_rows(const LossArguments<T>& a, Range rows, double (&sums)[2], F f) {
  const T* target = static_cast<const T*>(a.target);
  const int64_t C = a.classes;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    if (skip_row(a, r)) continue;
    const T weight = a.weight ? a.weight[r] : T(1);
    double sum = 0;
    for (int64_t c = r * C; c < (r + 1) * C; ++c) sum += static_cast<double>(f.value(a.output[c], target[c]));
    sums[0] += static_cast<double>(weight) * sum / static_cast<double>(C);
    sums[1] += static_cast<double>(weight);
    if (!a.gradient) continue;
    const T share = weight * a.scale / static_cast<T>(C);
    for (int64_t c = r * C; c < (r + 1) * C; ++c) a.gradient[c] = share * f.slope(a.output[c], target[c]);
  }
}

// Target probability of class c of row r.
template <class T>
struct DenseTarget {
  const T* target;
  int64_t classes;
  T keep, rest;  // label smoothing: t·keep + rest
  T operator()(int64_t r, int64_t c) const { return target[r * classes + c] * keep + rest; }
};

struct SparseTarget {
  const int32_t* label;
  bool operator()(int64_t r, int64_t c) const { return label[r] == c; }
};

template <class T, class Target>
RNNCORE_INLINE void class_rows(const LossArguments<T>& a, Range rows, double (&sums)[2], Target target) {
  const int64_t C = a.classes;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    if (skip_row(a, r)) continue;
    const T weight = a.weight ? a.weight[r] : T(1);
    const T share = weight * a.scale;
    const T* y = a.output + r * C;
    T* gradient = a.gradient ? a.gradient + r * C : nullptr;
    double loss = 0;
    if (a.from_logits) {
      const T shift = log_sum_exp(y, C);
      T total = 0;
      for (int64_t c = 0; c < C; ++c) {
        const T t = static_cast<T>(target(r, c));
        loss += static_cast<double>(t * (shift - y[c]));
        total += t;
      }
      if (gradient) {
        exp_row(C, y, shift, gradient);
        for (int64_t c = 0; c < C; ++c) gradient[c] = share * (total * gradient[c] - static_cast<T>(target(r, c)));
      }
    } else {
      // q = y / Σy, loss = −Σ t·log(clip(q))
      const T total = row_sum(C, y);
      T carried = 0;  // Σ dq·q
      for (int64_t c = 0; c < C; ++c) {
        const T t = static_cast<T>(target(r, c));
        if (t == 0) continue;
        const Probability<T> q(y[c] / total);
        loss -= static_cast<double>(t * log(q.value));
        if (q.inside) carried -= t;
      }
      for (int64_t c = 0; gradient && c < C; ++c) {
        const Probability<T> q(y[c] / total);
        const T dq = q.inside ? -static_cast<T>(target(r, c)) / q.value : T(0);
        gradient[c] = share * (dq - carried) / total;
      }
    }
    sums[0] += static_cast<double>(weight) * loss;
    sums[1] += static_cast<double>(weight);
  }
}

template <class T>
RNNCORE_INLINE void loss_rows(const LossArguments<T>& a, Range rows, double (&sums)[2]) {
  const T keep = 1 - a.label_smoothing, rest = a.label_smoothing / static_cast<T>(a.classes);
  switch (a.kind) {
    case LossKind::mean_squared_error: return elementwise_rows(a, rows, sums, SquaredError<T>{});
    case LossKind::mean_absolute_error: return elementwise_rows(a, rows, sums, AbsoluteError<T>{});
    case LossKind::huber: return elementwise_rows(a, rows, sums, Huber<T>{a.delta});
    case LossKind::binary_crossentropy:
      if (a.from_logits) return elementwise_rows(a, rows, sums, BinaryCrossentropyLogits<T>{a.label_smoothing});
      return elementwise_rows(a, rows, sums, BinaryCrossentropy<T>{a.label_smoothing});
    case LossKind::categorical_crossentropy:
      return class_rows(a, rows, sums, DenseTarget<T>{static_cast<const T*>(a.target), a.classes, keep, rest});
    case LossKind::sparse_categorical_crossentropy:
      return class_rows(a, rows, sums, SparseTarget{static_cast<const int32_t*>(a.target)});
  }
}

template <class T>
void loss(const LossArguments<T>& a, const Team& team) {
  for (int part = team.thread; part < kReductionParts; part += team.threads) {
    double sums[2] = {0, 0};
    loss_rows(a, team_range(a.rows, part, kReductionParts, 8), sums);
    a.sums[2 * part] = sums[0];
    a.sums[2 * part + 1] = sums[1];
  }
}

}  // namespace
}  // namespace rnncore
