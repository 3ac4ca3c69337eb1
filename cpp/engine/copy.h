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

template <class E>
inline void copy_row(const E* from, E* to, int64_t width) {
  if (width < 16)  // less than a call of memcpy costs
    for (int64_t i = 0; i < width; ++i) to[i] = from[i];
  else
    std::memcpy(to, from, static_cast<size_t>(width) * sizeof(E));
}

// to[t][n][·] = from[row(n)][t][·]
template <class E>
void gather(const E* from, E* to, int64_t steps, int64_t width, const BatchRows& rows, const Team& team) {
  const Range mine = team_range(rows.count, team, 1);
  if (steps * width == 1) {
    for (int64_t n = mine.begin; n < mine.end; ++n) to[n] = from[rows.row(n)];
    return;
  }
  for (int64_t n = mine.begin; n < mine.end; ++n)
    for (int64_t t = 0; t < steps; ++t)
      copy_row(from + (rows.row(n) * steps + t) * width, to + (t * rows.count + n) * width, width);
}

// to[t][n][·] += from[n][t][·]
template <class E>
void gather_add(const E* from, E* to, int64_t steps, int64_t width, int64_t samples, const Team& team) {
  const Range mine = team_range(samples, team, 1);
  for (int64_t n = mine.begin; n < mine.end; ++n)
    for (int64_t t = 0; t < steps; ++t)
      for (int64_t i = 0; i < width; ++i) to[(t * samples + n) * width + i] += from[(n * steps + t) * width + i];
}

// to[n][t][·] = from[t][n][·]
template <class E>
void scatter(const E* from, E* to, int64_t steps, int64_t width, int64_t samples, const Team& team) {
  const Range mine = team_range(samples, team, 1);
  for (int64_t n = mine.begin; n < mine.end; ++n)
    for (int64_t t = 0; t < steps; ++t) copy_row(from + (t * samples + n) * width, to + (n * steps + t) * width, width);
}

template <class E>
void zero(int64_t size, E* data, const Team& team) {
  const Range mine = team_range(size, team, 256);
  if (mine.begin < mine.end) std::memset(data + mine.begin, 0, static_cast<size_t>(mine.end - mine.begin) * sizeof(E));
}

}  // namespace rnncore
