// Vectors of one instruction set level, on the compiler's vector extensions: the same source serves
// every level. Included only by the sources of cpp/core/isa, hence the anonymous namespace.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/team.h"

namespace rnncore {
namespace {

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(RNNCORE_VECTOR_BYTES)));
  typedef int32_t bits __attribute__((vector_size(RNNCORE_VECTOR_BYTES)));
};
template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(RNNCORE_VECTOR_BYTES)));
  typedef int64_t bits __attribute__((vector_size(RNNCORE_VECTOR_BYTES)));
};

template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
using Bits = typename VectorOf<T>::bits;

// Lanes of a vector of T.
template <class T>
constexpr int W = RNNCORE_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class T>
RNNCORE_INLINE Vec<T> broadcast(T value) {
  return value - Vec<T>{};
}

template <class T>
RNNCORE_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}

template <class T>
RNNCORE_INLINE void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof(v));
}

// Asks for what a pass through memory comes to some pages later, since the processor's own prefetching may leave half
// of a thread's bandwidth unused.
template <class T>
RNNCORE_INLINE void fetch_ahead(const T* p) {
  constexpr int64_t kBytes = 8192;
  __builtin_prefetch(reinterpret_cast<const char*>(p) + kBytes);
}

// The first n lanes; the others are zero. n may be anything; none are touched when it is not positive. The address
// sanitizer does not see what masked instructions touch.
#if RNNCORE_VECTOR_BYTES == 64 && !defined(__SANITIZE_ADDRESS__)
RNNCORE_INLINE uint32_t lanes_below(int64_t n) { return (1u << (n < 0 ? 0 : n > 16 ? 16 : n)) - 1u; }
RNNCORE_INLINE __m512 load_partial(const float* p, int64_t n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes_below(n)), p);
}
RNNCORE_INLINE __m512d load_partial(const double* p, int64_t n) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes_below(n)), p);
}
RNNCORE_INLINE void store_partial(float* p, __m512 v, int64_t n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>(lanes_below(n)), v);
}
RNNCORE_INLINE void store_partial(double* p, __m512d v, int64_t n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(lanes_below(n)), v);
}
#elif defined(__AVX2__) && RNNCORE_VECTOR_BYTES == 32 && !defined(__SANITIZE_ADDRESS__)
RNNCORE_INLINE __m256i lanes_below_32(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < 8 ? n : 8)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
RNNCORE_INLINE __m256i lanes_below_64(int64_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
RNNCORE_INLINE __m256 load_partial(const float* p, int64_t n) { return _mm256_maskload_ps(p, lanes_below_32(n)); }
RNNCORE_INLINE __m256d load_partial(const double* p, int64_t n) { return _mm256_maskload_pd(p, lanes_below_64(n)); }
RNNCORE_INLINE void store_partial(float* p, __m256 v, int64_t n) { _mm256_maskstore_ps(p, lanes_below_32(n), v); }
RNNCORE_INLINE void store_partial(double* p, __m256d v, int64_t n) { _mm256_maskstore_pd(p, lanes_below_64(n), v); }
#else
template <class T>
RNNCORE_INLINE Vec<T> load_partial(const T* p, int64_t n) {
  if (n >= W<T>) return load(p);
  Vec<T> v{};
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

template <class T>
RNNCORE_INLINE void store_partial(T* p, std::type_identity_t<Vec<T> > v, int64_t n) {
  if (n >= W<T>) return store(p, v);
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}
#endif

#if RNNCORE_VECTOR_BYTES == 64
// Lane k of v in all lanes; the lanes of one of its quarters share the first step.
template <int k>
RNNCORE_INLINE __m512 broadcast_lane(__m512 v) {
  const __m512 quarter = _mm512_maskz_shuffle_f32x4(0xffff, v, v, k / 4 * 0x55);
  return _mm512_maskz_permute_ps(0xffff, quarter, k % 4 * 0x55);
}
#endif

// The first n lanes of v, then zeros.
template <class T>
RNNCORE_INLINE Vec<T> first_lanes(Vec<T> v, int64_t n) {
  T lanes[W<T>];
  store(lanes, v);
  return load_partial(static_cast<const T*>(lanes), n);
}

// A product that no later addition is fused with. Of x·y + z·w the compiler may fuse either product, and choose
// otherwise in another place that the same function is inlined at.
template <class V>
RNNCORE_INLINE V unfused(V product) {
#if defined(__FMA__)
  asm("" : "+v"(product));
#elif defined(__ARM_FEATURE_FMA)
  asm("" : "+w"(product));
#endif
  return product;
}

// The smaller or larger of two lanes, b where either is NaN. On x86 that is one instruction, which the compiler
// does not find by itself. (The 512-bit forms without a mask start from an undefined register, and warn.)
#if RNNCORE_VECTOR_BYTES == 64
RNNCORE_INLINE __m512 min(__m512 a, __m512 b) { return _mm512_maskz_min_ps(0xffff, a, b); }
RNNCORE_INLINE __m512 max(__m512 a, __m512 b) { return _mm512_maskz_max_ps(0xffff, a, b); }
RNNCORE_INLINE __m512d min(__m512d a, __m512d b) { return _mm512_maskz_min_pd(0xff, a, b); }
RNNCORE_INLINE __m512d max(__m512d a, __m512d b) { return _mm512_maskz_max_pd(0xff, a, b); }
#elif defined(__AVX2__) && RNNCORE_VECTOR_BYTES == 32
RNNCORE_INLINE __m256 min(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
RNNCORE_INLINE __m256 max(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
RNNCORE_INLINE __m256d min(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
RNNCORE_INLINE __m256d max(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
#elif defined(__SSE2__) && RNNCORE_VECTOR_BYTES == 16
RNNCORE_INLINE __m128 min(__m128 a, __m128 b) { return _mm_min_ps(a, b); }
RNNCORE_INLINE __m128 max(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
RNNCORE_INLINE __m128d min(__m128d a, __m128d b) { return _mm_min_pd(a, b); }
RNNCORE_INLINE __m128d max(__m128d a, __m128d b) { return _mm_max_pd(a, b); }
#else
template <class V>
RNNCORE_INLINE V min(V a, V b) {
  return a < b ? a : b;
}
template <class V>
RNNCORE_INLINE V max(V a, V b) {
  return a > b ? a : b;
}
#endif

// x·mask, and 0 where the mask is 0: what is dropped is gone, infinity and NaN too.
template <class V>
RNNCORE_INLINE V masked_product(V x, V mask) {
  return mask == 0 ? V{} : x * mask;
}

// sum + x·mask, likewise.
template <class V>
RNNCORE_INLINE V add_masked(V sum, V x, V mask) {
  const V more = sum + x * mask;
  return mask == 0 ? sum : more;
}

template <class To, class From>
RNNCORE_INLINE To bit_cast(From v) {
  static_assert(sizeof(To) == sizeof(From));
  To r;
  __builtin_memcpy(&r, &v, sizeof(r));
  return r;
}

#if !defined(__clang__)
// Which lanes of two vectors, those of the second counting from W, swap the off-diagonal blocks of this size.
template <class T>
struct Halves {
  Bits<T> upper, lower;
};

template <class T>
RNNCORE_INLINE Halves<T> halves(int distance) {
  Halves<T> h{};
#pragma GCC unroll 16
  for (int lane = 0; lane < W<T>; ++lane) {
    const bool left = (lane & distance) == 0;
    h.upper[lane] = left ? lane : W<T> + lane - distance;
    h.lower[lane] = left ? lane + distance : W<T> + lane;
  }
  return h;
}
#endif

// to[i][·] = column i of the block `from` [rows][columns], rows `from_row` apart, for i < W; missing rows and columns
// are zeros.
template <class T>
static __attribute__((noinline)) void transpose(const T* from, int64_t from_row, int64_t rows, int64_t columns, T* to,
                                                int64_t to_row) {
  Vec<T> m[W<T>];
  if (rows >= W<T> && columns >= W<T>)
#pragma GCC unroll 16
    for (int64_t j = 0; j < W<T>; ++j) m[j] = load(from + j * from_row);
  else
#pragma GCC unroll 16
    for (int64_t j = 0; j < W<T>; ++j)
      m[j] = j < rows && columns > 0 ? load_partial(from + j * from_row, columns) : Vec<T>{};
#if defined(__clang__)
  for (int64_t i = 0; i < W<T>; ++i)
    for (int64_t j = 0; j < W<T>; ++j) to[i * to_row + j] = m[j][i];
#else
#pragma GCC unroll 4
  for (int distance = W<T> / 2; distance > 0; distance /= 2) {
    const auto [upper, lower] = halves<T>(distance);
#pragma GCC unroll 16
    for (int i = 0; i < W<T>; ++i) {
      if (i & distance) continue;
      const Vec<T> a = m[i], b = m[i + distance];
      m[i] = __builtin_shuffle(a, b, upper);
      m[i + distance] = __builtin_shuffle(a, b, lower);
    }
  }
#pragma GCC unroll 16
  for (int64_t i = 0; i < W<T>; ++i) store(to + i * to_row, m[i]);
#endif
}

// Sum of the lanes, always in the same pairwise order.
template <class T>
RNNCORE_INLINE T reduce_add(Vec<T> v) {
  T lane[W<T>];
  store(lane, v);
  for (int n = W<T> / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) lane[i] += lane[i + n];
  return lane[0];
}

// Lane i is the sum of the lanes of m[i], always in the same pairwise order.
template <class T>
RNNCORE_INLINE Vec<T> add_lanes(Vec<T> (&m)[W<T>]) {
#if defined(__clang__)
  Vec<T> sums;
  for (int i = 0; i < W<T>; ++i) sums[i] = reduce_add<T>(m[i]);
  return sums;
#else
#pragma GCC unroll 4
  for (int distance = W<T> / 2; distance > 0; distance /= 2) {
    const auto [upper, lower] = halves<T>(distance);
#pragma GCC unroll 8
    for (int i = 0; i < distance; ++i) {
      const Vec<T> a = m[i], b = m[i + distance];
      m[i] = __builtin_shuffle(a, b, upper) + __builtin_shuffle(a, b, lower);
    }
  }
  return m[0];
#endif
}

}  // namespace
}  // namespace rnncore
