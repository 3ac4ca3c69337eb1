// x (N, ...) -> y (N, ...) whose axis k is axis dims[k] of x, both counted from 1 after the batch.
#include "engine/ops/registry.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

// For each axis of y the axis of x, the batch's included.
std::vector<size_t> permutation(const Site& site) {
  const std::vector<double> dims = site.node.attributes.get("dims", std::vector<double>{});
  std::vector<size_t> axes{0};
  std::vector<bool> met(dims.size() + 1, false);
  for (const double d : dims) {
    if (!(d >= 1 && d <= static_cast<double>(dims.size())) || met[static_cast<size_t>(d)])
      fail(site, "dims: expected each of 1 to " + std::to_string(dims.size()) + " once");
    axes.push_back(static_cast<size_t>(d));
    met[axes.back()] = true;
  }
  return axes;
}

std::vector<Tensor> infer_permute(const Site& site) {
  const std::vector<size_t> axes = permutation(site);
  const Tensor& x = expect_input(site, 0, static_cast<int64_t>(axes.size()));
  expect_slots(site, 1, 0, 0);
  if (axes.size() > kMaxAxes) fail(site, "expected at most " + std::to_string(kMaxAxes) + " axes");
  Tensor y = x;
  for (size_t a = 0; a < axes.size(); ++a) y.shape[a] = x.shape[axes[a]];
  return {y};
}

template <class T>
class PermuteOp final : public Op<T> {
 public:
  PermuteOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), size_(site.outputs[0]->size()) {
    const Tensor& y = *site.outputs[0];
    const std::vector<size_t> axes = permutation(site);
    const Shape of_x = strides_of(*site.inputs[0]), to = strides_of(y);
    Shape from(axes.size());
    for (size_t a = 0; a < axes.size(); ++a) from[a] = of_x[axes[a]];
    there_ = strided_copy_of(y.shape, from, to, y.time_major());
    back_ = strided_copy_of(y.shape, to, from, y.time_major());
  }

  double flops() const override { return static_cast<double>(size_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override {
    kernels_.strided_copy(there_, buffers_.input(0), buffers_.output(0), team);
  }
  void backward(const Step&, const Team& team) override {
    if (T* dx = buffers_.input_gradient(0)) kernels_.strided_copy(back_, buffers_.output_gradient(0), dx, team);
  }

 private:
  const OpKernels<T>& kernels_;
  int64_t size_;
  StridedCopy there_, back_;
  Buffers<T> buffers_;
};

}  // namespace

OpType permute_op() { return op_row<PermuteOp>("permute", infer_permute); }

}  // namespace rnncore
