// The ops there are, and checks they share. A new op is one file here and one row below.
#pragma once

#include "engine/op.h"

namespace rnncore {

// Each but the recurrent ones is a function in the file of its name.
// clang-format off
#define RNNCORE_OPS(X) \
  X(dense) X(embedding) X(activation) X(dropout) X(flatten) X(merge) X(concatenate) X(reshape) X(repeat_vector) \
  X(permute) X(slice) X(rescale) X(attention) X(masking) X(merge_masks) X(fold_time) X(unfold_time) X(read_state) \
  X(write_state) X(repeat_row) X(noise) X(batch_normalization) X(layer_normalization) X(conv1d) X(pool1d) \
  X(global_pool1d) X(pad1d) X(upsampling1d) X(elementwise) X(softmax) X(crf) X(own_code)
// clang-format on

#define X(name) OpType name##_op();
RNNCORE_OPS(X)
#undef X
OpType recurrent_op(const CellFacts& cell);

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
// The function that an attribute names, with its options; not softmax.
Elementwise elementwise_of(const Site& site, const char* attribute, const char* otherwise = "linear");

}  // namespace rnncore
