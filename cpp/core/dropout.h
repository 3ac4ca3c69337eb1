// Dropout by counter-based random numbers: the mask of a batch depends on nothing but seed, step and node,
// so backward draws it again and no thread count changes it.
#pragma once

#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// Philox-4x32-10 (Salmon, Moraes, Dror, Shaw 2011).
RNNCORE_INLINE void philox(const RandomStream& stream, uint64_t block, uint32_t (&c)[4]) {
  c[0] = static_cast<uint32_t>(block), c[1] = static_cast<uint32_t>(block >> 32), c[2] = stream.step,
  c[3] = stream.node;
  uint32_t k0 = static_cast<uint32_t>(stream.seed), k1 = static_cast<uint32_t>(stream.seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0], p1 = uint64_t{0xCD9E8D57u} * c[2];
    const uint32_t c1 = c[1], c3 = c[3];
    c[0] = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c[1] = static_cast<uint32_t>(p1);
    c[2] = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c[3] = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
}

// Smallest 24-bit number that means "keep": uniform >= rate.
RNNCORE_INLINE uint32_t keep_threshold(double rate) { return static_cast<uint32_t>(__builtin_ceil(rate * 0x1p24)); }

template <class T>
void dropout(const Dropout<T>& d, const RandomStream& stream, const Team& team) {
  const uint32_t threshold = keep_threshold(d.rate);
  const T scale = static_cast<T>(1.0 / (1.0 - d.rate));
  const Range rows = team_range(d.steps * d.samples, team, 1);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const int64_t step = r / d.samples, sample = r % d.samples;
    const uint64_t first = static_cast<uint64_t>((sample * d.steps + step) * d.width);
    const T* x = d.x + r * d.width;
    T* y = d.y + r * d.width;
    uint32_t word[4];
    for (int64_t c = 0; c < d.width; ++c) {
      const uint64_t element = first + static_cast<uint64_t>(c);
      if (c == 0 || element % 4 == 0) philox(stream, element / 4, word);
      y[c] = word[element % 4] >> 8 >= threshold ? x[c] * scale : T(0);
    }
  }
}

}  // namespace
}  // namespace rnncore
