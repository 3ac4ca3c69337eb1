// x (N, C) -> y (N, n, C), each row n times.
#include "engine/ops/registry.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_repeat_vector(const Site& site) {
  const Tensor& x = expect_input(site, 0, 2);
  expect_slots(site, 1, 0, 0);
  return {Tensor{{x.samples(), expect_size(site, "n", 0, 1), x.columns()}, false}};
}

template <class T>
class RepeatVectorOp final : public Op<T> {
 public:
  RepeatVectorOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), size_(site.outputs[0]->size()) {
    const Tensor& y = *site.outputs[0];
    const Tensor x{{y.shape[0], 1, y.shape[2]}, false};
    repeat_ = strided_copy_of(y.shape, strides_of(x), strides_of(y), true);
    sum_ = strided_sum_of(y, x.shape, strides_of(x));
  }

  double flops() const override { return static_cast<double>(size_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override {
    kernels_.strided_copy(repeat_, buffers_.input(0), buffers_.output(0), team);
  }
  void backward(const Step&, const Team& team) override {
    if (T* dx = buffers_.input_gradient(0)) kernels_.strided_sum(sum_, buffers_.output_gradient(0), dx, team);
  }

 private:
  const OpKernels<T>& kernels_;
  int64_t size_;
  StridedCopy repeat_;
  StridedSum sum_;
  Buffers<T> buffers_;
};

}  // namespace

OpType repeat_vector_op() { return op_row<RepeatVectorOp>("repeat_vector", infer_repeat_vector); }

}  // namespace rnncore
