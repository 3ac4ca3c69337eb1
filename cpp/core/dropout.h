// Dropout by counter-based random numbers: the mask of a batch depends on nothing but seed, step and node,
// so backward draws it again and no thread count changes it.
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

// Drops runs of elements; neighbouring runs share the random words made.
template <class T>
class Dropper {
 public:
  Dropper(double rate, const RandomStream& stream)
      : stream_(stream),
        threshold_(static_cast<uint32_t>(__builtin_ceil(rate * 0x1p24))),
        scale_(static_cast<T>(1.0 / (1.0 - rate))) {}

  // For the elements from number `first` on: y = x·mask / (1 − rate), and so with each of the arrays `stride` after
  // x and y. y may be x.
  RNNCORE_INLINE void drop(int64_t first, int64_t size, const T* x, T* y, int64_t arrays = 1, int64_t stride = 0) {
    for (int64_t c = 0; c < size;) {
      const int64_t run = (first + c) / kPhiloxWords, begin = (first + c) % kPhiloxWords;
      if (run != ready_) philox(stream_, static_cast<uint64_t>(run) * kPhiloxBlocks, words_);
      ready_ = run;
      const int64_t count = size - c < kPhiloxWords - begin ? size - c : kPhiloxWords - begin;
      for (int64_t k = 0; k < arrays; ++k) {
        const T* from = x + k * stride + c;
        T* to = y + k * stride + c;
        for (int64_t i = 0; i < count; ++i) to[i] = words_[begin + i] >> 8 >= threshold_ ? from[i] * scale_ : T(0);
      }
      c += count;
    }
  }

 private:
  RandomStream stream_;
  uint32_t threshold_;  // smallest 24-bit number that means "keep": uniform >= rate
  T scale_;
  int64_t ready_ = -1;  // which run of kPhiloxWords elements the words are for
  uint32_t words_[kPhiloxWords];
};

template <class T>
void dropout(const Dropout<T>& d, const RandomStream& stream, const Team& team) {
  Dropper<T> dropper(d.rate, stream);
  const int64_t draws = d.shared_steps ? 1 : d.steps;  // masks of a sample
  const Range samples = team_range(d.samples, team, 1);
  for (int64_t n = samples.begin; n < samples.end; ++n)
    for (int64_t t = 0; t < draws; ++t) {
      const int64_t row = (t * d.samples + n) * d.width;
      dropper.drop((n * draws + t) * d.width, d.width, d.x + row, d.y + row, d.steps / draws, d.samples * d.width);
    }
}

// y[i] = kept where the uniform number of element first + i reaches `rate`, else dropped.
template <class T>
void choose(const Choice<T>& c, const RandomStream& stream) {
  const uint32_t threshold = static_cast<uint32_t>(__builtin_ceil(c.rate * 0x1p24));
  const uint64_t array = static_cast<uint64_t>(c.array) << kArrayBits;
  uint32_t words[kPhiloxWords];
  for (int64_t i = 0; i < c.count;) {
    const int64_t run = (c.first + i) / kPhiloxWords, begin = (c.first + i) % kPhiloxWords;
    philox(stream, array + static_cast<uint64_t>(run) * kPhiloxBlocks, words);
    for (int64_t k = begin; k < kPhiloxWords && i < c.count; ++k, ++i)
      c.y[i] = words[k] >> 8 >= threshold ? c.kept : c.dropped;
  }
}

}  // namespace
}  // namespace rnncore
