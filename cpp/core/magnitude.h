// Norms, means and variances of numbers whose squares are beyond their type.
#pragma once

#include <cstdint>

#include "core/team.h"

namespace rnncore {
namespace {

// √Σ x² of `count` numbers x = at(i), which is finite when they are and the norm is.
template <class At>
static double norm_of_large(int64_t count, At at) {
  double most = 0, sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double size = __builtin_fabs(static_cast<double>(at(i)));
    if (!(size <= most)) most = size;
  }
  if (__builtin_isinf(most)) return most;
  for (int64_t i = 0; i < count; ++i) {
    const double share = static_cast<double>(at(i)) / most;
    sum += share * share;
  }
  return most * __builtin_sqrt(sum);
}

// What makes numbers x a ẑ = (x − mean)/√(variance + ε), with all of them scaled by the largest.
template <class T>
struct Standard {
  double scale, mean, factor;  // of x·scale

  T operator()(T x) const { return static_cast<T>((static_cast<double>(x) * scale - mean) * factor); }
  T mean_of_x() const { return static_cast<T>(mean / scale); }
  T factor_of_x() const { return static_cast<T>(factor * scale); }
};

// Of the numbers *at(i) that are there, i < count; NaN when one of them is not finite.
template <class T, class At>
static __attribute__((noinline)) Standard<T> standard_of_large(int64_t count, double epsilon, At at) {
  double most = 0, mean = 0, squares = 0;
  int64_t found = 0;
  for (int64_t i = 0; i < count; ++i)
    if (const T* x = at(i)) {
      const double size = __builtin_fabs(static_cast<double>(*x));
      if (!(size <= most)) most = size;
      ++found;
    }
  const double scale = __builtin_exp2(-__builtin_logb(most)), share = 1 / static_cast<double>(found);
  for (int pass = 0; pass < 2; ++pass) {  // the second takes the rounding errors of the first away
    double sum = 0;
    for (int64_t i = 0; i < count; ++i)
      if (const T* x = at(i)) sum += static_cast<double>(*x) * scale - mean;
    mean += sum * share;
  }
  for (int64_t i = 0; i < count; ++i)
    if (const T* x = at(i)) {
      const double distance = static_cast<double>(*x) * scale - mean;
      squares += distance * distance;
    }
  const double variance = squares * share + epsilon * scale * scale;  // not 0 where all are the same
  return {scale, mean, 1 / __builtin_sqrt(variance < __DBL_MIN__ ? __DBL_MIN__ : variance)};
}

}  // namespace
}  // namespace rnncore
