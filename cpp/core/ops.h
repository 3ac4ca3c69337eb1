// The contract of the op kernels other than the recurrent ones: plain structs, no code.
//
// Letters: `rows` are all positions of a batch (N, or T·N), I inputs, U units, C classes (last axis).
// Each thread of the team calls a kernel with the same arguments. Results are there when every thread
// has returned (a barrier of the caller's).
#pragma once

#include <cstdint>

#include "core/function.h"
#include "core/ops/layer_ops.h"
#include "core/recurrent/sequence.h"
#include "core/team.h"

namespace rnncore {

template <class T>
struct DenseForward {
  int64_t rows, inputs, units;
  Elementwise activation;
  const T* x;       // (rows, I)
  const T* kernel;  // (I, U)
  const T* bias;    // (U,) or null
  T* z;             // (rows, U): before the activation, where its derivative reads that; otherwise y
  T* y;             // (rows, U)
  T* workspace;     // dense_workspace elements
};

template <class T>
struct DenseBackward {
  DenseForward<T> forward;  // as it was called; the workspace may be another
  const T* dy;              // (rows, U)
  T* dz;                    // (rows, U): dy through the activation; not used by a linear layer
  T* dx;                    // (rows, I) or null
  T* dkernel;               // (I, U) or null
  T* dbias;                 // (U,) or null
};

// Axes along which all elements have one random number.
struct SharedAxes {
  bool samples = false, steps = false, columns = false;
};

// Element e of the batch-first array survives when its uniform number reaches `rate`.
template <class T>
struct Dropout {
  int64_t samples, steps, width;  // stored as (steps, samples, width)
  double rate;
  SharedAxes shared;
  const T* x;
  T* y;
};

// Which random numbers: Philox-4x32-10, key = seed, counter = (element / 4, step, node). Where a node draws several
// arrays, number k of them begins k·2^kArrayBits counters on.
struct RandomStream {
  uint64_t seed;
  uint32_t step, node;
};
constexpr int kArrayBits = 48;

// Some elements of a random array as one of two values.
template <class T>
struct Choice {
  int array;             // which of the node's arrays
  int64_t first, count;  // elements
  double rate;
  T dropped, kept;
  T* y;  // (count,)
};

template <class T>
struct Embedding {
  int64_t rows, vocabulary, width;
  const int32_t* ids;   // (rows,)
  const T* embeddings;  // (V, D)
  T* y;                 // (rows, D)
  const T* dy;          // (rows, D)
  T* dembeddings;       // (V, D), overwritten
};

enum class MergeKind : uint8_t { add, multiply, average, subtract, maximum, minimum };
constexpr const char* kMergeNames[] = {"add", "multiply", "average", "subtract", "maximum", "minimum"};

template <class T>
struct Merge {
  MergeKind kind;
  int inputs;
  int64_t size;
  const T* const* x;  // (inputs,) arrays of `size`
  T* y;
};

// An axis of two arrays at once: its size and the distance of neighbours in each. A distance may be 0.
struct StridedAxis {
  int64_t size, from, to;
};

constexpr int kMaxAxes = 8;

struct StridedCopy {
  int axes;  // at least one
  StridedAxis axis[kMaxAxes];
};

struct StridedSum {
  int kept_axes, summed_axes;  // at least one is kept
  StridedAxis kept[kMaxAxes], summed[kMaxAxes];
};

// How a query is compared with a key; K is the width of a head.
//   dot       factor·scale·Σ_d q_d·k_d
//   additive  Σ_d weight_d·tanh(q_d + k_d)
//   concat    weight·Σ_d tanh(scale·(q_d + k_d))
enum class AttentionScore : uint8_t { dot, additive, concat };

// Which steps of a row are real: where a mask (T, N) is not zero, or those before the lengths (N,), or all.
struct RealSteps {
  const int32_t* mask;
  const int32_t* lengths;
};

// A unit is one head h of one sample n. Queries, keys, values, context are stored as (T, N, heads·width).
template <class T>
struct Attention {
  AttentionScore score;
  bool causal;         // query i sees the keys up to i
  bool hides_queries;  // a masked query sees nothing; otherwise only its context is zero
  bool drops_weights;  // the weights that are an output are those after dropout
  int64_t samples, heads, queries, keys, key_width, value_width;
  int64_t weights_sample, weights_head, weights_query;  // strides of the weights that are an output
  double rate;
  T factor;
  RandomStream random;
  RealSteps query_steps, value_steps;
  const int32_t* attention_mask;  // (Tq, N, Tv) or null
  const T *query, *key, *value;
  const T* scale;    // () or null for one
  const T* weight;   // additive: (K,) or null for ones; concat: ()
  T* probabilities;  // (N, heads, Tq, Tv) for backward, or null
  T* context;        // or null
  T* weights;        // or null
  T* workspace;      // attention_workspace elements

  const T *dcontext, *dweights;  // or null for zeros
  T *dquery, *dkey, *dvalue;     // or null
  T *dscale, *dweight;           // or null
};

// Row r is real when `given` says so, if there is one, and x there differs from `value` somewhere, or the id from 0.
template <class T>
struct Masking {
  int64_t rows, width;
  T value;
  const T* x;            // (rows, width), or null
  const int32_t* ids;    // (rows,), or null
  const int32_t* given;  // (rows,), or null; may be `mask`
  int32_t* mask;         // (rows,): 1 or 0
};

enum class LossKind : uint8_t {
  mean_squared_error,
  mean_absolute_error,
  mean_absolute_percentage_error,
  mean_squared_logarithmic_error,
  huber,
  log_cosh,
  poisson,
  cosine_similarity,
  hinge,
  squared_hinge,
  categorical_hinge,
  binary_crossentropy,
  categorical_crossentropy,
  sparse_categorical_crossentropy,
  kl_divergence,
  binary_focal_crossentropy,
  categorical_focal_crossentropy
};
constexpr const char* kLossNames[] = {"mean_squared_error",
                                      "mean_absolute_error",
                                      "mean_absolute_percentage_error",
                                      "mean_squared_logarithmic_error",
                                      "huber",
                                      "log_cosh",
                                      "poisson",
                                      "cosine_similarity",
                                      "hinge",
                                      "squared_hinge",
                                      "categorical_hinge",
                                      "binary_crossentropy",
                                      "categorical_crossentropy",
                                      "sparse_categorical_crossentropy",
                                      "kl_divergence",
                                      "binary_focal_crossentropy",
                                      "categorical_focal_crossentropy"};

template <class T>
struct LossArguments {
  LossKind kind;
  bool from_logits, balanced;
  bool ignores;  // labels `ignored` are left out
  int32_t ignored;
  T label_smoothing, delta;
  double alpha, gamma;  // of the focal losses
  int64_t rows, classes;
  const T* output;      // (rows, C)
  const void* target;   // (rows, C) of T; sparse: (rows,) int32
  const T* weight;      // (rows,) or null for ones
  const bool* counted;  // (rows,) or null for all: rows that are not padding
  T scale;              // factor of the gradient
  T* gradient;          // (rows, C) or null
  double* sums;         // (kReductionParts, 2): sum of weight·loss, sum of weight
};

// Samples are the fastest axis but one of the output.
template <class T>
struct CtcArguments {
  int64_t steps, samples, classes, width;
  const T* output;        // (T, N, C) logits
  const int32_t* labels;  // (N, L): labels from 1 on, then zeros
  const T* weight;        // (N,) or null for ones
  const bool* counted;    // (T, N) or null for all
  T scale;                // factor of the gradient
  T* gradient;            // (T, N, C) or null
  double* workspace;      // ctc_workspace elements for each thread
  double* sums;           // (kReductionParts, 2): sum of weight·loss, sum of weight
};

enum class UpdateRule : uint8_t { none, sgd, rmsprop, adam, nadam, adagrad, adadelta, adamax, lion };

// The optimizers by name: the rule, and how many state vectors it keeps.
struct OptimizerFacts {
  const char* name;
  UpdateRule rule;
  int slots;
};
constexpr OptimizerFacts kOptimizers[] = {
    {"sgd", UpdateRule::sgd, 1},           {"rmsprop", UpdateRule::rmsprop, 3}, {"adam", UpdateRule::adam, 2},
    {"adamw", UpdateRule::adam, 2},        {"nadam", UpdateRule::nadam, 2},     {"adagrad", UpdateRule::adagrad, 1},
    {"adadelta", UpdateRule::adadelta, 2}, {"adamax", UpdateRule::adamax, 2},   {"lion", UpdateRule::lion, 1}};

// What corrections of a bias are made of, in float64 whatever T is.
struct UpdateTime {
  double beta_1, beta_2;
  int64_t t;  // number of the update, from 1
};

template <class T>
struct Update {
  UpdateRule rule;
  bool nesterov, centered, amsgrad;
  T rate;   // learning rate, with the rule's bias correction
  T decay;  // weight decay times learning rate
  T limit;  // largest absolute value of a gradient element
  T momentum, rho, beta_1, beta_2, epsilon;
  T initial;                                          // of adagrad's sum, whose slot holds what was added to it
  T momentum_factor, gradient_factor, square_factor;  // of nadam, for this step
  T* parameters;
  const T* gradients;
  T* slots[3];
  T* accumulated;  // set to zero, or null
  T* average;      // moving average of the weights, or null
  T average_momentum;
  bool overwrite;  // the weights by their average
};

// Groups of weights, each with the same members further on, whose norms are brought between two bounds.
template <class T>
struct NormConstraint {
  double low, high, rate;  // rate: the share of the way to a bound
  int64_t groups, members;
  const int64_t* group_offset;   // (groups,)
  const int64_t* member_offset;  // (members,)
  T* w;
};

// factor · Σ |u_i·u_j| over all i != j, where the u are the `count` vectors of `length` numbers of the matrix w, scaled
// to length 1. Number k of vector i is at w[i * stride + k * step].
template <class T>
struct Orthogonality {
  double factor;
  int64_t count, length, stride, step;
  const T* w;
  T* units;        // (count, length)
  T* slopes;       // (count, length), the gradient to each vector
  double* scales;  // (count,), 1 / the length of a vector
  double* sums;    // (count,), Σ |u_i·u_j| over j
};

template <class T>
struct OpKernels {
  int64_t (*dense_workspace)(int threads);
  void (*dense_forward)(const DenseForward<T>&, const Team&);
  void (*dense_backward)(const DenseBackward<T>&, const Team&);

  // y is the result, also in backward, where x may be null unless needs_input(). Arrays may be the same.
  void (*activate)(const Elementwise&, int64_t size, const T* x, T* y, const Team&);
  void (*activate_backward)(const Elementwise&, int64_t size, const T* x, const T* y, const T* dy, T* dx, const Team&);
  void (*softmax)(int64_t rows, int64_t classes, const T* x, T* y, const Team&);
  void (*softmax_backward)(int64_t rows, int64_t classes, const T* y, const T* dy, T* dx, const Team&);

  void (*dropout)(const Dropout<T>&, const RandomStream&, const Team&);
  void (*choose)(const Choice<T>&, const RandomStream&);  // by one thread
  // Elements, by the arguments' sizes.
  int64_t (*attention_workspace)(const Attention<T>&, bool backward, int threads);
  void (*attention_forward)(const Attention<T>&, const Team&);
  void (*attention_backward)(const Attention<T>&, const Team&);
  void (*noise)(const Noise<T>&, const RandomStream&, const Team&);

  void (*batch_normalization)(const BatchNormalization<T>&, const Team&);
  void (*batch_normalization_backward)(const BatchNormalizationBackward<T>&, const Team&);
  void (*layer_normalization)(const LayerNormalization<T>&, const Team&);
  void (*layer_normalization_backward)(const LayerNormalizationBackward<T>&, const Team&);

  int64_t (*conv1d_workspace)(int64_t size, int64_t inputs, int threads);
  void (*conv1d)(const Conv1D<T>&, const Team&);
  void (*conv1d_backward)(const Conv1DBackward<T>&, const Team&);
  void (*pool1d)(const Pool1D<T>&, const Team&);
  void (*pool1d_backward)(const Pool1D<T>&, const Team&);

  void (*embedding_forward)(const Embedding<T>&, const Team&);
  void (*embedding_backward)(const Embedding<T>&, const Team&);
  void (*find_mask)(const Masking<T>&, const Team&);
  // y (rows, width) is x where the mask is not 0, and 0 elsewhere.
  void (*apply_mask)(int64_t rows, int64_t width, const int32_t* mask, const T* x, T* y, const Team&);
  void (*loss)(const LossArguments<T>&, const Team&);
  int64_t (*ctc_workspace)(int64_t steps, int64_t width);
  void (*ctc)(const CtcArguments<T>&, const Team&);

  void (*merge)(const Merge<T>&, const Team&);
  void (*merge_backward)(const Merge<T>&, int slot, const T* dy, T* dx, const Team&);
  void (*strided_copy)(const StridedCopy&, const T* from, T* to, const Team&);
  void (*strided_sum)(const StridedSum&, const T* from, T* to, const Team&);
  // to[j·to_row + i] = from[i·from_row + j] for a matrix of these sizes; by one thread.
  void (*transpose)(int64_t rows, int64_t columns, const T* from, int64_t from_row, T* to, int64_t to_row);

  // y += x
  void (*add)(int64_t size, const T* x, T* y, const Team&);
  // The rule's bias correction, which is a factor of the learning rate; nadam sets its three factors as well.
  double (*correct_bias)(Update<T>&, const UpdateTime&);
  // Elements [begin, end) of the flat vector; gradients are multiplied by `scale` first.
  void (*update)(const Update<T>&, T scale, int64_t begin, int64_t end);
  // Gradient of l1·sum|w| + l2·sum w², added to g.
  void (*regularize)(int64_t size, const T* w, T l1, T l2, T* g, const Team&);
  // Sums and slopes; waits for the team once. Afterwards slopes are added to the gradient g, laid out as w.
  void (*orthogonality)(const Orthogonality<T>&, const Team&);
  void (*orthogonality_backward)(const Orthogonality<T>&, T* g, const Team&);
  // sums[0] = sum |x|, sums[1] = sum x², in a fixed order; one thread.
  void (*norms)(int64_t size, const T* x, double sums[2]);
  void (*constrain_norms)(const NormConstraint<T>&, const Team&);
  void (*constrain_signs)(int64_t size, T* w, const Team&);  // no weight below zero
};

}  // namespace rnncore
