// Dropout by counter-based random numbers: the mask of a batch depends on nothing but seed, step and node,
// so backward draws it again and no thread count changes it.
#pragma once

#include "core/random.h"

namespace rnncore {
namespace {

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
      const int64_t begin = prepare(first + c);
      const int64_t count = size - c < kPhiloxWords - begin ? size - c : kPhiloxWords - begin;
      for (int64_t k = 0; k < arrays; ++k) {
        const T* from = x + k * stride + c;
        T* to = y + k * stride + c;
        for (int64_t i = 0; i < count; ++i) to[i] = words_[begin + i] >> 8 >= threshold_ ? from[i] * scale_ : T(0);
      }
      c += count;
    }
  }

  // As drop, with the number of element `first` for all of them.
  RNNCORE_INLINE void drop_together(int64_t first, int64_t size, const T* x, T* y) {
    const int64_t place = prepare(first);
    const bool keep = words_[place] >> 8 >= threshold_;
    for (int64_t i = 0; i < size; ++i) y[i] = keep ? x[i] * scale_ : T(0);
  }

 private:
  // Makes the words of an element's run; returns which of them is its own.
  RNNCORE_INLINE int64_t prepare(int64_t element) {
    const int64_t run = element / kPhiloxWords;
    if (run != ready_) philox(stream_, static_cast<uint64_t>(run) * kPhiloxBlocks, words_);
    ready_ = run;
    return element % kPhiloxWords;
  }

  RandomStream stream_;
  uint32_t threshold_;  // smallest 24-bit number that means "keep": uniform >= rate
  T scale_;
  int64_t ready_ = -1;  // which run of kPhiloxWords elements the words are for
  uint32_t words_[kPhiloxWords];
};

template <class T>
void dropout(const Dropout<T>& d, const RandomStream& stream, const Team& team) {
  Dropper<T> dropper(d.rate, stream);
  // Elements of the array of random numbers, in which a shared axis has size 1.
  const int64_t columns = d.shared.columns ? 1 : d.width;
  const int64_t step = d.shared.steps ? 0 : columns;
  const int64_t sample = d.shared.samples ? 0 : (d.shared.steps ? 1 : d.steps) * columns;
  const bool runs = d.shared.steps && !d.shared.columns;  // a run of numbers serves all steps at once
  const Range samples = team_range(d.samples, team, 1);
  for (int64_t n = samples.begin; n < samples.end; ++n)
    for (int64_t t = 0; t < (runs ? 1 : d.steps); ++t) {
      const int64_t row = (t * d.samples + n) * d.width, first = n * sample + t * step;
      if (d.shared.columns)
        dropper.drop_together(first, d.width, d.x + row, d.y + row);
      else
        dropper.drop(first, d.width, d.x + row, d.y + row, runs ? d.steps : 1, d.samples * d.width);
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
    const int64_t count = c.count - i < kPhiloxWords - begin ? c.count - i : kPhiloxWords - begin;
    T* y = c.y + i;
    const T kept = c.kept, dropped = c.dropped;
    for (int64_t k = 0; k < count; ++k) y[k] = words[begin + k] >> 8 >= threshold ? kept : dropped;
    i += count;
  }
}

}  // namespace
}  // namespace rnncore
