// Inputs of equal shapes but for one axis -> one value with the inputs one after another along that axis.
#include "engine/ops/registry.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

size_t concatenated_axis(const Site& site) {
  const int64_t rank = expect_input(site, 0, -2).rank();
  const int64_t axis = site.node.attributes.get("axis", int64_t{-1});
  if (axis == 0 || axis < 1 - rank || axis >= rank)
    fail(site, "axis: expected an axis after the batch of an input of " + std::to_string(rank) + " axes, got " +
                   std::to_string(axis));
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

std::vector<Tensor> infer_concatenate(const Site& site) {
  const size_t axis = concatenated_axis(site);
  expect_slots(site, site.inputs.size(), 0, 0);
  Tensor y = *site.inputs[0];
  if (y.shape.size() > kMaxAxes) fail(site, "expected at most " + std::to_string(kMaxAxes) + " axes");
  y.shape[axis] = 0;
  for (size_t k = 0; k < site.inputs.size(); ++k) {
    const Tensor& x = expect_input(site, k, y.rank());
    Shape expected = y.shape;
    expected[axis] = x.shape[axis];
    expect_shape(site, "input", x.shape, expected);
    y.shape[axis] += x.shape[axis];
  }
  return {y};
}

template <class T>
class ConcatenateOp final : public Op<T> {
 public:
  ConcatenateOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), size_(site.outputs[0]->size()) {
    const size_t axis = concatenated_axis(site);
    const Tensor& y = *site.outputs[0];
    const Shape whole = strides_of(y);
    int64_t place = 0;
    for (const Tensor* x : site.inputs) {
      const Shape part = strides_of(*x);
      first_.push_back(place);
      join_.push_back(strided_copy_of(x->shape, part, whole, y.time_major()));
      split_.push_back(strided_copy_of(x->shape, whole, part, y.time_major()));
      place += x->shape[axis] * whole[axis];
    }
  }

  double flops() const override { return static_cast<double>(size_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override {
    for (size_t k = 0; k < join_.size(); ++k)
      kernels_.strided_copy(join_[k], buffers_.input(k), buffers_.output(0) + first_[k], team);
  }

  void backward(const Step&, const Team& team) override {
    for (size_t k = 0; k < split_.size(); ++k)
      if (T* dx = buffers_.input_gradient(k))
        kernels_.strided_copy(split_[k], buffers_.output_gradient(0) + first_[k], dx, team);
  }

 private:
  const OpKernels<T>& kernels_;
  int64_t size_;
  std::vector<int64_t> first_;  // place of each input's first element in y
  std::vector<StridedCopy> join_, split_;
  Buffers<T> buffers_;
};

}  // namespace

OpType concatenate_op() { return op_row<ConcatenateOp>("concatenate", infer_concatenate); }

}  // namespace rnncore
