// Update rules, each one pass over the flat vectors: clipping and weight decay are folded in. Epsilon stands where
// Keras puts it: inside the root for RMSprop, outside and not bias-corrected for Adam.
#pragma once

#include "core/ops.h"
#include "core/simd.h"
#include "core/type_list.h"

namespace rnncore {
namespace {

template <class T>
RNNCORE_INLINE Vec<T> square_root(Vec<T> v) {
  T lane[W<T>];
  store(lane, v);
  for (T& x : lane)
    if constexpr (sizeof(T) == 4)
      x = __builtin_sqrtf(x);
    else
      x = __builtin_sqrt(x);
  return load(lane);
}

// What averages of t steps that began at zero lack.
inline double missing(double beta, int64_t t) { return 1 - __builtin_pow(beta, static_cast<double>(t)); }

// Each rule: its kind, the slots that it goes through at least, `move`, and `correct_bias` where it has one.
template <class T>
struct Sgd {
  static constexpr UpdateRule kind = UpdateRule::sgd;
  static constexpr int slots = 1;
  static RNNCORE_INLINE Vec<T> move(const Update<T>& u, Vec<T> g, int64_t i, int64_t left) {
    const Vec<T> step = u.rate * g;
    if (u.momentum == 0) return -step;
    const Vec<T> m = u.momentum * load_partial(u.slots[0] + i, left) - step;
    store_partial(u.slots[0] + i, m, left);
    return u.nesterov ? u.momentum * m - step : m;
  }
};

template <class T>
struct RmsProp {
  static constexpr UpdateRule kind = UpdateRule::rmsprop;
  static constexpr int slots = 1;
  static RNNCORE_INLINE Vec<T> move(const Update<T>& u, Vec<T> g, int64_t i, int64_t left) {
    const Vec<T> velocity = u.rho * load_partial(u.slots[0] + i, left) + (1 - u.rho) * g * g;
    store_partial(u.slots[0] + i, velocity, left);
    Vec<T> variance = velocity + u.epsilon;
    if (u.centered) {
      const Vec<T> average = u.rho * load_partial(u.slots[2] + i, left) + (1 - u.rho) * g;
      store_partial(u.slots[2] + i, average, left);
      variance -= average * average;
    }
    Vec<T> step = u.rate * g / square_root<T>(variance);
    if (u.momentum > 0) {
      step += u.momentum * load_partial(u.slots[1] + i, left);
      store_partial(u.slots[1] + i, step, left);
    }
    return -step;
  }
};

template <class T>
struct Adam {
  static constexpr UpdateRule kind = UpdateRule::adam;
  static constexpr int slots = 2;
  static double correct_bias(Update<T>&, const UpdateTime& now) {
    return __builtin_sqrt(missing(now.beta_2, now.t)) / missing(now.beta_1, now.t);
  }
  static RNNCORE_INLINE Vec<T> move(const Update<T>& u, Vec<T> g, int64_t i, int64_t left) {
    Vec<T> m = load_partial(u.slots[0] + i, left), v = load_partial(u.slots[1] + i, left);
    m += (g - m) * (1 - u.beta_1);
    v += (g * g - v) * (1 - u.beta_2);
    store_partial(u.slots[0] + i, m, left);
    store_partial(u.slots[1] + i, v, left);
    if (u.amsgrad) {
      const Vec<T> largest = load_partial(u.slots[2] + i, left);
      v = max(largest, v);  // NaN stays NaN
      store_partial(u.slots[2] + i, v, left);
    }
    return -u.rate * m / (square_root<T>(v) + u.epsilon);
  }
};

template <class T>
struct Nadam {
  static constexpr UpdateRule kind = UpdateRule::nadam;
  static constexpr int slots = 2;
  // The momentum of step i is u(i) = beta_1 (1 − 0.96^i / 2), P(i) the product of the first i.
  static double correct_bias(Update<T>& update, const UpdateTime& now) {
    double power = 1, product = 1;
    const auto next = [&] {
      power *= 0.96;
      return now.beta_1 * (1 - 0.5 * power);
    };
    constexpr int64_t kMostFactors = int64_t{1} << 20;  // also where beta_1 is 1
    double u = 0;
    for (int64_t i = 1; i <= now.t; ++i) {
      u = next();
      product *= u;
      if (product < 1e-30 || i == kMostFactors) {  // P counts for nothing any more
        power = __builtin_pow(0.96, static_cast<double>(now.t));
        u = now.beta_1 * (1 - 0.5 * power);
        break;
      }
    }
    const double ahead = next();
    update.momentum_factor = static_cast<T>(ahead / (1 - unfused(product * ahead)));
    update.gradient_factor = static_cast<T>((1 - u) / (1 - product));
    update.square_factor = static_cast<T>(1 / missing(now.beta_2, now.t));
    return 1;
  }
  static RNNCORE_INLINE Vec<T> move(const Update<T>& u, Vec<T> g, int64_t i, int64_t left) {
    Vec<T> m = load_partial(u.slots[0] + i, left), v = load_partial(u.slots[1] + i, left);
    m += (g - m) * (1 - u.beta_1);
    v += (g * g - v) * (1 - u.beta_2);
    store_partial(u.slots[0] + i, m, left);
    store_partial(u.slots[1] + i, v, left);
    const Vec<T> ahead = u.momentum_factor * m + u.gradient_factor * g;
    return -u.rate * ahead / (square_root<T>(v * u.square_factor) + u.epsilon);
  }
};

template <class T>
struct Adagrad {
  static constexpr UpdateRule kind = UpdateRule::adagrad;
  static constexpr int slots = 1;
  static RNNCORE_INLINE Vec<T> move(const Update<T>& u, Vec<T> g, int64_t i, int64_t left) {
    const Vec<T> added = load_partial(u.slots[0] + i, left) + g * g;
    store_partial(u.slots[0] + i, added, left);
    return -u.rate * g / square_root<T>(added + (u.initial + u.epsilon));
  }
};

template <class T>
struct Adadelta {
  static constexpr UpdateRule kind = UpdateRule::adadelta;
  static constexpr int slots = 2;
  static RNNCORE_INLINE Vec<T> move(const Update<T>& u, Vec<T> g, int64_t i, int64_t left) {
    const Vec<T> squares = u.rho * load_partial(u.slots[0] + i, left) + (1 - u.rho) * g * g;
    const Vec<T> moves = load_partial(u.slots[1] + i, left);
    const Vec<T> step = -square_root<T>(moves + u.epsilon) * g / square_root<T>(squares + u.epsilon);
    store_partial(u.slots[0] + i, squares, left);
    store_partial(u.slots[1] + i, u.rho * moves + (1 - u.rho) * step * step, left);
    return u.rate * step;
  }
};

template <class T>
struct Adamax {
  static constexpr UpdateRule kind = UpdateRule::adamax;
  static constexpr int slots = 2;
  static double correct_bias(Update<T>&, const UpdateTime& now) { return 1 / missing(now.beta_1, now.t); }
  static RNNCORE_INLINE Vec<T> move(const Update<T>& u, Vec<T> g, int64_t i, int64_t left) {
    Vec<T> m = load_partial(u.slots[0] + i, left);
    m += (g - m) * (1 - u.beta_1);
    const Vec<T> size = g < 0 ? -g : g, faded = u.beta_2 * load_partial(u.slots[1] + i, left);
    const Vec<T> largest = (faded > size) | (faded != faded) ? faded : size;
    store_partial(u.slots[0] + i, m, left);
    store_partial(u.slots[1] + i, largest, left);
    return -u.rate * m / (largest + u.epsilon);
  }
};

template <class T>
struct Lion {
  static constexpr UpdateRule kind = UpdateRule::lion;
  static constexpr int slots = 1;
  static RNNCORE_INLINE Vec<T> move(const Update<T>& u, Vec<T> g, int64_t i, int64_t left) {
    const Vec<T> m = load_partial(u.slots[0] + i, left);
    const Vec<T> mixed = u.beta_1 * m + (1 - u.beta_1) * g;
    store_partial(u.slots[0] + i, u.beta_2 * m + (1 - u.beta_2) * g, left);
    const Vec<T> up = broadcast<T>(u.rate);
    return mixed > 0 ? -up : mixed < 0 ? up : mixed;  // 0 or NaN
  }
};

// Of a step that only gathers gradients.
template <class T>
struct Rest {
  static constexpr UpdateRule kind = UpdateRule::none;
  static constexpr int slots = 0;
  static RNNCORE_INLINE Vec<T> move(const Update<T>&, Vec<T>, int64_t, int64_t) { return broadcast<T>(0); }
};

template <class T, class Rule>
RNNCORE_INLINE void update_range(const Update<T>& u, T scale, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += W<T>) {
    const int64_t left = end - i;
    fetch_ahead(u.gradients + i);
    fetch_ahead(u.parameters + i);
    for (int k = 0; k < Rule::slots; ++k) fetch_ahead(u.slots[k] + i);
    Vec<T> g = load_partial(u.gradients + i, left) * scale;
    g = g > u.limit ? broadcast<T>(u.limit) : g;  // NaN stays NaN
    g = g < -u.limit ? broadcast<T>(-u.limit) : g;
    Vec<T> w = load_partial(u.parameters + i, left);
    if (u.decay != 0) w -= w * u.decay;  // not infinity·0
    w += Rule::move(u, g, i, left);
    if (u.accumulated) store_partial(u.accumulated + i, broadcast<T>(0), left);
    if (u.average) {
      const Vec<T> average = u.average_momentum * load_partial(u.average + i, left) + (1 - u.average_momentum) * w;
      store_partial(u.average + i, average, left);
      if (u.overwrite) w = average;
    }
    store_partial(u.parameters + i, w, left);
  }
}

template <class T>
using Rules = TypeList<Rest<T>, Sgd<T>, RmsProp<T>, Adam<T>, Nadam<T>, Adagrad<T>, Adadelta<T>, Adamax<T>, Lion<T>>;

template <class T, class Body>
RNNCORE_INLINE void with_rule(UpdateRule rule, Body body) {
  Rules<T>::with_first([&]<class Rule>() { return Rule::kind == rule; }, body);
}

template <class T>
double correct_bias(Update<T>& u, const UpdateTime& now) {
  double correction = 1;
  with_rule<T>(u.rule, [&]<class Rule>() {
    if constexpr (requires { Rule::correct_bias(u, now); }) correction = Rule::correct_bias(u, now);
  });
  return correction;
}

template <class T>
void update(const Update<T>& u, T scale, int64_t begin, int64_t end) {
  with_rule<T>(u.rule, [&]<class Rule>() { update_range<T, Rule>(u, scale, begin, end); });
}

template <class T>
void regularize(int64_t size, const T* w, T l1, T l2, T* g, const Team& team) {
  const Range range = team_range(size, team, 256);
  for (int64_t i = range.begin; i < range.end; ++i) {
    const T sign = w[i] > 0 ? T(1) : w[i] < 0 ? T(-1) : w[i];
    g[i] += l1 * sign + (l2 == 0 ? T(0) : 2 * l2 * w[i]);
  }
}

template <class T>
void norms(int64_t size, const T* x, double sums[2]) {
  // Several chains, since each addition waits for the one before.
  constexpr int lanes = 8, chains = 4;
  typedef double Doubles __attribute__((vector_size(lanes * sizeof(double))));
  typedef T Numbers __attribute__((vector_size(lanes * sizeof(T))));
  Doubles absolute[chains] = {}, square[chains] = {};
  int64_t i = 0;
  for (; i + lanes * chains <= size; i += lanes * chains)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) {
      fetch_ahead(x + i + c * lanes);
      Numbers numbers;
      __builtin_memcpy(&numbers, x + i + c * lanes, sizeof(numbers));
      const Doubles v = __builtin_convertvector(numbers, Doubles);
      absolute[c] += v < 0 ? -v : v;
      square[c] += v * v;
    }
  sums[0] = sums[1] = 0;
  for (int c = 0; c < chains; ++c)
    for (int j = 0; j < lanes; ++j) sums[0] += absolute[c][j], sums[1] += square[c][j];
  for (; i < size; ++i) {
    const double v = static_cast<double>(x[i]);
    sums[0] += v < 0 ? -v : v;
    sums[1] += v * v;
  }
}

template <class T>
void add(int64_t size, const T* x, T* y, const Team& team) {
  const Range range = team_range(size, team, 256);
  for (int64_t i = range.begin; i < range.end; ++i) y[i] += x[i];
}

}  // namespace
}  // namespace rnncore
