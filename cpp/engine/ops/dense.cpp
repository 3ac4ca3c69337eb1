// y = activation(x·kernel + bias) over the last axis.
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_dense(const Site& site) {
  const Tensor& x = expect_input(site, 0, -2);
  expect_slots(site, 1, 1, 2);
  if (site.parameters[0]->shape.size() != 2) fail(site, "dense needs a kernel (I, U)");
  const int64_t units = site.parameters[0]->shape[1];
  expect_shape(site, "kernel", site.parameters[0]->shape, {x.columns(), units});
  if (site.has_parameter(1)) expect_shape(site, "bias", site.parameters[1]->shape, {units});
  Tensor y = x;
  y.shape.back() = units;
  return {y};
}

template <class T>
class DenseOp final : public Op<T> {
 public:
  DenseOp(const Site& site, const Kernels& kernels) : kernels_(op_kernels<T>(kernels)) {
    const Tensor &x = *site.inputs[0], &y = *site.outputs[0];
    softmax_ = site.node.attributes.get("activation", std::string("linear")) == "softmax";
    DenseForward<T>& f = call_.forward;
    f.rows = x.rows();
    f.inputs = x.columns();
    f.units = y.columns();
    if (!softmax_) f.activation = elementwise_of(site, "activation");
    needs_dz_ = softmax_ || f.activation.function != Function::linear;
    keeps_z_ = site.training && needs_input(f.activation.function);
  }

  double flops() const override {
    const auto& f = call_.forward;
    return 2.0 * static_cast<double>(f.rows) * static_cast<double>(f.inputs + 4) * static_cast<double>(f.units);
  }

  Needs needs(int threads) const override {
    const int64_t workspace = kernels_.dense_workspace(threads);
    const int64_t dz = needs_dz_ ? call_.forward.rows * call_.forward.units : 0;
    return {.saved = keeps_z_ ? call_.forward.rows * call_.forward.units : 0,
            .forward_workspace = workspace,
            .backward_workspace = workspace + dz,
            .keeps_inputs = true,
            .keeps_outputs = needs_dz_};
  }

  void bind(const Buffers<T>& b) override {
    DenseForward<T>& f = call_.forward;
    f.x = b.input(0);
    f.kernel = b.parameter(0);
    f.bias = b.parameter(1);
    f.y = b.output(0);
    f.z = keeps_z_ ? b.saved : f.y;
    forward_workspace_ = b.forward_workspace;
    call_.dy = b.output_gradient(0);
    call_.dz = b.backward_workspace;
    backward_workspace_ = b.backward_workspace + (needs_dz_ ? f.rows * f.units : 0);
    call_.dx = b.input_gradient(0);
    call_.dkernel = b.parameter_gradient(0);
    call_.dbias = b.parameter_gradient(1);
  }

  void forward(const Step&, const Team& team) override {
    DenseForward<T> f = call_.forward;
    f.workspace = forward_workspace_;
    kernels_.dense_forward(f, team);
    if (!softmax_) return;
    team_barrier(team);
    kernels_.softmax(f.rows, f.units, f.y, f.y, team);
  }

  void backward(const Step&, const Team& team) override {
    DenseBackward<T> b = call_;
    b.forward.workspace = backward_workspace_;
    if (softmax_) {
      kernels_.softmax_backward(b.forward.rows, b.forward.units, b.forward.y, b.dy, b.dz, team);
      team_barrier(team);
      b.dy = b.dz;
    }
    kernels_.dense_backward(b, team);
  }

 private:
  const OpKernels<T>& kernels_;
  DenseBackward<T> call_{};
  T* forward_workspace_ = nullptr;
  T* backward_workspace_ = nullptr;
  bool softmax_;  // after the linear layer
  bool needs_dz_;
  bool keeps_z_;
};

}  // namespace

OpType dense_op() { return op_row<DenseOp>("dense", infer_dense); }

}  // namespace rnncore
