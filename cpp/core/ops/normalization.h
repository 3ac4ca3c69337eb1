// Normalization of each column over the batch, and of each row over its columns.
#pragma once

#include "core/magnitude.h"
#include "core/ops.h"
#include "core/ops/softmax.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// Rows added up in T before they go to a sum in double.
constexpr int64_t kSumRows = 32;

// parts[part][s][c] = sum over the part's rows of number s that term(row, column, left, numbers) gives for columns
// c = column...; a barrier of the caller's separates this from `column_sum`.
template <class T, int Sums, class Term>
RNNCORE_INLINE void sum_columns(int64_t rows, int64_t columns, double* parts, const Team& team, Term term) {
  const Range mine = team_range(kReductionParts, team, 1);
  for (int64_t part = mine.begin; part < mine.end; ++part) {
    double* sums = parts + part * 2 * columns;
    for (int64_t i = 0; i < Sums * columns; ++i) sums[i] = 0;
    const Range range = team_range(rows, static_cast<int>(part), kReductionParts, 1);
    for (int64_t begin = range.begin; begin < range.end; begin += kSumRows) {
      const int64_t end = begin + kSumRows < range.end ? begin + kSumRows : range.end;
      for (int64_t j = 0; j < columns; j += W<T>) {
        const int64_t left = columns - j < W<T> ? columns - j : W<T>;
        Vec<T> acc[Sums]{};
        for (int64_t r = begin; r < end; ++r) {
          Vec<T> numbers[Sums]{};
          term(r, j, left, numbers);
          for (int s = 0; s < Sums; ++s) acc[s] += numbers[s];
        }
        for (int s = 0; s < Sums; ++s)
          for (int64_t lane = 0; lane < left; ++lane) sums[s * columns + j + lane] += static_cast<double>(acc[s][lane]);
      }
    }
  }
}

RNNCORE_INLINE double column_sum(const double* parts, int s, int64_t column, int64_t columns) {
  double sum = 0;
  for (int part = 0; part < kReductionParts; ++part) sum += parts[(part * 2 + s) * columns + column];
  return sum;
}

// Rows that count, at least 1.
template <class T>
RNNCORE_INLINE double row_count(const BatchNormalization<T>& b) {
  if (!b.real) return static_cast<double>(b.rows > 0 ? b.rows : 1);
  int64_t count = 0;
  for (int64_t r = 0; r < b.rows; ++r) count += b.real[r] != 0;
  return static_cast<double>(count > 0 ? count : 1);
}

// y = (x - mean)·factor·gamma + beta
template <class T>
void batch_normalization(const BatchNormalization<T>& b, const Team& team) {
  const int64_t C = b.channels;
  const Range columns = team_range(C, team, 8);
  const auto move = [&](T& average, double value) {
    average = static_cast<T>(static_cast<double>(average) * b.momentum + value * (1 - b.momentum));
  };
  if (b.of_batch) {
    const double count = row_count(b);
    const auto standard = [&](int64_t c) {  // of a column whose squares are beyond T
      return standard_of_large<T>(b.rows, b.epsilon, [&, c](int64_t r) -> const T* {
        return !b.real || b.real[r] ? b.x + r * C + c : nullptr;
      });
    };
    sum_columns<T, 1>(b.rows, C, b.sums, team, [&](int64_t r, int64_t j, int64_t left, Vec<T>(&v)[1]) {
      if (!b.real || b.real[r]) v[0] = load_partial(b.x + r * C + j, left);
    });
    team_barrier(team);
    for (int64_t c = columns.begin; c < columns.end; ++c) {
      double mean = column_sum(b.sums, 0, c, C) / count;
      if (!__builtin_isfinite(mean)) mean = static_cast<double>(standard(c).mean_of_x());
      b.mean[c] = static_cast<T>(mean);
      move(b.moving_mean[c], mean);
    }
    team_barrier(team);
    sum_columns<T, 1>(b.rows, C, b.sums, team, [&](int64_t r, int64_t j, int64_t left, Vec<T>(&v)[1]) {
      if (b.real && !b.real[r]) return;
      const Vec<T> distance = load_partial(b.x + r * C + j, left) - load_partial(b.mean + j, left);
      v[0] = distance * distance;
    });
    team_barrier(team);
    for (int64_t c = columns.begin; c < columns.end; ++c) {
      double variance = column_sum(b.sums, 0, c, C) / count;
      b.factor[c] = static_cast<T>(1 / __builtin_sqrt(variance + b.epsilon));
      if (!__builtin_isfinite(variance)) {
        const Standard<T> large = standard(c);
        b.factor[c] = large.factor_of_x();
        variance = 1 / (large.factor * large.factor * large.scale * large.scale) - b.epsilon;
      }
      move(b.moving_variance[c], variance);
    }
  } else {
    for (int64_t c = columns.begin; c < columns.end; ++c) {
      b.mean[c] = b.moving_mean[c];
      b.factor[c] = static_cast<T>(1 / __builtin_sqrt(static_cast<double>(b.moving_variance[c]) + b.epsilon));
    }
  }
  team_barrier(team);
  const Range rows = team_range(b.rows, team, 4);
  for (int64_t j = 0; j < C; j += W<T>) {
    const int64_t left = C - j;
    Vec<T> scale = load_partial(b.factor + j, left);
    if (b.gamma) scale *= load_partial(b.gamma + j, left);
    const Vec<T> mean = load_partial(b.mean + j, left);
    const Vec<T> beta = b.beta ? load_partial(b.beta + j, left) : Vec<T>{};
    for (int64_t r = rows.begin; r < rows.end; ++r)
      store_partial(b.y + r * C + j, (load_partial(b.x + r * C + j, left) - mean) * scale + beta, left);
  }
}

// With n = (x - mean)·factor and m rows that count: dgamma = Σ dy·n, dbeta = Σ dy, and
// dx = gamma·factor·(dy - [the row counts]/m·(dbeta + n·dgamma)), without the bracket for the moving statistics.
template <class T>
void batch_normalization_backward(const BatchNormalizationBackward<T>& d, const Team& team) {
  const BatchNormalization<T>& b = d.forward;
  const int64_t C = b.channels;
  const auto normal = [&](int64_t r, int64_t j, int64_t left) __attribute__((always_inline)) {
    return (load_partial(b.x + r * C + j, left) - load_partial(b.mean + j, left)) * load_partial(b.factor + j, left);
  };
  sum_columns<T, 2>(b.rows, C, b.sums, team, [&](int64_t r, int64_t j, int64_t left, Vec<T>(&v)[2]) {
    v[0] = load_partial(d.dy + r * C + j, left);
    const bool real = !b.real || b.real[r];  // what is not may be NaN, and mostly has no gradient
    v[1] = real ? v[0] * normal(r, j, left) : masked_product<Vec<T>>(normal(r, j, left), v[0]);
  });
  team_barrier(team);
  const Range columns = team_range(C, team, 8);
  for (int64_t c = columns.begin; c < columns.end; ++c) {
    if (d.dbeta) d.dbeta[c] = static_cast<T>(column_sum(b.sums, 0, c, C));
    if (d.dgamma) d.dgamma[c] = static_cast<T>(column_sum(b.sums, 1, c, C));
  }
  if (!d.dx) return;
  const double count = row_count(b);
  const Range rows = team_range(b.rows, team, 4);
  for (int64_t j = 0; j < C; j += W<T>) {
    const int64_t left = C - j;
    Vec<T> scale = load_partial(b.factor + j, left), first{}, second{};
    if (b.gamma) scale *= load_partial(b.gamma + j, left);
    if (b.of_batch)
      for (int64_t lane = 0; lane < left && lane < W<T>; ++lane) {
        first[lane] = static_cast<T>(column_sum(b.sums, 0, j + lane, C) / count);
        second[lane] = static_cast<T>(column_sum(b.sums, 1, j + lane, C) / count);
      }
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      Vec<T> dn = load_partial(d.dy + r * C + j, left);
      if (!b.real || b.real[r]) dn -= first + normal(r, j, left) * second;
      store_partial(d.dx + r * C + j, dn * scale, left);
    }
  }
}

// Each row by itself: y = (x - mean)·factor·gamma + beta.
template <class T>
void layer_normalization(const LayerNormalization<T>& b, const Team& team) {
  const int64_t C = b.channels;
  const Range rows = team_range(b.rows, team, 4);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const T* x = b.x + r * C;
    T* y = b.y + r * C;
    const T mean = row_sum(C, x) / static_cast<T>(C);
    Vec<T> squares{};
    for (int64_t j = 0; j < C; j += W<T>) {
      Vec<T> distance = load_partial(x + j, C - j) - mean;
      for (int64_t lane = C - j; lane < W<T>; ++lane) distance[lane] = 0;
      squares += distance * distance;
    }
    const double variance = static_cast<double>(reduce_add<T>(squares)) / static_cast<double>(C);
    if (!__builtin_isfinite(variance)) {
      const Standard<T> large = standard_of_large<T>(C, b.epsilon, [&](int64_t j) { return x + j; });
      b.statistics[2 * r] = large.mean_of_x(), b.statistics[2 * r + 1] = large.factor_of_x();
      for (int64_t j = 0; j < C; ++j) y[j] = large(x[j]) * (b.gamma ? b.gamma[j] : T(1)) + (b.beta ? b.beta[j] : T(0));
      continue;
    }
    const T factor = static_cast<T>(1 / __builtin_sqrt(variance + b.epsilon));
    b.statistics[2 * r] = mean, b.statistics[2 * r + 1] = factor;
    for (int64_t j = 0; j < C; j += W<T>) {
      const int64_t left = C - j;
      Vec<T> v = (load_partial(x + j, left) - mean) * factor;
      if (b.gamma) v *= load_partial(b.gamma + j, left);
      if (b.beta) v += load_partial(b.beta + j, left);
      store_partial(y + j, v, left);
    }
  }
}

// With n = (x - mean)·factor and g = dy·gamma: dx = factor·(g - mean(g) - n·mean(g·n)).
template <class T>
void layer_normalization_backward(const LayerNormalizationBackward<T>& d, const Team& team) {
  const LayerNormalization<T>& b = d.forward;
  const int64_t C = b.channels;
  const auto normal = [&](int64_t r, int64_t j, int64_t left) __attribute__((always_inline)) {
    return (load_partial(b.x + r * C + j, left) - b.statistics[2 * r]) * b.statistics[2 * r + 1];
  };
  if (d.dx) {
    const Range rows = team_range(b.rows, team, 4);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const T* dy = d.dy + r * C;
      const auto gradient = [&](int64_t j) __attribute__((always_inline)) {
        const Vec<T> v = load_partial(dy + j, C - j);
        return b.gamma ? v * load_partial(b.gamma + j, C - j) : v;
      };
      Vec<T> first{}, second{};  // the lanes beyond the row are zero, since dy's are
      for (int64_t j = 0; j < C; j += W<T>) {
        const Vec<T> g = gradient(j);
        first += g;
        second += g * normal(r, j, C - j);
      }
      const T mean = reduce_add<T>(first) / static_cast<T>(C), slope = reduce_add<T>(second) / static_cast<T>(C);
      for (int64_t j = 0; j < C; j += W<T>) {
        const Vec<T> dx = (gradient(j) - mean - normal(r, j, C - j) * slope) * b.statistics[2 * r + 1];
        store_partial(d.dx + r * C + j, dx, C - j);
      }
    }
  }
  if (!d.dgamma && !d.dbeta) return;
  sum_columns<T, 2>(b.rows, C, d.sums, team, [&](int64_t r, int64_t j, int64_t left, Vec<T>(&v)[2]) {
    v[0] = load_partial(d.dy + r * C + j, left);
    v[1] = v[0] * normal(r, j, left);
  });
  team_barrier(team);
  const Range columns = team_range(C, team, 8);
  for (int64_t c = columns.begin; c < columns.end; ++c) {
    if (d.dbeta) d.dbeta[c] = static_cast<T>(column_sum(d.sums, 0, c, C));
    if (d.dgamma) d.dgamma[c] = static_cast<T>(column_sum(d.sums, 1, c, C));
  }
}

}  // namespace
}  // namespace rnncore
