// Gradients of the weights that never leave the registers: those of a small layer whose single row goes back in time.
#pragma once

#include "core/recurrent/sequence_forward.h"
#include "core/recurrent/weight_gradients.h"

namespace rnncore {
namespace {

// Whether registers hold all gradients of the weights, so that they can be added up while a single row goes back
// through its steps: a layer of one gate, of one whole vector of units and few inputs.
template <class L>
constexpr bool kKeepsGradients = kKeepsRow<L> && L::part_vectors == 1;

constexpr int64_t kKeptInputs = 4;

template <class L>
RNNCORE_INLINE bool keeps_gradients(const SequenceShape& s) {
  return kKeepsGradients<L> && s.rows == 1 && s.steps <= kReductionRows && s.units == W<typename L::Type> &&
         s.inputs <= kKeptInputs && !s.recurrent_dropout;
}

template <class L>
struct KeptGradients {
  using T = typename L::Type;
  static constexpr int H = W<T>;
  Vec<T> kernel[kKeptInputs], recurrent[H], bias;

  static RNNCORE_INLINE void clear(KeptGradients& g) {
#pragma GCC unroll 4
    for (int i = 0; i < kKeptInputs; ++i) g.kernel[i] = Vec<T>{};
#pragma GCC unroll 16
    for (int k = 0; k < H; ++k) g.recurrent[k] = Vec<T>{};
    g.bias = Vec<T>{};
  }

  // Adds those of one step, from the row's x, the h before, if any, and the gradients of its slots.
  static RNNCORE_INLINE void add(KeptGradients& g, int64_t inputs, const T* x, const T* h, Vec<T> dslots) {
    // The last number of x again where there are fewer; what they give is not kept.
#pragma GCC unroll 4
    for (int i = 0; i < kKeptInputs; ++i) g.kernel[i] += x[i < inputs ? i : inputs - 1] * dslots;
    if (h)
#pragma GCC unroll 16
      for (int k = 0; k < H; ++k) g.recurrent[k] += h[k] * dslots;
    g.bias += dslots;
  }

  static RNNCORE_INLINE void keep(const KeptGradients& g, int64_t inputs, T* dkernel, T* drecurrent, T* dbias) {
#pragma GCC unroll 4
    for (int i = 0; i < kKeptInputs; ++i)
      if (i < inputs) store(dkernel + i * H, g.kernel[i]);
#pragma GCC unroll 16
    for (int k = 0; k < H; ++k) store(drecurrent + k * H, g.recurrent[k]);
    if (dbias) store(dbias, g.bias);
  }
};

}  // namespace
}  // namespace rnncore
