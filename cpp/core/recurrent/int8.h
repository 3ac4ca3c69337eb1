// Numbers as int8 with a common scale: the largest magnitude / 127, q = round(x / scale).
#pragma once

#include "core/bfloat16.h"

namespace rnncore {
namespace {

// Of numbers of which the largest has this magnitude. Those that are too small for 1 / scale count as zeros.
RNNCORE_INLINE float int8_scale(float most) { return most < 1e-30f ? 0 : most / 127; }
// What numbers are multiplied with; zero where the scale is zero or not finite, which it tells by itself.
RNNCORE_INLINE float int8_factor(float scale) { return scale > 0 ? 1 / scale : 0; }

RNNCORE_INLINE Vec<float> absolute(Vec<float> v) { return bit_cast<Vec<float>>(bit_cast<Bits<float>>(v) & 0x7fffffff); }

// The larger magnitude; NaN stays.
RNNCORE_INLINE Vec<float> larger(Vec<float> most, Vec<float> v) {
  const Vec<float> size = absolute(v);
  return (size > most) | (size != size) ? size : most;
}

// To the nearest, ties to even.
RNNCORE_INLINE Bits<float> quantized_to_int8(Vec<float> v, Vec<float> factor) {
  constexpr float kNoFraction = 12582912;  // 1.5·2^23
  const Vec<float> rounded = (unfused(v * factor) + kNoFraction) - kNoFraction;
  return __builtin_convertvector(rounded, Bits<float>);
}

}  // namespace
}  // namespace rnncore
