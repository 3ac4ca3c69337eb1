// y = (x - mean) / √(variance + epsilon)·gamma + beta, with mean and variance of each position's own columns.
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_layer_normalization(const Site& site) {
  const Tensor& x = expect_input(site, 0, -2);
  const Attributes& a = site.node.attributes;
  const size_t parameters = size_t{a.get("scale", true)} + size_t{a.get("center", true)};
  expect_slots(site, 1, parameters, parameters);
  for (const Parameter* parameter : site.parameters)
    expect_shape(site, parameter->name.c_str(), parameter->shape, {x.columns()});
  return {x};
}

template <class T>
class LayerNormalizationOp final : public Op<T> {
 public:
  LayerNormalizationOp(const Site& site, const Kernels& kernels) : kernels_(op_kernels<T>(kernels)) {
    LayerNormalization<T>& f = call_.forward;
    f.rows = site.inputs[0]->rows(), f.channels = site.inputs[0]->columns();
    f.epsilon = site.node.attributes.get("epsilon", 1e-3);
    scale_ = site.node.attributes.get("scale", true), center_ = site.node.attributes.get("center", true);
  }

  double flops() const override { return 8.0 * static_cast<double>(call_.forward.rows * call_.forward.channels); }
  Needs needs(int) const override {
    const int64_t sums = column_sums_size(call_.forward.channels) * static_cast<int64_t>(sizeof(double)) /
                         static_cast<int64_t>(sizeof(T));
    return {.saved = 2 * call_.forward.rows, .backward_workspace = sums, .keeps_inputs = true};
  }

  void bind(const Buffers<T>& b) override {
    LayerNormalization<T>& f = call_.forward;
    const size_t beta = scale_ ? 1 : 0;
    f.x = b.input(0), f.y = b.output(0), f.statistics = b.saved;
    f.gamma = scale_ ? b.parameter(0) : nullptr;
    f.beta = center_ ? b.parameter(beta) : nullptr;
    call_.dy = b.output_gradient(0), call_.dx = b.input_gradient(0);
    call_.dgamma = scale_ ? b.parameter_gradient(0) : nullptr;
    call_.dbeta = center_ ? b.parameter_gradient(beta) : nullptr;
    call_.sums = reinterpret_cast<double*>(b.backward_workspace);
  }

  void forward(const Step&, const Team& team) override { kernels_.layer_normalization(call_.forward, team); }
  void backward(const Step&, const Team& team) override { kernels_.layer_normalization_backward(call_, team); }

 private:
  const OpKernels<T>& kernels_;
  LayerNormalizationBackward<T> call_{};
  bool scale_, center_;
};

}  // namespace

OpType layer_normalization_op() {
  return op_row<LayerNormalizationOp>("layer_normalization", infer_layer_normalization);
}

}  // namespace rnncore
