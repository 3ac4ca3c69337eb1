// Counter-based random numbers: words, and normal numbers made of them.
#pragma once

#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// Random words made at a time: kPhiloxBlocks counters of four words each.
constexpr int kPhiloxBlocks = 16;
constexpr int kPhiloxWords = 4 * kPhiloxBlocks;

// Philox-4x32-10 (Salmon, Moraes, Dror, Shaw 2011) of the counters from `first` on; word i of counter j goes to
// words[4·j + i]. A lane of 64 bits holds a word of 32.
static void philox(const RandomStream& stream, uint64_t first, uint32_t (&words)[kPhiloxWords]) {
  typedef uint64_t Lanes __attribute__((vector_size(RNNCORE_VECTOR_BYTES)));
  constexpr int width = RNNCORE_VECTOR_BYTES / 8, vectors = kPhiloxBlocks / width;
  constexpr uint64_t low = 0xFFFFFFFF;
  Lanes c0[vectors], c1[vectors], c2[vectors], c3[vectors];
  for (int v = 0; v < vectors; ++v) {
    Lanes block;
    for (int j = 0; j < width; ++j) block[j] = first + static_cast<uint64_t>(v * width + j);
    c0[v] = block & low, c1[v] = block >> 32;
    c2[v] = Lanes{} + stream.step, c3[v] = Lanes{} + stream.node;
  }
  uint64_t k0 = stream.seed & low, k1 = stream.seed >> 32;
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const Lanes p0 = c0[v] * uint64_t{0xD2511F53}, p1 = c2[v] * uint64_t{0xCD9E8D57};
      c0[v] = (p1 >> 32) ^ c1[v] ^ k0;
      c1[v] = p1 & low;
      c2[v] = (p0 >> 32) ^ c3[v] ^ k1;
      c3[v] = p0 & low;
    }
    k0 = (k0 + 0x9E3779B9) & low, k1 = (k1 + 0xBB67AE85) & low;
  }
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v)
    for (int j = 0; j < width; ++j) {
      uint32_t* word = words + 4 * (v * width + j);
      word[0] = static_cast<uint32_t>(c0[v][j]), word[1] = static_cast<uint32_t>(c1[v][j]);
      word[2] = static_cast<uint32_t>(c2[v][j]), word[3] = static_cast<uint32_t>(c3[v][j]);
    }
}

// log(u) for normal u > 0: u = 2^e·m with m near 1, log m = 2·artanh(s), s = (m - 1)/(m + 1), |s| < 0.172.
RNNCORE_INLINE Vec<double> natural_logarithm(Vec<double> u) {
  const Bits<double> bits = bit_cast<Bits<double>>(u);
  Bits<double> e = (bits >> 52) - 1023;
  Vec<double> m = bit_cast<Vec<double>>((bits & 0xFFFFFFFFFFFFF) | (int64_t{1023} << 52));
  const Bits<double> large = m > 1.4142135623730951;
  e -= large;  // a true lane is -1
  m = large ? m * 0.5 : m;
  const Vec<double> s = (m - 1.0) / (m + 1.0), y = s * s;
  Vec<double> sum = broadcast(1.0 / 21);
#pragma GCC unroll 16
  for (int i = 9; i >= 0; --i) sum = sum * y + 1.0 / (2 * i + 1);
  return __builtin_convertvector(e, Vec<double>) * 0.6931471805599453094 + 2.0 * s * sum;
}

// Cosine and sine of 2π·f, f from 0 to below 1, by their series within an eighth of a turn.
RNNCORE_INLINE void turn(Vec<double> f, Vec<double>& cosine, Vec<double>& sine) {
  const Vec<double> shifted = f * 4.0 + 0x1.8p52;  // rounds to a quarter
  const Bits<double> quarter = bit_cast<Bits<double>>(shifted) & 3;
  const Vec<double> x = (f * 4.0 - (shifted - 0x1.8p52)) * 1.57079632679489661923, y = x * x;
  Vec<double> c = broadcast(1.0), s = broadcast(1.0);
#pragma GCC unroll 8
  for (int i = 8; i > 0; --i) {
    c = 1.0 - c * y * (1.0 / ((2 * i - 1) * (2 * i)));
    s = 1.0 - s * y * (1.0 / ((2 * i) * (2 * i + 1)));
  }
  s *= x;
  const Bits<double> odd = (quarter & 1) != 0, flip_cosine = (quarter == 1) | (quarter == 2), flip_sine = quarter >= 2;
  const Vec<double> a = odd ? s : c, b = odd ? c : s;
  cosine = flip_cosine ? -a : a;
  sine = flip_sine ? -b : b;
}

// Normal numbers by Box and Muller (1958): each pair of words gives a pair of numbers.
static void normal_numbers(const uint32_t (&words)[kPhiloxWords], double (&normals)[kPhiloxWords]) {
  constexpr int pairs = kPhiloxWords / 2;
  double u[pairs], f[pairs];
  for (int i = 0; i < pairs; ++i) {
    u[i] = static_cast<double>(static_cast<int32_t>((words[2 * i] >> 8) + 1)) * 0x1p-24;  // from above 0 to 1
    f[i] = static_cast<double>(static_cast<int32_t>(words[2 * i + 1] >> 8)) * 0x1p-24;
  }
  for (int i = 0; i < pairs; i += W<double>) {
    Vec<double> cosine, sine;
    turn(load(f + i), cosine, sine);
    const Vec<double> square = -2.0 * natural_logarithm(load(u + i));
    for (int lane = 0; lane < W<double>; ++lane) {
      const double r = __builtin_sqrt(square[lane]);
      normals[2 * (i + lane)] = r * cosine[lane];
      normals[2 * (i + lane) + 1] = r * sine[lane];
    }
  }
}

}  // namespace
}  // namespace rnncore
