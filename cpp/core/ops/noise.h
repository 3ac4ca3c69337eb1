// Noise on the elements of an array in training. Backward draws the same numbers again.
#pragma once

#include "core/random.h"

namespace rnncore {
namespace {

// What a dropped element becomes, the least value of selu: -alpha·scale.
constexpr double kSeluFloor = -1.7580993408473766;

template <class T>
void noise(const Noise<T>& d, const RandomStream& stream, const Team& team) {
  const double rate = d.amount;
  const uint32_t threshold = static_cast<uint32_t>(__builtin_ceil(rate * 0x1p24));  // of "keep", for alpha_dropout
  // Keeps mean and variance: y = a·x + b where kept, a·floor + b where dropped (Klambauer et al. 2017).
  const double a = 1 / __builtin_sqrt((1 - rate) * (1 + rate * kSeluFloor * kSeluFloor)), b = -a * kSeluFloor * rate;
  const T factor = static_cast<T>(a), offset = static_cast<T>(d.gradient ? 0 : b);
  const T floor = static_cast<T>(d.gradient ? 0 : kSeluFloor);
  uint32_t words[kPhiloxWords];
  double normals[kPhiloxWords];
  int64_t ready = -1;  // which run of kPhiloxWords elements they are for
  const Range samples = team_range(d.samples, team, 1);
  for (int64_t n = samples.begin; n < samples.end; ++n)
    for (int64_t t = 0; t < d.steps; ++t) {
      const int64_t row = (t * d.samples + n) * d.width, first = (n * d.steps + t) * d.width;
      for (int64_t c = 0; c < d.width;) {
        const int64_t run = (first + c) / kPhiloxWords, begin = (first + c) % kPhiloxWords;
        if (run != ready) {
          philox(stream, static_cast<uint64_t>(run) * kPhiloxBlocks, words);
          if (d.kind != NoiseKind::alpha_dropout) normal_numbers(words, normals);
        }
        ready = run;
        const int64_t count = d.width - c < kPhiloxWords - begin ? d.width - c : kPhiloxWords - begin;
        const T* x = d.x + row + c;
        T* y = d.y + row + c;
        switch (d.kind) {
          case NoiseKind::gaussian_noise:
            for (int64_t i = 0; i < count; ++i) y[i] = x[i] + static_cast<T>(d.amount * normals[begin + i]);
            break;
          case NoiseKind::gaussian_dropout:
            for (int64_t i = 0; i < count; ++i) y[i] = x[i] * static_cast<T>(1 + d.amount * normals[begin + i]);
            break;
          case NoiseKind::alpha_dropout:
            for (int64_t i = 0; i < count; ++i)
              y[i] = (words[begin + i] >> 8 >= threshold ? x[i] : floor) * factor + offset;
            break;
        }
        c += count;
      }
    }
}

}  // namespace
}  // namespace rnncore
