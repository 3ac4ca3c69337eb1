// What a node of simple_rnn, lstm or gru asks for: a cell, its options and where their weights are.
#pragma once

#include <array>

#include "engine/names.h"
#include "engine/ops/registry.h"

namespace rnncore {

// Slots of a node: x, lengths or mask, initial states, resets, states that rows begin anew with; sequence, final
// states; kernel, recurrent kernel, then what there is of bias and of the weights of an option, of which a node has one
// at most.
constexpr size_t kMaskInput = 1, kFirstStateInput = 2, kFirstStateOutput = 1;
constexpr size_t kParameters = 4, kNoSlot = 9;

struct RecurrentOptions {
  explicit RecurrentOptions(const Site& site);

  CellFacts cell;
  SequenceShape shape;                   // for x (N, T, I); random options are on where their rates are not 0
  int64_t sizes[2];                      // of h and c
  double recurrent_dropout, zoneout[2];  // rates; zoneout of h and c
  uint64_t seed;
  int64_t checkpoint_every;
  bool backwards, aligned, zero_output;
  std::array<size_t, kParameters> slots;  // of kernel, recurrent kernel, bias, an option's weights; or kNoSlot
  size_t embeddings_slot;                 // of a node that `with_tables` made; or kNoSlot

  size_t states() const { return static_cast<size_t>(cell.states); }
  size_t resets_slot() const { return kFirstStateInput + states(); }
};

// Shapes of the outputs; throws std::invalid_argument where a node asks for what there is not.
std::vector<Tensor> infer_recurrent(const Site& site);

}  // namespace rnncore
