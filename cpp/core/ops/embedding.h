// Rows of a table by integer id.
#pragma once

#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

template <class T>
void embedding_forward(const Embedding<T>& e, const Team& team) {
  const Range rows = team_range(e.rows, team, 1);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const T* source = e.embeddings + e.ids[r] * e.width;
    for (int64_t i = 0; i < e.width; i += W<T>) {
      const int64_t left = e.width - i;
      store_partial(e.y + r * e.width + i, load_partial(source + i, left), left);
    }
  }
}

// A thread owns a range of ids and reads all rows, so each gradient is summed in the order of the rows.
template <class T>
void embedding_backward(const Embedding<T>& e, const Team& team) {
  const Range ids = team_range(e.vocabulary, team, 1);
  for (int64_t i = ids.begin * e.width; i < ids.end * e.width; ++i) e.dembeddings[i] = 0;
  for (int64_t r = 0; r < e.rows; ++r) {
    if (e.ids[r] < ids.begin || e.ids[r] >= ids.end) continue;
    T* sum = e.dembeddings + e.ids[r] * e.width;
    for (int64_t i = 0; i < e.width; i += W<T>) {
      const int64_t left = e.width - i;
      store_partial(sum + i, load_partial(sum + i, left) + load_partial(e.dy + r * e.width + i, left), left);
    }
  }
}

}  // namespace
}  // namespace rnncore
