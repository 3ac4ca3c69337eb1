// Copies and sums between stored values, described by batch-first axes.
#pragma once

#include <algorithm>

#include "core/ops.h"
#include "engine/tensor.h"

namespace rnncore {

// Distance of neighbours along each batch-first axis of a stored value; 0 along an axis of size 1.
inline Shape strides_of(const Tensor& tensor) {
  const size_t rank = tensor.shape.size();
  Shape strides(rank, 0);
  int64_t stride = 1;
  const size_t inner = tensor.time_major() ? 2 : 1;
  for (size_t a = rank; a-- > inner;) strides[a] = stride, stride *= tensor.shape[a];
  strides[0] = stride;
  if (tensor.time_major()) strides[1] = stride * tensor.shape[0];
  for (size_t a = 0; a < rank; ++a)
    if (tensor.shape[a] == 1) strides[a] = 0;
  return strides;
}

// A copy between arrays with these sizes and strides (batch-first), along the time first if `time_major`.
inline StridedCopy strided_copy_of(const Shape& sizes, const Shape& from, const Shape& to, bool time_major) {
  StridedCopy copy{};
  const auto push = [&](size_t a) {
    if (sizes[a] == 1 && copy.axes > 0) return;
    const StridedAxis axis{sizes[a], from[a], to[a]};
    StridedAxis& last = copy.axis[copy.axes > 0 ? copy.axes - 1 : 0];
    if (copy.axes > 0 && last.from == axis.from * axis.size && last.to == axis.to * axis.size)
      last = {last.size * axis.size, axis.from, axis.to};
    else
      copy.axis[copy.axes++] = axis;
  };
  if (time_major) push(1);
  push(0);
  for (size_t a = time_major ? 2 : 1; a < sizes.size(); ++a) push(a);
  return copy;
}

// Sums an array of `from`'s sizes into one of `to`, whose axes have the same size or size 1, and these strides.
inline StridedSum strided_sum_of(const Tensor& from, const Shape& to, const Shape& targets) {
  const Shape sources = strides_of(from);
  StridedSum sum{};
  const auto push = [&](size_t a) {
    if (to[a] == from.shape[a])
      sum.kept[sum.kept_axes++] = {from.shape[a], sources[a], targets[a]};
    else
      sum.summed[sum.summed_axes++] = {from.shape[a], sources[a], 0};
  };
  if (from.time_major()) push(1);
  push(0);
  for (size_t a = from.time_major() ? 2 : 1; a < from.shape.size(); ++a) push(a);
  return sum;
}

}  // namespace rnncore
