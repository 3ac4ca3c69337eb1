// Softmax over the last axis and the logarithm of its denominator.
#pragma once

#include "core/math.h"
#include "core/ops.h"

namespace rnncore {
namespace {

template <class T>
RNNCORE_INLINE T largest(const T* x, int64_t classes) {
  T m = x[0];
  if (classes >= W<T>) {
    Vec<T> v = load(x);
    int64_t i = W<T>;
    for (; i + W<T> <= classes; i += W<T>) {
      fetch_ahead(x + i);
      v = max(v, load(x + i));
    }
    v = max(v, load(x + classes - W<T>));
    for (int lane = 0; lane < W<T>; ++lane) m = v[lane] > m ? v[lane] : m;
  } else {
    for (int64_t i = 1; i < classes; ++i) m = x[i] > m ? x[i] : m;
  }
  return m;
}

// log Σ_c exp(x_c)
template <class T>
RNNCORE_INLINE T log_sum_exp(const T* x, int64_t classes) {
  const T m = largest(x, classes);
  Vec<T> sum{};
  int64_t i = 0;
  for (; i + W<T> <= classes; i += W<T>) sum += exp<T>(load(x + i) - m);
  if (i < classes) {
    Vec<T> e = exp<T>(load_partial(x + i, classes - i) - m);
    for (int64_t lane = classes - i; lane < W<T>; ++lane) e[lane] = 0;
    sum += e;
  }
  return m + static_cast<T>(__builtin_log(static_cast<double>(reduce_add<T>(sum))));
}

// y_c = scale·exp(x_c − shift), for any shift
template <class T>
RNNCORE_INLINE void exp_row(int64_t classes, const T* x, T shift, T* y, T scale = 1) {
  for (int64_t i = 0; i < classes; i += W<T>) {
    const int64_t left = classes - i;
    store_partial(y + i, scale * exp_to_zero<T>(load_partial(x + i, left) - shift), left);
  }
}

template <class T>
RNNCORE_INLINE T dot(int64_t n, const T* a, const T* b) {
  Vec<T> sum{};
  for (int64_t i = 0; i < n; i += W<T>) sum += load_partial(a + i, n - i) * load_partial(b + i, n - i);
  return reduce_add<T>(sum);
}

template <class T>
RNNCORE_INLINE T row_sum(int64_t n, const T* a) {
  Vec<T> sum{};
  for (int64_t i = 0; i < n; i += W<T>) sum += load_partial(a + i, n - i);
  return reduce_add<T>(sum);
}

template <class T>
void softmax(int64_t rows, int64_t classes, const T* x, T* y, const Team& team) {
  const Range range = team_range(rows, team, 4);
  for (int64_t r = range.begin; r < range.end; ++r) {
    T* out = y + r * classes;
    exp_row(classes, x + r * classes, largest(x + r * classes, classes), out);
    const T sum = row_sum(classes, out);
    for (int64_t c = 0; c < classes; ++c) out[c] /= sum;
  }
}

// y = softmax(x)  →  dx = y·(dy − Σ dy·y)
template <class T>
void softmax_backward(int64_t rows, int64_t classes, const T* y, const T* dy, T* dx, const Team& team) {
  const Range range = team_range(rows, team, 4);
  for (int64_t r = range.begin; r < range.end; ++r) {
    const T *yr = y + r * classes, *dyr = dy + r * classes;
    const T mean = dot(classes, dyr, yr);
    for (int64_t c = 0; c < classes; ++c) dx[r * classes + c] = yr[c] * (dyr[c] - mean);
  }
}

}  // namespace
}  // namespace rnncore
