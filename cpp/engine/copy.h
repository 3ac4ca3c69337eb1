// Copies between the caller's batch-first arrays and the engine's time-major ones.
#pragma once

#include <cstring>

#include "core/team.h"
#include "engine/tensor.h"

namespace rnncore {

// A batch of samples: sample n is row order[n] of the caller's array, or row n without an order.
struct BatchRows {
  const int64_t* order;
  int64_t count;

  int64_t row(int64_t n) const { return order ? order[n] : n; }
};

// to[t][n][·] = from[row(n)][t][·]
template <class E>
void gather(const E* from, E* to, int64_t steps, int64_t width, const BatchRows& rows, const Team& team) {
  const Range mine = team_range(rows.count, team, 1);
  for (int64_t n = mine.begin; n < mine.end; ++n) {
    const E* source = from + rows.row(n) * steps * width;
    if (width == 1)
      for (int64_t t = 0; t < steps; ++t) to[t * rows.count + n] = source[t];
    else
      for (int64_t t = 0; t < steps; ++t)
        std::memcpy(to + (t * rows.count + n) * width, source + t * width, static_cast<size_t>(width) * sizeof(E));
  }
}

// to[n][t][·] = from[t][n][·]
template <class E>
void scatter(const E* from, E* to, int64_t steps, int64_t width, int64_t samples, const Team& team) {
  const Range mine = team_range(samples, team, 1);
  for (int64_t n = mine.begin; n < mine.end; ++n)
    for (int64_t t = 0; t < steps; ++t)
      std::memcpy(to + (n * steps + t) * width, from + (t * samples + n) * width,
                  static_cast<size_t>(width) * sizeof(E));
}

template <class E>
void zero(int64_t size, E* data, const Team& team) {
  const Range mine = team_range(size, team, 256);
  if (mine.begin < mine.end) std::memset(data + mine.begin, 0, static_cast<size_t>(mine.end - mine.begin) * sizeof(E));
}

}  // namespace rnncore
