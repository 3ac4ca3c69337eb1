// fold_time: x (N, T, ...) -> y (T·N, ...), each step a sample, all samples of a step together.
// unfold_time: y (T·N, ...), and a value (N, T, ...) that tells N and T -> x (N, T, ...).
#include "engine/copy.h"
#include "engine/ops/registry.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

void check_fold(const Site& site, const Tensor& x) {
  expect_slots(site, site.node.op == "fold_time" ? 1 : 2, 0, 0);
  if (x.shape.size() > kMaxAxes) fail(site, "expected at most " + std::to_string(kMaxAxes) + " axes");
}

std::vector<Tensor> infer_fold(const Site& site) {
  const Tensor& x = expect_input(site, 0, -3);
  check_fold(site, x);
  Tensor y = x;
  y.shape.erase(y.shape.begin());
  y.shape[0] = x.shape[0] * x.shape[1];
  return {y};
}

std::vector<Tensor> infer_unfold(const Site& site) {
  const Tensor& y = expect_input(site, 0, -2);
  const Tensor& like = expect_any_input(site, 1, -2);
  check_fold(site, y);
  if (y.shape[0] != like.shape[0] * like.shape[1])
    fail(site, "shapes " + to_string(y.shape) + " and " + to_string(like.shape) + " do not fit");
  Tensor x{{like.shape[0], like.shape[1]}, false};
  x.shape.insert(x.shape.end(), y.shape.begin() + 1, y.shape.end());
  return {x};
}

// A copy from x (N, T, ...) to y (T·N, ...), or from y to x.
StridedCopy fold_copy(const Tensor& x, const Tensor& y, bool to_y) {
  const Shape of_x = strides_of(x);
  Shape of_y = strides_of(y);
  of_y.insert(of_y.begin() + 1, of_y[0] * x.shape[0]);
  return to_y ? strided_copy_of(x.shape, of_x, of_y, true) : strided_copy_of(x.shape, of_y, of_x, true);
}

template <class T>
class FoldTimeOp final : public Op<T> {
 public:
  FoldTimeOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), size_(site.outputs[0]->size()) {
    const bool folds = site.node.op == "fold_time";
    const Tensor &x = folds ? *site.inputs[0] : *site.outputs[0], &y = folds ? *site.outputs[0] : *site.inputs[0];
    there_ = fold_copy(x, y, folds);
    back_ = fold_copy(x, y, !folds);
    second_size_ = folds ? 0 : site.inputs[1]->size();
  }

  double flops() const override { return static_cast<double>(size_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override {
    kernels_.strided_copy(there_, buffers_.input(0), buffers_.output(0), team);
  }
  void backward(const Step&, const Team& team) override {
    if (T* dx = buffers_.input_gradient(0)) kernels_.strided_copy(back_, buffers_.output_gradient(0), dx, team);
    // Only the sizes of the second input matter.
    if (T* nothing = buffers_.input_gradient(1)) zero(second_size_, nothing, team);
  }

 private:
  const OpKernels<T>& kernels_;
  int64_t size_, second_size_;
  StridedCopy there_, back_;
  Buffers<T> buffers_;
};

}  // namespace

OpType fold_time_op() { return op_row<FoldTimeOp>("fold_time", infer_fold); }
OpType unfold_time_op() { return op_row<FoldTimeOp>("unfold_time", infer_unfold); }

}  // namespace rnncore
