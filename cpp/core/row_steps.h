// What the drivers share in which each thread runs its rows alone, with products on whole rows: where h is, and the
// rows that the weight gradients read.
#pragma once

#include "core/packed_matrix.h"
#include "core/sequence_layout.h"

namespace rnncore {
namespace {

template <class T>
struct RowSteps {
  const SequenceForward<T>& call;
  const SequenceShape& shape;
  int64_t size;  // numbers of a row of h
  T* hidden;     // h [2][N][size] when the caller keeps no output
  T* masked;     // h'·mask [N][size], null without mask

  static RNNCORE_INLINE RowSteps make(const SequenceForward<T>& f, int64_t size, Workspace<T>& w) {
    T* hidden = w.take(w, f.output.data ? 0 : 2 * f.shape.rows * size);
    return {f, f.shape, size, hidden, f.shape.recurrent_dropout ? w.take(w, f.shape.rows * size) : nullptr};
  }

  T* row(int64_t t, int64_t r) const {
    return call.output.data ? view_row(call.output, shape, t, r) : hidden + ((t % 2) * shape.rows + r) * size;
  }

  // h of row r before step t, or null for zeros; and the distance between rows.
  const T* before(int64_t t, int64_t r) const {
    if (t > 0) return row(t - 1, r);
    return call.initial_state[0] ? call.initial_state[0] + r * size : nullptr;
  }
  int64_t stride(int64_t t) const { return t > 0 && call.output.data ? call.output.row : size; }

  // to = from·mask of row r, or from itself.
  void mask_row(const T* from, int64_t r, T* to) const {
    const T* mask = shape.recurrent_dropout ? call.recurrent_mask + r * size : nullptr;
    for (int64_t u = 0; u < size; u += W<T>) {
      const Vec<T> v = load_partial(from + u, size - u);
      store_partial(to + u, mask ? masked_product(v, load_partial(mask + u, size - u)) : v, size - u);
    }
  }

  // slots of a share's rows += h'·mask·U; nothing where h' is zeros.
  void multiply(const PackedMatrix<T>& recurrent, int64_t t, const RowShare& share, int64_t count, T* slots,
                int64_t slots_row, bool accumulate, const Team& team) const {
    const T* h = before(t, share.first);
    if (!h) return;
    int64_t h_row = stride(t) * share.step;
    if (masked) {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t r = share.first + i * share.step;
        mask_row(h + i * h_row, r, masked + r * size);
      }
      h = masked + share.first * size;
      h_row = share.step * size;
    }
    recurrent.multiply(count, h, h_row, slots, share.step * slots_row, nullptr, accumulate, team);
  }

  // What the recurrent product of row r read at step t, for the weight gradients.
  void copy_factor(int64_t t, int64_t r, T* to) const {
    if (const T* h = before(t, r)) return mask_row(h, r, to);
    for (int64_t u = 0; u < size; u += W<T>) store_partial(to + u, Vec<T>{}, size - u);
  }
};

// Whether all rows of x lie at one distance, as products over all steps need them.
template <class T>
RNNCORE_INLINE bool evenly_spaced(const SequenceView<const T>& x, const SequenceShape& s) {
  return s.offsets || s.steps == 1 || x.step == s.rows * x.row;
}

// x as rows at one distance: in place, or copied to `copy` [Σ rows][I] by the team.
template <class T>
static SequenceView<const T> even_rows(const SequenceForward<T>& f, T* copy, const Team& team) {
  const SequenceShape& s = f.shape;
  if (evenly_spaced(f.x, s)) return f.x;
  for (int64_t t = 0; t < s.steps; ++t) {
    const Range rows = team_range(active_rows(s, t), team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r)
      __builtin_memcpy(copy + (step_offset(s, t) + r) * s.inputs, view_row(f.x, s, t, r),
                       static_cast<size_t>(s.inputs) * sizeof(T));
  }
  return {copy, 0, s.inputs};
}

// to[j] = Σ_r sums[r][j] over the rows that have a step, in order; threads share the columns out.
template <class T>
static void add_rows(const SequenceShape& s, const T* sums, int64_t sums_row, int64_t columns, T* to,
                     const Team& team) {
  const Range vectors = team_range((columns + W<T> - 1) / W<T>, team, 1);
  for (int64_t j = vectors.begin * W<T>; j < vectors.end * W<T>; j += W<T>) {
    Vec<T> sum{};
    for (int64_t r = 0; r < active_rows(s, 0); ++r) sum += load_partial(sums + r * sums_row + j, columns - j);
    store_partial(to + j, sum, columns - j);
  }
}

// state = row, or zeros where there is none.
template <class T>
RNNCORE_INLINE void copy_state(const T* row, int64_t size, T* state) {
  for (int64_t u = 0; u < size; u += W<T>)
    store_partial(state + u, row ? load_partial(row + u, size - u) : Vec<T>{}, size - u);
}

}  // namespace
}  // namespace rnncore
