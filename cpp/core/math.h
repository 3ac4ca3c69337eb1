// Vector exp, tanh and sigmoid, accurate to a stated error over the whole range of the type.
//
//            largest error in ULP
//            float32   float64    arguments are clamped to (float32; float64)
//   exp         2         2       [-87.33, 88.37]; [-708.39, 709.4]
//   sigmoid     3         3       [-87.33, 87.33]; [-708.39, 708.39]
//   tanh        4         3       beyond which the result is exactly ±1
//
// The bounds hold at every level (tests/core/test_math.py sweeps them), with the float32 tanh at 3.2 where there is
// fused multiply-add. NaN gives NaN; the clamps keep all results of exp and sigmoid normal numbers. Where they must
// not, `exp_to_zero` gives 0 below them, and `exp_everywhere` goes on to denormal numbers and infinity.
// benchmarks/fit_math.py finds the constants.
#pragma once

#include "core/simd.h"

namespace rnncore {
namespace {

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool kFused = true;
#else
constexpr bool kFused = false;
#endif

// e^x = 2^n·e^r with x = n·ln(2) + r, and e^r = (g + r)/(g - r) where g = r·coth(r/2) is even and nearly 2:
// g = 2 + y·(c0 + c1·y + ...), y = r².
template <class T>
struct ExpTable;

template <>
struct ExpTable<float> {
  static constexpr float low = -87.33f, high = 88.37f;
  static constexpr float zero = -104, infinity = 89;  // where e^x rounds to 0, and is beyond the type
  static constexpr float log2e = 0x1.715476p+0f;
  // Adding it rounds to an integer, and leaves n plus the exponent's bias in the low bits.
  static constexpr float magic = 0x1.8p+23f + 127;
  static constexpr int shift = 23;
  // ln(2) in two parts; without fused multiply-add n·ln2_high must be exact.
  static constexpr float ln2_high = kFused ? 0x1.62e43p-1f : 0x1.62e4p-1f;
  static constexpr float ln2_low = kFused ? -0x1.05c61p-29f : 0x1.7f7d1cp-20f;
  // g hardly feels ln2_low when ln2_high has all its bits: start on y one step earlier.
  static constexpr bool early_square = kFused;
  static constexpr float c[] = {0x1.555514p-3f, -0x1.6a8bf8p-9f};
};

template <>
struct ExpTable<double> {
  static constexpr double low = -708.39, high = 709.4;
  static constexpr double zero = -746, infinity = 710;
  static constexpr double log2e = 0x1.71547652b82fep+0;
  static constexpr double magic = 0x1.8p+52 + 1023;
  static constexpr int shift = 52;
  static constexpr double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;
  static constexpr bool early_square = false;
  static constexpr double c[] = {0x1.555555555552dp-3, -0x1.6c16c16bd9e0fp-9, 0x1.1566aac02e78p-14,
                                 -0x1.bbd3a9e8bba29p-20, 0x1.6348a0e19074cp-25};
};

// e^x = scale·(g + r)/(g - r), where scale = 2^n and shifted = n + magic
template <class T>
struct ExpParts {
  Vec<T> scale, g, r, shifted;
};

template <class T>
RNNCORE_INLINE ExpParts<T> exp_parts(Vec<T> x) {
  using E = ExpTable<T>;
  const Vec<T> shifted = x * E::log2e + E::magic;
  const Vec<T> n = shifted - E::magic;
  const Vec<T> r_high = x - n * E::ln2_high;
  const Vec<T> r = r_high - n * E::ln2_low;
  const Vec<T> y = E::early_square ? r_high * r_high : r * r;
  constexpr int terms = sizeof(E::c) / sizeof(T);
  Vec<T> g = broadcast<T>(E::c[terms - 1]);
#pragma GCC unroll 8
  for (int i = terms - 2; i >= 0; --i) g = g * y + E::c[i];
  g = g * y + T(2);
  return {bit_cast<Vec<T>>(bit_cast<Bits<T>>(shifted) << E::shift), g, r, shifted};
}

// NaN passes through: the second operand wins a comparison with it.
template <class T>
RNNCORE_INLINE Vec<T> clamp(Vec<T> x, T low, T high) {
  return max(broadcast<T>(low), min(broadcast<T>(high), x));
}

template <class T>
RNNCORE_INLINE Vec<T> exp(Vec<T> x) {
  const ExpParts<T> e = exp_parts<T>(clamp<T>(x, ExpTable<T>::low, ExpTable<T>::high));
  return (e.g + e.r) / (e.g - e.r) * e.scale;
}

template <class T>
RNNCORE_INLINE Vec<T> exp_to_zero(Vec<T> x) {
  return x < ExpTable<T>::low ? Vec<T>{} : exp<T>(x);
}

template <class T>
RNNCORE_INLINE Vec<T> exp_everywhere(Vec<T> x) {
  using E = ExpTable<T>;
  const ExpParts<T> e = exp_parts<T>(clamp<T>(x, E::zero, E::infinity));
  // 2^n in two factors, each a normal number.
  const Vec<T> half = (e.shifted - E::magic) * T(0.5) + E::magic, rest = e.shifted - (half - E::magic);
  const auto power = [](Vec<T> shifted) { return bit_cast<Vec<T>>(bit_cast<Bits<T>>(shifted) << E::shift); };
  return (e.g + e.r) / (e.g - e.r) * power(half) * power(rest);
}

// 1/(1 + e^-x) with one division.
template <class T>
RNNCORE_INLINE Vec<T> sigmoid(Vec<T> x) {
  const ExpParts<T> e = exp_parts<T>(-clamp<T>(x, ExpTable<T>::low, -ExpTable<T>::low));
  const Vec<T> down = e.g - e.r;
  return down / (down + e.scale * (e.g + e.r));
}

// float32: t = tanh(x/2) = x·p(y)/q(y), y = x², q monic, and tanh(x) = 2t/(1 + t²), which forgives errors of t
// where t is near 1, so that the degrees stay low. At `bound` the result is exactly 1.
struct TanhTable {
  static constexpr float bound = 8.68f;
  static constexpr float p[] = {0x1.bd5p+18f, 0x1.a422c2p+13f, 0x1.89d768p+5f};
  static constexpr float q[] = {0x1.bd5p+19f, 0x1.91e898p+16f, 0x1.0c268p+10f};
};

template <class T>
RNNCORE_INLINE Vec<T> tanh(Vec<T> x) {
  if constexpr (sizeof(T) == sizeof(float)) {
    using C = TanhTable;
    const Vec<T> y = min(broadcast<T>(C::bound * C::bound), x * x);
    const Vec<T> q = ((y + C::q[2]) * y + C::q[1]) * y + C::q[0];
    const Vec<T> p = ((C::p[2] * y + C::p[1]) * y + C::p[0]) * clamp<T>(x, -C::bound, C::bound);
    return p * (q + q) / (q * q + unfused(p * p));
  } else {
    // (u - 1)/(u + 1) for u = e^2|x|, with the division inside u multiplied out and h = (scale - 1)/2: nothing
    // cancels at zero, and both sums share the rounding of the product.
    const Bits<T> sign = bit_cast<Bits<T>>(x) & bit_cast<Bits<T>>(broadcast<T>(T(-0.0)));
    const Vec<T> magnitude = bit_cast<Vec<T>>(bit_cast<Bits<T>>(x) ^ sign);
    const ExpParts<T> e = exp_parts<T>(min(broadcast<T>(T(20)), magnitude) * T(2));
    const Vec<T> product = (e.scale * T(0.5) - T(0.5)) * (e.g + e.r);
    return bit_cast<Vec<T>>(bit_cast<Bits<T>>((product + e.r) / (product + e.g)) | sign);
  }
}

}  // namespace
}  // namespace rnncore
