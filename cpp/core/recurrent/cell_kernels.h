// What a driver calls of a cell: one table for each cell, so that the drivers are compiled once for a layout.
#pragma once

#include "core/recurrent/backward_cells.h"

namespace rnncore {
namespace {

// Most rows of a call of cells: what they read and write fits the nearest cache.
constexpr int64_t kCellRows = 4 * kTileRows;

template <class L>
struct CellKernels {
  using V = Vec<typename L::Type>;

  // The cells of some rows and one block of units; those of some rows and vectors of units backward.
  void (*forward)(const ForwardPlan<L>&, int64_t t, int64_t row, int64_t row_step, int64_t rows, int64_t block,
                  const V* pre, V* kept);
  void (*backward)(const BackwardPlan<L>&, int64_t t, int64_t row, int64_t row_step, int64_t rows, int64_t vector,
                   int vectors, bool later, const V* dh, V* kept);
  // All steps of one row, products and cells, in a layer that is narrow enough.
  void (*forward_row)(const ForwardPlan<L>&, const CellKernels&, const RowShare&, const Team&);
  void (*backward_row)(const BackwardPlan<L>&, const CellKernels&, int64_t row, const Team&);
};

// A cell that is compiled into its caller.
template <class L, class CellT>
struct InlineCell {
  explicit InlineCell(const CellKernels<L>&) {}
  using V = Vec<typename L::Type>;

  RNNCORE_INLINE void forward(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t rows,
                              int64_t block, const V* pre, V* kept) const {
    forward_cells<L, CellT>(p, t, row, row_step, rows, block, pre, kept);
  }
  RNNCORE_INLINE void backward(const BackwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t rows,
                               int64_t vector, int vectors, bool later, const V* dh, V* kept) const {
    backward_cells<L, CellT>(p, t, row, row_step, rows, vector, vectors, later, dh, kept);
  }
};

template <class L, class CellT>
static __attribute__((noinline)) void forward_tile(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step,
                                                   int64_t rows, int64_t block, const Vec<typename L::Type>* pre,
                                                   Vec<typename L::Type>* kept) {
  forward_cells<L, CellT>(p, t, row, row_step, rows, block, pre, kept);
}

template <class L, class CellT>
static __attribute__((noinline)) void backward_tile(const BackwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step,
                                                    int64_t rows, int64_t vector, int vectors, bool later,
                                                    const Vec<typename L::Type>* dh, Vec<typename L::Type>* kept) {
  backward_cells<L, CellT>(p, t, row, row_step, rows, vector, vectors, later, dh, kept);
}

}  // namespace
}  // namespace rnncore
