// Vectors of one instruction set level, on the compiler's vector extensions: the same source serves
// every level. Included only by the sources of cpp/core/isa, hence the anonymous namespace.
#pragma once

#include <cstdint>
#include <cstring>

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

// The first n lanes; the others are zero. n may be anything from 0 up.
template <class T>
RNNCORE_INLINE Vec<T> load_partial(const T* p, int64_t n) {
  if (n >= W<T>) return load(p);
  Vec<T> v{};
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

template <class T>
RNNCORE_INLINE void store_partial(T* p, Vec<T> v, int64_t n) {
  if (n >= W<T>) return store(p, v);
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}

template <class V>
RNNCORE_INLINE V min(V a, V b) {
  return a < b ? a : b;
}

template <class V>
RNNCORE_INLINE V max(V a, V b) {
  return a > b ? a : b;
}

template <class To, class From>
RNNCORE_INLINE To bit_cast(From v) {
  static_assert(sizeof(To) == sizeof(From));
  To r;
  __builtin_memcpy(&r, &v, sizeof(r));
  return r;
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

}  // namespace
}  // namespace rnncore
