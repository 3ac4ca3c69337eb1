// The losses whose value of a row is no mean of elements: cross-entropies over classes, similarities, margins.
#pragma once

#include "core/losses/elementwise_losses.h"
#include "core/magnitude.h"
#include "core/ops/softmax.h"

namespace rnncore {
namespace {

// Whether a row is part of the loss.
template <class T>
RNNCORE_INLINE bool counts(const LossArguments<T>& a, int64_t r) {
  if (a.counted && !a.counted[r]) return false;
  return !a.ignores || static_cast<const int32_t*>(a.target)[r] != a.ignored;
}

// Padding and ignored labels are not looked at: they add nothing and their gradient is zero.
template <class T>
RNNCORE_INLINE bool skip_row(const LossArguments<T>& a, int64_t r) {
  if (counts(a, r)) return false;
  for (int64_t c = r * a.classes; a.gradient && c < (r + 1) * a.classes; ++c) a.gradient[c] = 0;
  return true;
}

// Σ f(c) in float64, by eight chains, since one would wait for the latency of each addition.
template <class F>
RNNCORE_INLINE double sum_of(int64_t count, F f) {
  double part[8] = {};
  int64_t c = 0;
  for (; c + 8 <= count; c += 8)
    for (int lane = 0; lane < 8; ++lane) part[lane] += static_cast<double>(f(c + lane));
  for (int lane = 0; c < count; ++c, ++lane) part[lane] += static_cast<double>(f(c));
  for (int width = 4; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) part[lane] += part[lane + width];
  return part[0];
}

// Σ weight·loss and Σ weight of a part of the rows that have one element, for which the sum of many would cost more
// than most functions.
template <class T, class F>
RNNCORE_INLINE void one_output_rows(const LossArguments<T>& a, Range rows, double (&sums)[2], F f) {
  const T *output = a.output, *target = static_cast<const T*>(a.target), *weights = a.weight;
  T* gradient = a.gradient;
  double total = 0, total_weight = 0;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    if (skip_row(a, r)) continue;
    const T weight = weights ? weights[r] : T(1);
    total_weight += static_cast<double>(weight);
    total += static_cast<double>(weight) * static_cast<double>(f.value(output[r], target[r]));
    if (gradient) gradient[r] = weight * a.scale * f.slope(output[r], target[r]);
  }
  sums[0] = total, sums[1] = total_weight;
}

// A part of the rows: Σ weight·loss and Σ weight. A row's loss is the sum over its elements / divisor. A function of
// its own for each loss, for in a switch of all they spill each other's registers.
template <class T, class F>
static __attribute__((noinline)) void elementwise_rows(const LossArguments<T>& a, Range rows, double (&sums)[2], F f,
                                                       double divisor) {
  const T* target = static_cast<const T*>(a.target);
  const int64_t C = a.classes;
  if (C == 1) return one_output_rows(a, rows, sums, f);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    if (skip_row(a, r)) continue;
    const T weight = a.weight ? a.weight[r] : T(1);
    sums[1] += static_cast<double>(weight);
    const double sum = sum_of(C, [&](int64_t c) { return f.value(a.output[r * C + c], target[r * C + c]); });
    sums[0] += static_cast<double>(weight) * sum / divisor;
    if (!a.gradient) continue;
    const T share = weight * a.scale / static_cast<T>(divisor);
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

// Cross-entropy of logits with class numbers: log Σ exp(y) − y_label.
template <class T>
RNNCORE_INLINE void label_rows(const LossArguments<T>& a, Range rows, double (&sums)[2]) {
  const int64_t C = a.classes;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    if (skip_row(a, r)) continue;
    const T weight = a.weight ? a.weight[r] : T(1), share = weight * a.scale;
    const T* y = a.output + r * C;
    const int64_t label = static_cast<const int32_t*>(a.target)[r];
    const T shift = log_sum_exp(y, C);
    sums[0] += static_cast<double>(weight) * static_cast<double>(shift - y[label]);
    sums[1] += static_cast<double>(weight);
    if (!a.gradient) continue;
    T* gradient = a.gradient + r * C;
    exp_row(C, y, shift, gradient, share);
    gradient[label] -= share;
  }
}

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
        if (t != 0 || shift != shift) loss += static_cast<double>(t * (shift - y[c]));  // not 0·infinity
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

// Losses of a whole row at once: f(C, y, t, share, gradient) gives the value and, unless null, fills the gradient.
template <class T, class F>
RNNCORE_INLINE void each_row(const LossArguments<T>& a, Range rows, double (&sums)[2], F f) {
  const T* target = static_cast<const T*>(a.target);
  const int64_t C = a.classes;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    if (skip_row(a, r)) continue;
    const double weight = a.weight ? static_cast<double>(a.weight[r]) : 1.0;
    T* gradient = a.gradient ? a.gradient + r * C : nullptr;
    sums[0] += weight * f(C, a.output + r * C, target + r * C, weight * static_cast<double>(a.scale), gradient);
    sums[1] += weight;
  }
}

struct CosineSimilarity {
  // √square, the sum of the squares of x
  template <class T>
  static double norm(double square, int64_t C, const T* x) {
    return __builtin_isinf(square) ? norm_of_large(C, [x](int64_t c) { return x[c]; }) : __builtin_sqrt(square);
  }

  template <class T>
  double operator()(int64_t C, const T* y, const T* t, double share, T* gradient) const {
    double yy = 0, tt = 0, yt = 0;
    for (int64_t c = 0; c < C; ++c) {
      const double u = static_cast<double>(y[c]), v = static_cast<double>(t[c]);
      yy += u * u, tt += v * v, yt += u * v;
    }
    const double size = norm(yy, C, y), target = norm(tt, C, t);
    const bool divided = !(size <= kLossEpsilon);  // a shorter output is divided by a constant
    const double y_scale = 1 / (divided ? size : kLossEpsilon);
    const double t_scale = 1 / (target <= kLossEpsilon ? kLossEpsilon : target);
    double value = -yt * y_scale * t_scale;
    if (!__builtin_isfinite(value)) {
      value = 0;
      for (int64_t c = 0; c < C; ++c)
        value -= static_cast<double>(y[c]) * y_scale * (static_cast<double>(t[c]) * t_scale);
    }
    const double along = divided ? value * y_scale : 0;
    for (int64_t c = 0; gradient && c < C; ++c)
      gradient[c] =
          static_cast<T>(-share * y_scale * (static_cast<double>(t[c]) * t_scale + along * static_cast<double>(y[c])));
    return value;
  }
};

// The best wrong class stays 1 below the right one.
struct CategoricalHinge {
  template <class T>
  double operator()(int64_t C, const T* y, const T* t, double share, T* gradient) const {
    double right = 0;
    int64_t best = 0;
    for (int64_t c = 0; c < C; ++c) {
      right += static_cast<double>(t[c] * y[c]);
      const T other = (1 - t[c]) * y[c], top = (1 - t[best]) * y[best];
      if (other > top || (other != other && top == top)) best = c;  // NaN is the greatest
    }
    const double value = static_cast<double>((1 - t[best]) * y[best]) - right + 1;
    const T slope = static_cast<T>(value > 0 ? share : value < 0 ? 0 : value);
    for (int64_t c = 0; gradient && c < C; ++c) gradient[c] = slope * ((c == best ? 1 - t[c] : T(0)) - t[c]);
    return value < 0 ? 0 : value;
  }
};

struct CategoricalFocalCrossentropy {
  bool from_logits;
  double alpha, gamma, smoothing;

  template <class T>
  double operator()(int64_t C, const T* y, const T* t, double share, T* gradient) const {
    const double scale = from_logits ? static_cast<double>(log_sum_exp(y, C)) : static_cast<double>(row_sum(C, y));
    const double rest = smoothing / static_cast<double>(C);
    const auto share_of = [&](int64_t c) {
      const double z = static_cast<double>(y[c]);
      return from_logits ? __builtin_exp(z - scale) : z / scale;
    };
    const auto slope_of = [&](int64_t c, double q) {
      const Probability<T, double> p(q);
      const Focus focus(1 - p.value, gamma);
      const double target = static_cast<double>(t[c]) * (1 - smoothing) + rest;
      return p.inside ? alpha * target * (focus.slope * __builtin_log(p.value) - focus.factor / p.value) : 0.0;
    };
    double value = 0, carried = 0;  // carried: Σ dq·q
    for (int64_t c = 0; c < C; ++c) {
      const double q = share_of(c), p = Probability<T, double>(q).value;
      const double target = static_cast<double>(t[c]) * (1 - smoothing) + rest;
      value -= alpha * target * Focus(1 - p, gamma).factor * __builtin_log(p);
      if (gradient) carried += slope_of(c, q) * q;
    }
    for (int64_t c = 0; gradient && c < C; ++c) {
      const double q = share_of(c);
      gradient[c] = static_cast<T>(share * (slope_of(c, q) - carried) * (from_logits ? q : 1 / scale));
    }
    return value;
  }
};

}  // namespace
}  // namespace rnncore
