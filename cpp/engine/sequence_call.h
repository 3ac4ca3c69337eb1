// One recurrent call on the caller's batch-first arrays: chooses threads, owns what backward needs of them, and turns
// lengths, resets and reversal into the packed, forward-running rows of the kernels.
#pragma once

#include <vector>

#include "core/kernels.h"
#include "engine/buffer.h"
#include "engine/threads.h"

namespace rnncore {

// Element (n, t, k) at data[n·row + t·step + k].
template <class T>
struct BatchView {
  T* data;
  int64_t row, step;
};

// Element (n, t, k) of an output lies at first + n·row + t·step + k of its memory.
struct OutputLayout {
  int64_t first, row, step;
};

template <class T>
struct SequenceInputs {
  Cell cell;
  Elementwise activation, recurrent_activation;
  int64_t rows, steps, inputs, units;
  BatchView<const T> x;
  const T* kernel;
  const T* recurrent_kernel;
  const T* bias;  // or null
  // Weights are PyTorch's: (G·H, I), (G·H, H), and two biases (G·H,), the gates of a gru being r z n.
  bool torch = false;
  const T* second_bias = nullptr;
  T* packed_weights;          // in place of both kernels, or null
  const T* initial_state[2];  // (N, H), or null
  const int32_t* lengths;     // (N,), or null
  const bool* resets;         // (N, T): rows are cut before the steps where it is set; or null
  bool reverse;
  // Rows of each step (T,), longest first: x and output are packed, element (t, n, k) at data[(offset of t + n)·row +
  // k]; or null. Without lengths and resets.
  const int64_t* batch_sizes = nullptr;
  BatchView<T> output = {};  // where the output goes; null data: memory as `output_layout` says
  bool stays = false;        // x and initial states stay as they are until backward
};

template <class T>
class SequenceCall {
 public:
  // The arrays are read by `forward` alone unless they stay; the lengths, which must be from 0 to the steps, and resets
  // by nobody later.
  SequenceCall(const SequenceInputs<T>& inputs, bool training, const Kernels& kernels);

  // Time-major inside when no row ends early or is cut.
  OutputLayout output_layout() const { return output_layout_; }
  double flops() const { return flops_; }  // of the forward pass
  int64_t rows_in_all() const { return ragged() ? ragged_.offsets.back() : inputs_.rows * inputs_.steps; }
  // Of output (N, T, H), `output` is where its memory begins, unless the inputs say; it must stay as it is until
  // backward. State: (N, H) each.
  void forward(T* output, T* const state[2], const Interrupt& interrupt);

  // Once only: the saved values are overwritten. doutput and dx may have null data, dstate and dinitial_state null
  // entries. Gradients of weights are laid out as those; dbias is (2, G·H) where they are PyTorch's.
  void backward(BatchView<const T> doutput, const T* const dstate[2], BatchView<T> dx, T* dkernel, T* drecurrent_kernel,
                T* dbias, T* const dinitial_state[2], const Interrupt& interrupt);

 private:
  // Steps [first, first + length) of a row of so many valid ones, between two of its cuts: a row of the kernels.
  struct Piece {
    int64_t row, first, length, valid;
    bool resumes;  // begins with the initial state of its row, others with zeros
  };
  struct Ragged {
    std::vector<Piece> pieces;     // longest first
    std::vector<int64_t> offsets;  // (most steps of a piece + 1,) packed row at which a step begins; else empty
    Buffer x;                      // [Σ lengths][I]
    Buffer hidden;                 // [Σ lengths][H]
    Buffer states;                 // initial h, c then last h, c: [4][pieces][H]
  };

  bool ragged() const { return !ragged_.offsets.empty(); }
  // Whether the kernels do not see the rows as the caller has them.
  bool copies_rows() const { return ragged() && !(inputs_.batch_sizes && !inputs_.reverse); }
  template <class P>
  P* row_at(BatchView<P> view, int64_t n, int64_t t) const {
    return inputs_.batch_sizes ? view.data + (ragged_.offsets[static_cast<size_t>(t)] + n) * view.row
                               : view.data + n * view.row + t * view.step;
  }
  BatchView<T> output_view(T* output) const;
  void read_torch_weights(T* kernel, T* recurrent_kernel, T* bias, const Team& team) const;
  void write_torch_gradients(const T* const from[3], T* const to[3], const Team& team) const;
  bool has_cuts() const;
  void cut_rows();
  bool begins(const Piece& piece) const;
  bool ends(const Piece& piece) const;
  int64_t time(const Piece& piece, int64_t s) const;
  void read_x(BatchView<const T> x);
  void place_saved();
  void copy_inputs(const Team& team) const;

  // Copies of the caller's arrays, which may change before backward, when no row ends early.
  struct Copies {
    T* x;                 // [T][N][I]
    T* initial_state[2];  // [N][H] each; or null
  };

  SequenceInputs<T> inputs_;
  bool training_;
  const SequenceKernels<T>& kernels_;
  const OpKernels<T>& op_kernels_;
  double flops_;
  int threads_;
  SequenceSizes sizes_;
  SequenceForward<T> call_{};
  OutputLayout output_layout_{};
  Buffer saved_;  // for backward: the tape, the panels, the copies
  Copies copies_{};
  Ragged ragged_;
};

}  // namespace rnncore
