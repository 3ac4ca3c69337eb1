// y = activation(x·kernel + bias) and its gradients.
#pragma once

#include "core/activations.h"
#include "core/gemm.h"

namespace rnncore {
namespace {

// Rows of a tile one vector wide.
constexpr int kNarrowRows = 8;

// Each thread's workspace holds what `product` or one panel of `narrow_product` takes.
template <class T>
int64_t dense_workspace(int threads) {
  return threads * product_workspace<T>();
}

template <class T, int Rows, class F>
RNNCORE_INLINE void narrow_tile(const Product<T>& p, int64_t row, int64_t k0, int64_t depth, const T* panel, F f) {
  Vec<T> acc[Rows][1];
  T* c = p.c + row * p.c_row;
  const Vec<T> bias = p.bias ? load_partial(p.bias, p.n) : Vec<T>{};
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) acc[r][0] = k0 > 0 || p.accumulate ? load_partial(c + r * p.c_row, p.n) : bias;
  tile_accumulate<T, Rows, 1>(depth, p.a + row * p.a_row + k0 * p.a_k, p.a_row, p.a_k, panel, W<T>, acc);
  const bool last = k0 + depth == p.k;
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) store_partial(c + r * p.c_row, last ? f.template value<T>(acc[r][0]) : acc[r][0], p.n);
}

// f(A·B + bias) for a B of at most one vector's columns, where `product` would mostly multiply padding.
template <class T, class F>
RNNCORE_INLINE void narrow_product(const Product<T>& p, const Team& team, T* workspace, F f) {
  const Range rows = team_range(p.m, team, kNarrowRows);
  if (rows.begin >= rows.end) return;
  for (int64_t k0 = 0; k0 == 0 || k0 < p.k; k0 += kDepthBlock) {
    const int64_t depth = p.k - k0 < kDepthBlock ? p.k - k0 : kDepthBlock;
    for (int64_t k = 0; k < depth; ++k) {
      const T* from = p.b + (k0 + k) * p.b_k;
      Vec<T> b{};
      if (p.b_column == 1)
        b = load_partial(from, p.n);
      else
        for (int64_t j = 0; j < p.n; ++j) b[j] = from[j * p.b_column];
      store(workspace + k * W<T>, b);
    }
    int64_t i = rows.begin;
    while (i + kNarrowRows <= rows.end) {
      may_stop(team, kPauseRows * depth * 2 * W<T>);
      const int64_t pause = i + kPauseRows < rows.end ? i + kPauseRows : rows.end;
      for (; i + kNarrowRows <= pause; i += kNarrowRows) narrow_tile<T, kNarrowRows>(p, i, k0, depth, workspace, f);
    }
    for (; i + 2 <= rows.end; i += 2) narrow_tile<T, 2>(p, i, k0, depth, workspace, f);
    if (i < rows.end) narrow_tile<T, 1>(p, i, k0, depth, workspace, f);
  }
}

template <class T>
RNNCORE_INLINE void any_product(const Product<T>& p, const Team& team, T* workspace) {
  if (p.n <= W<T>)
    narrow_product(p, team, workspace, Linear{});
  else
    product(p, team, workspace);
}

template <class T>
void dense_forward(const DenseForward<T>& d, const Team& team) {
  T* workspace = d.workspace + team.thread * product_workspace<T>();
  const int64_t I = d.inputs, U = d.units;
  const Product<T> p{d.rows, U, I, d.x, I, 1, d.kernel, U, 1, d.z, U, d.bias, false};
  if (U <= W<T> && is_common(d.activation.function)) {
    with_common_function(d.activation.function, [&](auto f) { narrow_product(p, team, workspace, f); });
    return;
  }
  any_product(p, team, workspace);
  if (d.activation.function == Function::linear) return;
  team_barrier(team);
  activate(d.activation, d.rows * U, d.z, d.y, team);
}

// sum[j] = Σ_r z[r][j] for `Vectors` vectors of columns, each column one chain over the rows
template <class T, int Vectors>
RNNCORE_INLINE void column_sums(int64_t rows, int64_t stride, const T* z, T* sum) {
  Vec<T> acc[Vectors] = {};
  constexpr int64_t kAhead = 8;  // rows
  for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      __builtin_prefetch(z + (r + kAhead) * stride + v * W<T>);
      acc[v] += load(z + r * stride + v * W<T>);
    }
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) store(sum + v * W<T>, acc[v]);
}

template <class T>
RNNCORE_INLINE void column_sums(int64_t rows, int64_t columns, const T* z, T* sum, const Team& team) {
  constexpr int kBand = 8;  // vectors, so that whole runs of cache lines are read
  const Range range = team_range(columns, team, kBand * W<T>);
  int64_t j = range.begin;
  for (; j + kBand * W<T> <= range.end; j += kBand * W<T>) column_sums<T, kBand>(rows, columns, z + j, sum + j);
  for (; j + W<T> <= range.end; j += W<T>) column_sums<T, 1>(rows, columns, z + j, sum + j);
  for (; j < range.end; ++j) {
    T s = 0;
    for (int64_t r = 0; r < rows; ++r) s += z[r * columns + j];
    sum[j] = s;
  }
}

// z = x·kernel + bias, y = activation(z)
template <class T>
void dense_backward(const DenseBackward<T>& d, const Team& team) {
  const DenseForward<T>& f = d.forward;
  T* workspace = f.workspace + team.thread * product_workspace<T>();
  const int64_t N = f.rows, I = f.inputs, U = f.units;
  const T* dz = d.dy;
  if (f.activation.function != Function::linear) {
    activate_backward(f.activation, N * U, f.z, f.y, d.dy, d.dz, team);
    team_barrier(team);
    dz = d.dz;
  }
  if (d.dbias) column_sums(N, U, dz, d.dbias, team);
  if (d.dkernel) {
    // One unit's column lies as a row does, of which one tile makes all.
    const Product<T> p = U == 1 && I <= W<T> ? Product<T>{1, I, N, dz, 1, 1, f.x, I, 1, d.dkernel, I, nullptr, false}
                                             : Product<T>{I, U, N, f.x, 1, I, dz, U, 1, d.dkernel, U, nullptr, false};
    any_product(p, team, workspace);
  }
  if (d.dx) any_product(Product<T>{N, I, U, dz, U, 1, f.kernel, 1, U, d.dx, I, nullptr, false}, team, workspace);
}

}  // namespace
}  // namespace rnncore
