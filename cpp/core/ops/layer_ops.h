// The contract of the kernels of noise, normalization, convolution and pooling: plain structs, no code.
//
// Letters as in ops.h: `rows` are all positions of a batch; C channels, I inputs, U units, K places of a window.
#pragma once

#include "core/function.h"

namespace rnncore {

enum class NoiseKind : uint8_t { gaussian_noise, gaussian_dropout, alpha_dropout };

template <class T>
struct Noise {
  NoiseKind kind;
  bool gradient;                  // x is dy, y is dx
  int64_t samples, steps, width;  // stored as (steps, samples, width)
  double amount;                  // the standard deviation; alpha_dropout: the rate
  const T* x;
  T* y;
};

// Sums over positions are taken in kReductionParts fixed parts, so that no number of threads changes them.
constexpr int kReductionParts = 16;

// Doubles that two sums of each column take.
constexpr int64_t column_sums_size(int64_t columns) { return kReductionParts * 2 * columns; }

template <class T>
struct BatchNormalization {
  int64_t rows, channels;
  bool of_batch;  // statistics of the batch, which then also move the moving ones
  double epsilon, momentum;
  const T* x;           // (rows, C)
  const int32_t* real;  // (rows,) or null for all: rows that count
  const T* gamma;       // (C,) or null for ones
  const T* beta;        // (C,) or null for zeros
  T* moving_mean;       // (C,)
  T* moving_variance;   // (C,)
  T* mean;              // (C,): what was used
  T* factor;            // (C,): 1/√(variance + epsilon)
  T* y;                 // (rows, C)
  double* sums;         // column_sums_size(C)
};

template <class T>
struct BatchNormalizationBackward {
  BatchNormalization<T> forward;
  const T* dy;  // (rows, C)
  T* dx;        // (rows, C) or null
  T* dgamma;    // (C,) or null
  T* dbeta;     // (C,) or null
};

template <class T>
struct LayerNormalization {
  int64_t rows, channels;
  double epsilon;
  const T* x;      // (rows, C)
  const T* gamma;  // (C,) or null for ones
  const T* beta;   // (C,) or null for zeros
  T* statistics;   // (rows, 2): mean and 1/√(variance + epsilon)
  T* y;            // (rows, C)
};

template <class T>
struct LayerNormalizationBackward {
  LayerNormalization<T> forward;
  const T* dy;   // (rows, C)
  T* dx;         // (rows, C) or null
  T* dgamma;     // (C,) or null
  T* dbeta;      // (C,) or null
  double* sums;  // column_sums_size(C)
};

// A window of `size` steps, `dilation` apart, that moves by `stride`; window j begins at step j·stride - before.
// Steps outside of x, or not real, are missing: zeros to a convolution, nothing to a pooling.
struct Window {
  int64_t samples, steps, out_steps;  // x is (steps, samples, ...), y (out_steps, samples, ...)
  int64_t size, stride, dilation, before;
};

template <class T>
struct Conv1D {
  Window window;
  int64_t inputs, units;
  Elementwise activation;
  const T* x;           // (T, N, I)
  const int32_t* real;  // (T, N) or null for all
  const T* kernel;      // (K, I, U)
  const T* bias;        // (U,) or null
  T* z;                 // (T', N, U): before the activation, where its derivative reads that; otherwise y
  T* y;                 // (T', N, U)
  T* workspace;         // conv1d_workspace elements
};

template <class T>
struct Conv1DBackward {
  Conv1D<T> forward;  // the workspace may be another
  const T* dy;        // (T', N, U)
  T* dz;              // (T', N, U); not used by a linear layer
  T* dx;              // (T, N, I) or null
  T* dkernel;         // (K, I, U) or null
  T* dbias;           // (U,) or null
};

enum class PoolKind : uint8_t { maximum, average };

// A global pooling has one window, of all steps.
template <class T>
struct Pool1D {
  PoolKind kind;
  Window window;
  int64_t channels;
  const T* x;           // (T, N, C)
  const int32_t* real;  // (T, N) or null for all
  T* y;                 // (T', N, C): zero where no step is real
  const T* dy;          // (T', N, C)
  T* dx;                // (T, N, C)
};

}  // namespace rnncore
