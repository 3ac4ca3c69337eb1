// The cells of the forward pass: from the pre-activations of some rows and one block of units to h, c and the saved
// slots.
#pragma once

#include "core/recurrent/forward_plan.h"

namespace rnncore {
namespace {

// How much of a state stays in step t.
template <class L>
RNNCORE_INLINE Vec<typename L::Type> hold(const ForwardPlan<L>& p, int state, int64_t t, int64_t n, int64_t unit) {
  const auto& holds = p.call.holds[state];
  return holds.data ? load_partial(view_row(holds, p.shape, t, n) + unit, p.shape.units - unit)
                    : Vec<typename L::Type>{};
}

// The cell for a vector of units: itself, or with their weights.
template <class CellT, class T>
RNNCORE_INLINE CellT cell_at(const CellT& cell, const T* extra, int64_t unit, int64_t H) {
  if constexpr (CellT::Form::extra_rows > 0)
    return CellT::at(cell, extra, unit, H);
  else
    return cell;
}

// What the next step's products read of some rows' h, where that is not h itself: masked, or rounded.
template <class L>
static __attribute__((noinline)) void keep_factors(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step,
                                                   int64_t rows, int64_t block) {
  using T = typename L::Type;
  const int64_t H = p.shape.units, first = block * L::units;
  for (int64_t n = row; n < row + rows * row_step; n += row_step)
    for (int64_t unit = first; unit < first + L::units && unit < H; unit += W<T>) {
      const Vec<T> factor = p.through_mask(load_partial(p.hidden_row(t, n) + unit, H - unit), n, unit);
      if (p.masked) store_partial(p.masked_row(t + 1, n) + unit, factor, H - unit);
      if constexpr (std::is_same_v<T, float>)
        if (p.rounds) store_rounded(p.rounded_hidden(t, n) + unit, factor);
    }
}

// The cell on the pre-activations of `rows` rows. `kept`, if any, is the last vector of h.
template <class L, class CellT>
RNNCORE_INLINE void forward_cells(const ForwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t rows,
                                  int64_t block, const Vec<typename L::Type>* pre, Vec<typename L::Type>* kept) {
  using T = typename L::Type;
  using Form = typename CellT::Form;
  const CellT cell = CellT::make(p.shape);
  const int64_t H = p.shape.units, first = block * L::units;
  // Where the first row's numbers are, and how far the next row's; null stands for zeros, or for what is not kept.
  const T* h_before = Form::carries_dh ? p.before(t, row) : nullptr;
  T* hidden = p.hidden_row(t, row);
  T* memory = Form::has_memory ? p.memory_row(t, row) : nullptr;
  const T* c_before = Form::has_memory ? p.memory_before(t, row) : nullptr;
  T* slots = p.tape_keeps_slots() ? p.slots_at(t, row, block) : nullptr;
  if (Form::may_keep_inputs && p.inputs) slots = p.inputs_row(t, row) + block * L::width;
  const int64_t h_before_row = row_step * p.before_stride(t), hidden_row = row_step * p.hidden_stride();
  const int64_t memory_row = row_step * L::padded(H), c_before_row = t > 0 ? memory_row : row_step * H;
  const int64_t slots_row = row_step * p.tape_row;
  for (int64_t r = 0; r < rows; ++r, pre += L::vectors) {
#pragma GCC unroll 1
    for (int u = 0; u < L::U; ++u) {
      const int64_t unit = first + u * W<T>, left = H - unit;
      if (left <= 0) break;
      Vec<T> slot[Form::slots];
#pragma GCC unroll 8
      for (int i = 0; i < Form::slots; ++i) slot[i] = pre[u * Form::slots + i];
      Vec<T> h{}, c{};
      if (Form::carries_dh && h_before) h = load_partial(h_before + r * h_before_row + unit, left);
      // A step's cell states are whole vectors, initial ones are not.
      if (Form::has_memory && c_before)
        c = t > 0 ? load(c_before + r * c_before_row + unit) : load_partial(c_before + r * c_before_row + unit, left);
      const CellT here = cell_at(cell, p.call.further, unit, H);
      if constexpr (Form::holds) {
        const int64_t n = row + r * row_step;
        h = CellT::forward(here, slot, h, c, hold(p, 0, t, n, unit), hold(p, 1, t, n, unit));
      } else {
        h = CellT::forward(here, slot, h, c);
      }
      if (Form::has_memory) store(memory + r * memory_row + unit, c);
      if (kept) *kept = h;
      // What a masked store leaves reaches the next step's products later.
      if (left >= W<T>)
        store(hidden + r * hidden_row + unit, h);
      else
        store_partial(hidden + r * hidden_row + unit, h, left);
      if (slots)
#pragma GCC unroll 8
        for (int i = 0; i < Form::slots; ++i) store(slots + r * slots_row + (u * Form::slots + i) * W<T>, slot[i]);
    }
  }
  if (p.masked || p.rounds) keep_factors(p, t, row, row_step, rows, block);
}

}  // namespace
}  // namespace rnncore
