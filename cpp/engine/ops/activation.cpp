// y = function(x); softmax over the last axis.
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_activation(const Site& site) {
  expect_slots(site, 1, 0, 0);
  return {expect_input(site, 0, -1)};
}

template <class T>
class ActivationOp final : public Op<T> {
 public:
  ActivationOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), rows_(site.inputs[0]->rows()), columns_(site.inputs[0]->columns()) {
    softmax_ = site.node.attributes.get("function", std::string("linear")) == "softmax";
    if (!softmax_) function_ = elementwise_of(site, "function");
  }

  double flops() const override { return 20.0 * static_cast<double>(rows_ * columns_); }
  Needs needs(int) const override { return {.keeps_inputs = needs_input(function_.function), .keeps_outputs = true}; }

  void bind(const Buffers<T>& b) override {
    x_ = b.input(0), y_ = b.output(0), dy_ = b.output_gradient(0), dx_ = b.input_gradient(0);
  }

  void forward(const Step&, const Team& team) override {
    if (softmax_)
      kernels_.softmax(rows_, columns_, x_, y_, team);
    else
      kernels_.activate(function_, rows_ * columns_, x_, y_, team);
  }

  void backward(const Step&, const Team& team) override {
    if (!dx_) return;
    if (softmax_)
      kernels_.softmax_backward(rows_, columns_, y_, dy_, dx_, team);
    else
      kernels_.activate_backward(function_, rows_ * columns_, x_, y_, dy_, dx_, team);
  }

 private:
  const OpKernels<T>& kernels_;
  int64_t rows_, columns_;
  bool softmax_;
  Elementwise function_;
  const T* x_ = nullptr;
  T* y_ = nullptr;
  const T* dy_ = nullptr;
  T* dx_ = nullptr;
};

}  // namespace

OpType activation_op() { return op_row<ActivationOp>("activation", infer_activation); }

}  // namespace rnncore
