// What the products of the recurrent kernels multiply: numbers of T as they are, or pairs of bfloat16 (float's upper
// half), which one instruction multiplies and adds up in float. Where the processor lacks it, the products take numbers
// of float that are rounded to bfloat16.
#pragma once

#include "core/simd.h"

namespace rnncore {
namespace {

// Two bfloat16, neighbours along the depth of a product; the first in the lower half.
struct Bfloat16Pair {
  uint32_t bits;
};
using Bfloat16 = uint16_t;

template <>
struct VectorOf<Bfloat16Pair> {
  typedef uint32_t type __attribute__((vector_size(RNNCORE_VECTOR_BYTES)));
};
typedef uint16_t HalfWords __attribute__((vector_size(RNNCORE_VECTOR_BYTES / 2)));

// Numbers that one element of a product holds, and the type of a single number.
template <class P>
struct Factor {
  static constexpr int numbers = 1;
  using Number = P;
};
template <>
struct Factor<Bfloat16Pair> {
  static constexpr int numbers = 2;
  using Number = Bfloat16;
};

// Elements that hold `count` numbers.
template <class P>
RNNCORE_INLINE int64_t elements_of(int64_t count) {
  return (count + Factor<P>::numbers - 1) / Factor<P>::numbers;
}

RNNCORE_INLINE Vec<Bfloat16Pair> broadcast(Bfloat16Pair pair) { return pair.bits - Vec<Bfloat16Pair>{}; }

RNNCORE_INLINE void multiply_add(Vec<float>& sum, Vec<float> a, Vec<float> b) { sum += a * b; }
RNNCORE_INLINE void multiply_add(Vec<double>& sum, Vec<double> a, Vec<double> b) { sum += a * b; }
#if defined(__AVX512BF16__)
RNNCORE_INLINE void multiply_add(Vec<float>& sum, Vec<Bfloat16Pair> a, Vec<Bfloat16Pair> b) {
  sum = _mm512_dpbf16_ps(sum, bit_cast<__m512bh>(a), bit_cast<__m512bh>(b));
}
#endif

// To the nearest bfloat16, ties to even, in the lower half of each lane. NaN stays NaN.
RNNCORE_INLINE Vec<Bfloat16Pair> round_to_bfloat16(Vec<float> v) {
  using Lanes = Vec<Bfloat16Pair>;
  const Lanes bits = bit_cast<Lanes>(v), nan = bit_cast<Lanes>(v != v);
  const Lanes rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return ((nan & (bits | 0x400000u)) | (~nan & rounded)) >> 16;
}

RNNCORE_INLINE Vec<Bfloat16Pair> pair_up(Vec<Bfloat16Pair> first, Vec<Bfloat16Pair> second) {
  return first | (second << 16);
}

// The same as a float.
RNNCORE_INLINE Vec<float> rounded_float(Vec<float> v) { return bit_cast<Vec<float>>(round_to_bfloat16(v) << 16); }

// Stores v as numbers of bfloat16.
RNNCORE_INLINE void store_rounded(float* to, Vec<float> v) { store(to, rounded_float(v)); }
RNNCORE_INLINE void store_rounded(Bfloat16* to, Vec<float> v) {
  const HalfWords words = __builtin_convertvector(round_to_bfloat16(v), HalfWords);
  __builtin_memcpy(to, &words, sizeof(words));
}

// W numbers, one in the lower half of each lane.
RNNCORE_INLINE Vec<Bfloat16Pair> load_bfloat16(const Bfloat16* from) {
  HalfWords words;
  __builtin_memcpy(&words, from, sizeof(words));
  return __builtin_convertvector(words, Vec<Bfloat16Pair>);
}

}  // namespace
}  // namespace rnncore
