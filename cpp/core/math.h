// Vector exp, tanh and sigmoid.
#pragma once

#include "core/simd.h"

namespace rnncore {
namespace {

// Rounds x·log2(e) to an integer n by adding 1.5·2^mantissa; the low bits of the sum hold n.
template <class T>
struct ExpTable;

template <>
struct ExpTable<float> {
  static constexpr float low = -87.3f, high = 88.3f;
  static constexpr float log2e = 1.44269504088896341f, magic = 12582912.0f;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr int shift = 23;
  static constexpr int terms = 6;
  static constexpr float c[terms] = {1.0f, 0.5f, 1.6666667e-1f, 4.1666668e-2f, 8.3333338e-3f, 1.3888889e-3f};
};

template <>
struct ExpTable<double> {
  static constexpr double low = -708.3, high = 709.4;
  static constexpr double log2e = 1.44269504088896340736, magic = 6755399441055744.0;
  static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  static constexpr int shift = 52;
  static constexpr int terms = 12;
  static constexpr double c[terms] = {1.0,
                                      1.0 / 2,
                                      1.0 / 6,
                                      1.0 / 24,
                                      1.0 / 120,
                                      1.0 / 720,
                                      1.0 / 5040,
                                      1.0 / 40320,
                                      1.0 / 362880,
                                      1.0 / 3628800,
                                      1.0 / 39916800,
                                      1.0 / 479001600};
};

template <class T>
RNNCORE_INLINE Vec<T> exp(Vec<T> x) {
  using E = ExpTable<T>;
  x = max(min(x, broadcast<T>(E::high)), broadcast<T>(E::low));
  const Vec<T> shifted = x * E::log2e + E::magic;
  const Vec<T> n = shifted - E::magic;
  Vec<T> r = x - n * E::ln2_high;
  r = r - n * E::ln2_low;
  Vec<T> p = broadcast<T>(E::c[E::terms - 1]);
#pragma GCC unroll 16
  for (int i = E::terms - 2; i >= 0; --i) p = p * r + E::c[i];
  p = p * r + T(1);
  return bit_cast<Vec<T>>(bit_cast<Bits<T>>(p) + (bit_cast<Bits<T>>(shifted) << E::shift));
}

template <class T>
RNNCORE_INLINE Vec<T> sigmoid(Vec<T> x) {
  return T(1) / (T(1) + exp<T>(-x));
}

// expm1-style near zero, so that relative accuracy is kept there.
template <class T>
RNNCORE_INLINE Vec<T> tanh(Vec<T> x) {
  using E = ExpTable<T>;
  Vec<T> y = T(2) * x;
  y = max(min(y, broadcast<T>(T(80))), broadcast<T>(T(-80)));
  const Vec<T> shifted = y * E::log2e + E::magic;
  const Vec<T> n = shifted - E::magic;
  Vec<T> r = y - n * E::ln2_high;
  r = r - n * E::ln2_low;
  Vec<T> p = broadcast<T>(E::c[E::terms - 1]);
#pragma GCC unroll 16
  for (int i = E::terms - 2; i >= 0; --i) p = p * r + E::c[i];
  // e^y - 1 = 2^n (p·r + 1) - 1 = 2^n·p·r + (2^n - 1)
  const Vec<T> two_n = bit_cast<Vec<T>>(bit_cast<Bits<T>>(broadcast<T>(1)) + (bit_cast<Bits<T>>(shifted) << E::shift));
  const Vec<T> expm1 = two_n * (p * r) + (two_n - T(1));
  return expm1 / (expm1 + T(2));
}

}  // namespace
}  // namespace rnncore
