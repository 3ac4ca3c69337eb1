// The contract of the recurrent kernels: plain structs. All arrays are of one type T.
//
// Letters: N rows (batch), T steps, I inputs, H units, G gates. Weights are in Keras's layout:
// kernel (I, G·H), recurrent_kernel (H, G·H), gates i f c o or z r h. Where h is projected, read (P, G·H) and (N, P).
//
// Rows may end early: `offsets` says how. It is null when every row has T steps; otherwise the rows
// are sorted by length, longest first, and step t holds rows [0, offsets[t+1] - offsets[t]).
// Arrays over time are then packed: row r of step t is row offsets[t] + r.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/function.h"
#include "core/team.h"

namespace rnncore {

enum class Cell : int32_t { simple_rnn, lstm, gru, gru_reset_before };

struct CellFacts {
  const char* name;
  int64_t gates;
  int states;
  int64_t bias_rows;           // R of the bias (R, G·H); a bias of one row is (G·H,)
  int64_t normalization_rows;  // R of the gains and shifts (R, H) of the normalized cell; 0: there is none
};

// In the order of the enumeration. The first `kRecurrentOps` are ops of these names, the last is gru told otherwise.
constexpr CellFacts kCells[] = {
    {"simple_rnn", 1, 1, 1, 1}, {"lstm", 4, 2, 1, 10}, {"gru", 3, 1, 2, 6}, {"gru_reset_before", 3, 1, 1, 0}};
constexpr size_t kRecurrentOps = 3;

RNNCORE_INLINE constexpr const CellFacts& facts_of(Cell cell) { return kCells[static_cast<size_t>(cell)]; }
RNNCORE_INLINE constexpr int64_t gates_of(Cell cell) { return facts_of(cell).gates; }
RNNCORE_INLINE constexpr int states_of(Cell cell) { return facts_of(cell).states; }

// How packed weights are kept: as numbers of the kernels' type, or as fewer bytes for calls of few rows, which are as
// fast as their weights are read. Products of int8 take the other factor as int8, too.
enum class WeightFormat : int32_t { full, bfloat16, int8 };

// Numbers that 32 bits hold, of the kernels' type or of a smaller one.
RNNCORE_INLINE constexpr int64_t numbers_of(WeightFormat format) {
  return format == WeightFormat::full ? 1 : format == WeightFormat::bfloat16 ? 2 : 4;
}

struct SequenceShape {
  Cell cell;
  Elementwise activation;
  Elementwise recurrent_activation;  // ignored by simple_rnn
  int64_t rows, steps, inputs, units;
  const int64_t* offsets;          // (T+1,) or null
  bool recurrent_dropout = false;  // the recurrent product reads h·mask
  bool zoneout = false;            // a state is mixed with the one before
  bool peepholes = false;          // gates of an lstm read c
  bool normalized = false;         // products are normalized over their columns
  bool bfloat16 = false;           // products take numbers rounded to bfloat16
  WeightFormat weights =
      WeightFormat::full;         // others than full: float32 without the options above but peepholes and zoneout
  int64_t projected = 0;          // numbers P of h where an lstm projects it, else 0: then they are H
  int64_t vocabulary = 0;         // rows of a table that x is read from by ids, or 0; with packed weights of tiles
  int64_t cache_bytes = 1 << 20;  // second-level cache of a processor
};

// Element k of row r at step t: data[t·step + r·row + k], or data[(offsets[t] + r)·row + k] when packed.
template <class T>
struct SequenceView {
  T* data;
  int64_t step, row;
};

// Rows of H weights that the cells read beside the products'.
RNNCORE_INLINE constexpr int64_t extra_rows(const SequenceShape& s) { return s.peepholes ? 3 : 0; }

template <class T>
struct SequenceForward {
  SequenceShape shape;
  const T* kernel;
  const T* recurrent_kernel;
  const T* bias;  // (G·H,), (2, 3·H) for gru, or null
  // Weights of an option: factors of c in i, f, o (3, H) for peepholes; (H, P) for a projection; for a normalized cell
  // the rows that normalized_cells.h names.
  const T* further;
  const T* recurrent_mask;  // (N, H): factors of h in the recurrent product, for recurrent_dropout
  // Shares of h and c before a step in those after it (T, N, H), for zoneout; data null: none.
  SequenceView<const T> holds[2];
  SequenceView<const T> x;          // (T, N, I)
  SequenceView<const int32_t> ids;  // (T, N) in place of x where there is a vocabulary: rows of `embeddings`
  const T* embeddings;              // (V, I), read by `pack` alone
  const T* initial_state[2];        // h, c: (N, H) each, or null for zeros
  SequenceView<T> output;           // h of every step (T, N, H); data is null when only the last state is wanted
  T* state[2];                      // h, c after each row's last step: (N, H) each, or null
  T* tape;                          // sequence_tape elements for backward, or null for inference; training needs output
  T* workspace;                     // sequence_workspace elements
  // Where forward leaves what a backward pass of `panel_threads` threads reads of the weights, sequence_panels
  // elements; null: backward reads the weights themselves.
  T* panels;
  int panel_threads;
  T* packed_weights;  // as `pack` left them, in place of both kernels; null: forward packs them in its workspace
  int64_t turn = 0;   // number of the call among those of a stream, where blocks of units go to and fro
};

template <class T>
struct SequenceBackward {
  SequenceForward<T> forward;     // as it was called, without weights where it has panels; its tape is overwritten
  SequenceView<const T> doutput;  // (T, N, H), data may be null
  const T* dstate[2];             // (N, H) each, or null
  SequenceView<T> dx;             // (T, N, I), data is null when not wanted
  T* dkernel;                     // (I, G·H), overwritten
  T* drecurrent_kernel;           // (H, G·H), overwritten
  T* dbias;                       // like bias, overwritten, or null
  T* dfurther;                    // like further, overwritten
  T* dinitial_state[2];           // (N, H) each, or null
  T* workspace;                   // sequence_workspace elements
};

// In elements of T.
struct SequenceSizes {
  int64_t tape;
  int64_t panels;  // of cells that are neither projected nor normalized
  int64_t packed_weights;
  int64_t forward_workspace;   // less by the packed weights where forward is given them
  int64_t backward_workspace;  // less by the panels where forward leaves them
};

// How a call is shared out: how many threads finish it first, and whether they share the units of each step, else its
// rows.
struct SequenceSharing {
  int threads;
  bool forward_by_units, backward_by_units;
  bool chunked;  // the input products are made some steps ahead
};

template <class T>
struct SequenceKernels {
  SequenceSizes (*sizes)(const SequenceShape&, bool training, int threads);
  // With up to `limit` threads to choose from.
  SequenceSharing (*sharing)(const SequenceShape&, int limit);
  // Fills packed_weights from the kernels, the bias and `further`; for calls of any rows and steps.
  void (*pack)(const SequenceForward<T>&, const Team&);
  // Each thread of the team calls these with the same arguments. All results are there when every
  // thread has returned (a barrier of the caller's).
  void (*forward)(const SequenceForward<T>&, const Team&);
  void (*backward)(const SequenceBackward<T>&, const Team&);
};

}  // namespace rnncore
