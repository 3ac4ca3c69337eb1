// Convolution over time as matrix products: a row of patches (K·I) for each row of y, times the kernel (K·I, U).
//
// Patches are made for some rows at a time, few enough to stay in the second-level cache.
#pragma once

#include "core/ops/dense.h"
#include "core/ops/window.h"

namespace rnncore {
namespace {

// Rows of patches of each thread, (K·I) elements each.
RNNCORE_INLINE int64_t patch_rows(int64_t patch) {
  const int64_t rows = 65536 / (patch > 0 ? patch : 1) / kTileRows * kTileRows;
  return rows < 4 * kTileRows ? 4 * kTileRows : rows > 42 * kTileRows ? 42 * kTileRows : rows;
}

template <class T>
int64_t conv1d_workspace(int64_t size, int64_t inputs, int threads) {
  return threads * (patch_rows(size * inputs) * size * inputs + product_workspace<T>());
}

// patches[r][k][i] = x[step that tap k of window j sees][n][i], or zero, for rows (j, n) = begin + r
template <class T>
RNNCORE_INLINE void make_patches(const Conv1D<T>& c, int64_t begin, int64_t end, T* patches) {
  const Window& w = c.window;
  const int64_t I = c.inputs;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t j = row / w.samples, n = row % w.samples;
    for (int64_t k = 0; k < w.size; ++k, patches += I) {
      const int64_t t = step_seen(w, c.real, j, n, k);
      const T* x = c.x + (t * w.samples + n) * I;
      for (int64_t i = 0; i < I; i += W<T>)
        store_partial(patches + i, t < 0 ? Vec<T>{} : load_partial(x + i, I - i), I - i);
    }
  }
}

// Whether a row of x is the patch itself.
template <class T>
RNNCORE_INLINE bool is_dense(const Conv1D<T>& c) {
  return c.window.size == 1 && c.window.stride == 1 && !c.real;
}

template <class T>
void conv1d(const Conv1D<T>& c, const Team& team) {
  const Window& w = c.window;
  const int64_t patch = w.size * c.inputs, chunk = patch_rows(patch), U = c.units;
  T* patches = c.workspace + team.thread * (chunk * patch + product_workspace<T>());
  T* panel = patches + chunk * patch;
  const Team alone = alone_of(team);
  const Range rows = team_range(w.out_steps * w.samples, team, kTileRows);
  for (int64_t begin = rows.begin; begin < rows.end; begin += chunk) {
    const int64_t end = begin + chunk < rows.end ? begin + chunk : rows.end;
    const T* a = is_dense(c) ? c.x + begin * patch : patches;
    if (!is_dense(c)) make_patches(c, begin, end, patches);
    T* z = c.z + begin * U;
    any_product(Product<T>{end - begin, U, patch, a, patch, 1, c.kernel, U, 1, z, U, c.bias, false}, alone, panel);
    if (c.activation.function != Function::linear) activate(c.activation, (end - begin) * U, z, c.y + begin * U, alone);
  }
}

// dx[step seen] += the patches' gradients of rows [begin, end), by increasing window
template <class T>
RNNCORE_INLINE void add_patches(const Conv1D<T>& c, int64_t begin, int64_t end, const T* patches, T* dx,
                                const Team& team) {
  const Window& w = c.window;
  const int64_t I = c.inputs, patch = w.size * I;
  const Share mine = share_of<T>(w.samples, I, team);
  for (int64_t j = begin / w.samples; j * w.samples < end; ++j)
    for (int64_t n = mine.samples.begin; n < mine.samples.end; ++n) {
      const int64_t row = j * w.samples + n;
      if (row < begin || row >= end) continue;
      for (int64_t k = 0; k < w.size; ++k) {
        const int64_t t = step_seen(w, c.real, j, n, k);
        if (t < 0) continue;
        const T* from = patches + (row - begin) * patch + k * I;
        T* to = dx + (t * w.samples + n) * I;
        for (int64_t i = mine.columns.begin; i < mine.columns.end; i += W<T>) {
          const int64_t left = mine.columns.end - i;
          store_partial(to + i, load_partial(to + i, left) + load_partial(from + i, left), left);
        }
      }
    }
}

// z = patches·kernel + bias, y = activation(z)
template <class T>
void conv1d_backward(const Conv1DBackward<T>& d, const Team& team) {
  const Conv1D<T>& c = d.forward;
  const Window& w = c.window;
  const int64_t I = c.inputs, U = c.units, patch = w.size * I, rows = w.out_steps * w.samples;
  const int64_t chunk = team.threads * patch_rows(patch);  // of all threads together
  T* patches = c.workspace;
  T* panel = c.workspace + chunk * patch + team.thread * product_workspace<T>();
  const T* dz = d.dy;
  if (c.activation.function != Function::linear) {
    activate_backward(c.activation, rows * U, c.z, c.y, d.dy, d.dz, team);
    team_barrier(team);
    dz = d.dz;
  }
  if (d.dbias) column_sums(rows, U, dz, d.dbias, team);
  if (d.dkernel && rows == 0) {
    const Range mine = team_range(patch * U, team, 256);
    for (int64_t i = mine.begin; i < mine.end; ++i) d.dkernel[i] = T(0);
  }
  if (d.dkernel)
    for (int64_t begin = 0; begin < rows; begin += chunk) {
      const int64_t count = begin + chunk < rows ? chunk : rows - begin;
      const Range mine = team_range(count, team, 1);
      make_patches(c, begin + mine.begin, begin + mine.end, patches + mine.begin * patch);
      team_barrier(team);
      any_product(
          Product<T>{patch, U, count, patches, 1, patch, dz + begin * U, U, 1, d.dkernel, U, nullptr, begin > 0}, team,
          panel);
      team_barrier(team);
    }
  if (!d.dx) return;
  const Range all = team_range(w.steps * w.samples * I, team, 256);
  for (int64_t i = all.begin; i < all.end; ++i) d.dx[i] = T(0);
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = begin + chunk < rows ? chunk : rows - begin;
    any_product(Product<T>{count, patch, U, dz + begin * U, U, 1, c.kernel, 1, U, patches, patch, nullptr, false}, team,
                panel);
    team_barrier(team);
    add_patches(c, begin, begin + count, patches, d.dx, team);
    team_barrier(team);
  }
}

}  // namespace
}  // namespace rnncore
