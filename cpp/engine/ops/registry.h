// The ops there are, and checks they share.
#pragma once

#include "engine/op.h"

namespace rnncore {

OpType dense_op();
OpType simple_rnn_op();
OpType lstm_op();
OpType gru_op();
OpType embedding_op();
OpType activation_op();
OpType dropout_op();
OpType flatten_op();
OpType merge_op();
OpType concatenate_op();
OpType reshape_op();
OpType repeat_vector_op();
OpType permute_op();
OpType slice_op();
OpType rescale_op();
OpType attention_op();
OpType masking_op();
OpType merge_masks_op();
OpType fold_time_op();
OpType unfold_time_op();
OpType read_state_op();
OpType write_state_op();
OpType noise_op();
OpType batch_normalization_op();
OpType layer_normalization_op();
OpType conv1d_op();
OpType pool1d_op();
OpType global_pool1d_op();

// Errors name the node.
[[noreturn]] void fail(const Site& site, const std::string& message);
// The input of a slot, which must have `rank` axes, or at least −rank when that is negative; of floating point values,
// or of either kind.
const Tensor& expect_input(const Site& site, size_t slot, int64_t rank);
const Tensor& expect_any_input(const Site& site, size_t slot, int64_t rank);
// The most inputs of a node, and how many parameters it has, of which the first `least` must be there.
void expect_slots(const Site& site, size_t most_inputs, size_t least_parameters, size_t most_parameters);
// An integer from `least` to what any memory holds.
int64_t expect_size(const Site& site, const char* attribute, int64_t otherwise, int64_t least);
void expect_shape(const Site& site, const char* name, const Shape& shape, const Shape& expected);
Function activation_of(const Site& site, const char* attribute, const char* otherwise);
// The function an attribute names, with the attributes it takes: negative_slope, max_value, threshold, alpha.
Elementwise elementwise_of(const Site& site, const char* attribute);

}  // namespace rnncore
