// The op kernels in float and double, at the level this file is compiled for.
#include "core/level.h"
#include "core/losses/ctc.h"
#include "core/losses/losses.h"
#include "core/ops/attention.h"
#include "core/ops/attention_backward.h"
#include "core/ops/conv1d.h"
#include "core/ops/dense.h"
#include "core/ops/dropout.h"
#include "core/ops/embedding.h"
#include "core/ops/masking.h"
#include "core/ops/merge.h"
#include "core/ops/noise.h"
#include "core/ops/normalization.h"
#include "core/ops/pool1d.h"
#include "core/ops/softmax.h"
#include "core/ops/strided.h"
#include "core/training/constraints.h"
#include "core/training/optimizers.h"
#include "core/training/orthogonality.h"

namespace rnncore {
namespace {

template <class T>
constexpr OpKernels<T> op_table{
    .dense_workspace = dense_workspace<T>,
    .dense_forward = dense_forward<T>,
    .dense_backward = dense_backward<T>,
    .activate = activate<T>,
    .activate_backward = activate_backward<T>,
    .softmax = softmax<T>,
    .softmax_backward = softmax_backward<T>,
    .dropout = dropout<T>,
    .choose = choose<T>,
    .attention_workspace = attention_workspace<T>,
    .attention_forward = attention_forward<T>,
    .attention_backward = attention_backward<T>,
    .noise = noise<T>,
    .batch_normalization = batch_normalization<T>,
    .batch_normalization_backward = batch_normalization_backward<T>,
    .layer_normalization = layer_normalization<T>,
    .layer_normalization_backward = layer_normalization_backward<T>,
    .conv1d_workspace = conv1d_workspace<T>,
    .conv1d = conv1d<T>,
    .conv1d_backward = conv1d_backward<T>,
    .pool1d = pool1d<T>,
    .pool1d_backward = pool1d_backward<T>,
    .embedding_forward = embedding_forward<T>,
    .embedding_backward = embedding_backward<T>,
    .find_mask = find_mask<T>,
    .apply_mask = apply_mask<T>,
    .loss = loss<T>,
    .ctc_workspace = ctc_workspace,
    .ctc = ctc<T>,
    .merge = merge<T>,
    .merge_backward = merge_backward<T>,
    .strided_copy = strided_copy<T>,
    .strided_sum = strided_sum<T>,
    .transpose = transpose_matrix<T>,
    .add = add<T>,
    .correct_bias = correct_bias<T>,
    .update = update<T>,
    .regularize = regularize<T>,
    .orthogonality = orthogonality<T>,
    .orthogonality_backward = orthogonality_backward<T>,
    .norms = norms<T>,
    .constrain_norms = constrain_norms<T>,
    .constrain_signs = constrain_signs<T>,
};

}  // namespace

extern const OpKernels<float> RNNCORE_LEVEL_NAME(ops_f32);
const OpKernels<float> RNNCORE_LEVEL_NAME(ops_f32) = op_table<float>;
extern const OpKernels<double> RNNCORE_LEVEL_NAME(ops_f64);
const OpKernels<double> RNNCORE_LEVEL_NAME(ops_f64) = op_table<double>;

}  // namespace rnncore
