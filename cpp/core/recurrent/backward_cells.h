// The cells of the backward pass: from dh of some rows and vectors of units to the slot gradients, which overwrite the
// saved slots, and what passes the products by.
#pragma once

#include "core/recurrent/backward_plan.h"
#include "core/recurrent/forward_cells.h"

namespace rnncore {
namespace {

// Slot gradients of unit vector `vector` of a row, as the products read them.
template <class L, class V>
RNNCORE_INLINE void store_dslots(typename L::Type* row, int64_t vector, const V (&slot)[L::Form::slots]) {
  constexpr int64_t size = L::Form::slots * W<typename L::Type>;
  if constexpr (L::rounded) {
    static_assert(L::U == 1 || !L::Form::keeps_slots, "overwrites a unit vector that is still to be read");
    auto* out = reinterpret_cast<typename L::Number*>(row + vector / L::U * L::width) + vector % L::U * size;
    for (int i = 0; i < L::Form::slots; ++i) store_rounded(out + i * W<typename L::Type>, slot[i]);
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < L::Form::slots; ++i) store(row + vector * size + i * W<typename L::Type>, slot[i]);
  }
}

// Rounds the slot gradients of some rows and vectors of units, where products read numbers that are rounded.
template <class L>
static __attribute__((noinline)) void round_dslots(const BackwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step,
                                                   int64_t rows, int64_t vector, int vectors) {
  using T = typename L::Type;
  if constexpr (std::is_same_v<T, float>)
    for (int64_t n = row; n < row + rows * row_step; n += row_step)
      for (int64_t i = vector * L::Form::slots; i < (vector + vectors) * L::Form::slots; ++i) {
        T* slot = p.dslots_row(t, n) + i * W<T>;
        store_rounded(slot, load(slot));
      }
}

// The cells of step t backward: overwrites the slots with their gradients. `kept`, if any, are those of the last
// vector.
template <class L, class CellT>
RNNCORE_INLINE void backward_cells(const BackwardPlan<L>& p, int64_t t, int64_t row, int64_t row_step, int64_t rows,
                                   int64_t vector, int vectors, bool later, const Vec<typename L::Type>* dh,
                                   Vec<typename L::Type>* kept) {
  using T = typename L::Type;
  using Form = typename CellT::Form;
  const CellT cell = CellT::make(p.shape);
  const SequenceForward<T>& f = p.call.forward;
  const int64_t H = p.shape.units, padded = L::padded(H), first = vector * W<T>;
  // Where the first row's numbers are, and how far the next row's; null stands for zeros.
  T* dslots = p.dslots_row(t, row);
  const T* inputs = Form::may_keep_inputs ? p.forward.inputs_row(t, row) : nullptr;
  const T* output = Form::keeps_slots ? nullptr : view_row(f.output, p.shape, t, row);
  const T* ahead = !Form::keeps_slots && t > 0 ? view_row(f.output, p.shape, t - 1, row) : nullptr;
  const T* hidden = Form::carries_dh ? p.forward.before(t, row) : nullptr;
  const T* memory = Form::has_memory ? p.forward.memory_row(t, row) : nullptr;
  const T* memory_before = Form::has_memory ? p.forward.memory_before(t, row) : nullptr;
  T* dmemory = Form::has_memory ? p.dmemory + row * padded : nullptr;
  const T* dstate = Form::has_memory && p.call.dstate[1] ? p.call.dstate[1] + row * H : nullptr;
  T* dcarry = Form::carries_dh ? p.dcarry + row * padded : nullptr;
  const int64_t slots_row = row_step * p.forward.tape_row, output_row = row_step * f.output.row;
  const int64_t hidden_row = row_step * p.forward.before_stride(t);
  const int64_t padded_row = row_step * padded, state_row = row_step * H, before_row = t > 0 ? padded_row : state_row;
  // Vector by vector, so that what depends on the units is found once for all rows.
  for (int v = 0; v < vectors; ++v, ++dh) {
    const int64_t unit = first + v * W<T>, left = H - unit;
    if (left <= 0) {
      // Padding: the products read these as zeros.
      for (int64_t r = 0; r < rows; ++r) store_dslots<L, Vec<T>>(dslots + r * slots_row, vector + v, {});
      continue;
    }
    const CellT here = cell_at(cell, f.further, unit, H);
    for (int64_t r = 0; r < rows; ++r) {
      T* row_slots = dslots + r * slots_row;
      Vec<T> slot[Form::slots] = {};
      if (Form::keeps_slots)
#pragma GCC unroll 8
        for (int i = 0; i < Form::slots; ++i) slot[i] = load(row_slots + ((vector + v) * Form::slots + i) * W<T>);
      if (Form::may_keep_inputs && inputs) slot[0] = load(inputs + r * slots_row + (vector + v) * W<T>);
      Vec<T> h{}, h_before{}, c{}, c_before{}, dc{}, carry{};
      if (ahead) __builtin_prefetch(ahead + r * output_row + unit);
      if (!Form::keeps_slots) h = load_partial(output + r * output_row + unit, left);
      if (Form::carries_dh && hidden) h_before = load_partial(hidden + r * hidden_row + unit, left);
      if (Form::has_memory) {
        c = load(memory + r * padded_row + unit);
        // Beyond the units the memory of a step holds what no one reads.
        if (memory_before) c_before = load_partial(memory_before + r * before_row + unit, left);
        if (later)
          dc = load(dmemory + r * padded_row + unit);
        else if (dstate)
          dc = load_partial(dstate + r * state_row + unit, left);
      }
      if constexpr (Form::holds) {
        const int64_t n = row + r * row_step;
        CellT::backward(here, slot, h, h_before, c, c_before, dh[r * vectors], dc, carry,
                        hold(p.forward, 0, t, n, unit), hold(p.forward, 1, t, n, unit));
      } else {
        CellT::backward(here, slot, h, h_before, c, c_before, dh[r * vectors], dc, carry);
      }
      if constexpr (Form::extra_rows > 0) {
        T* sums = p.dextra + Form::extra_rows * (row + r * row_step) * padded + unit;
        Vec<T> shares[Form::extra_rows];
        CellT::extra_gradients(slot, c, c_before, shares);
        for (int k = 0; k < Form::extra_rows; ++k)
          store(sums + k * padded, unfused(shares[k]) + (later ? load(sums + k * padded) : Vec<T>{}));
      }
      // An infinite x makes NaNs beyond the units, which the products would spread.
      if (left < W<T>)
#pragma GCC unroll 8
        for (int i = 0; i < Form::slots; ++i) slot[i] = first_lanes<T>(slot[i], left);
      store_dslots<L>(row_slots, vector + v, slot);
      if (kept)
#pragma GCC unroll 8
        for (int i = 0; i < Form::slots; ++i) kept[i] = slot[i];
      if (Form::has_memory) store(dmemory + r * padded_row + unit, dc);
      if (Form::carries_dh) store(dcarry + r * padded_row + unit, carry);
    }
  }
  if (!L::rounded && p.forward.rounds) round_dslots(p, t, row, row_step, rows, vector, vectors);
}

}  // namespace
}  // namespace rnncore
