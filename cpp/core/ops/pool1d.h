// The largest or the mean of the real steps in a window; zero where there are none.
#pragma once

#include "core/ops/window.h"

namespace rnncore {
namespace {

// 1 / number of steps that window j sees in row n; 0 when it sees none.
template <class T>
RNNCORE_INLINE T share_of_step(const Pool1D<T>& p, int64_t j, int64_t n) {
  int64_t count = 0;
  for (int64_t k = 0; k < p.window.size; ++k) count += step_seen(p.window, p.real, j, n, k) >= 0;
  return count > 0 ? T(1) / static_cast<T>(count) : T(0);
}

template <class T>
void pool1d(const Pool1D<T>& p, const Team& team) {
  const Window& w = p.window;
  const int64_t N = w.samples, C = p.channels;
  const Share mine = share_of<T>(N, C, team);
  for (int64_t j = 0; j < w.out_steps; ++j)
    for (int64_t n = mine.samples.begin; n < mine.samples.end; ++n) {
      const bool average = p.kind == PoolKind::average;
      const T share = average ? share_of_step(p, j, n) : T(0);
      for (int64_t c = mine.columns.begin; c < mine.columns.end; c += W<T>) {
        const int64_t left = mine.columns.end - c;
        Vec<T> found{};
        bool any = false;
        for (int64_t k = 0; k < w.size; ++k) {
          const int64_t t = step_seen(w, p.real, j, n, k);
          if (t < 0) continue;
          const Vec<T> x = load_partial(p.x + (t * N + n) * C + c, left);
          if (average)
            found += x;
          else
            found = any ? ((x > found) | (x != x) ? x : found) : x;  // NaN stays
          any = true;
        }
        store_partial(p.y + (j * N + n) * C + c, average ? found * share : found, left);
      }
    }
}

// The first of equal steps gets the gradient of a maximum.
template <class T>
void pool1d_backward(const Pool1D<T>& p, const Team& team) {
  const Window& w = p.window;
  const int64_t N = w.samples, C = p.channels;
  const Share mine = share_of<T>(N, C, team);
  for (int64_t t = 0; t < w.steps; ++t)
    for (int64_t n = mine.samples.begin; n < mine.samples.end; ++n)
      for (int64_t c = mine.columns.begin; c < mine.columns.end; ++c) p.dx[(t * N + n) * C + c] = T(0);
  for (int64_t j = 0; j < w.out_steps; ++j)
    for (int64_t n = mine.samples.begin; n < mine.samples.end; ++n) {
      const bool average = p.kind == PoolKind::average;
      const T share = average ? share_of_step(p, j, n) : T(0);
      for (int64_t c = mine.columns.begin; c < mine.columns.end; c += W<T>) {
        const int64_t left = mine.columns.end - c, place = (j * N + n) * C + c;
        const Vec<T> y = load_partial(p.y + place, left);
        Vec<T> rest = load_partial(p.dy + place, left);
        if (average) rest *= share;
        for (int64_t k = 0; k < w.size; ++k) {
          const int64_t t = step_seen(w, p.real, j, n, k);
          if (t < 0) continue;
          T* dx = p.dx + (t * N + n) * C + c;
          Vec<T> part = rest;
          if (!average) {
            const Vec<T> x = load_partial(p.x + (t * N + n) * C + c, left);
            const auto found = (x == y) | ((x != x) & (y != y));
            part = found ? rest : Vec<T>{};
            rest = found ? Vec<T>{} : rest;
          }
          store_partial(dx, load_partial(dx, left) + part, left);
        }
      }
    }
}

}  // namespace
}  // namespace rnncore
