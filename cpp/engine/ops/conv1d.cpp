// y = activation(x * kernel + bias), a convolution over time; steps that are not real count as zeros.
#include "engine/window.h"

namespace rnncore {
namespace {

Window conv_window(const Site& site) {
  expect_slots(site, 2, 1, 2);
  if (site.parameters[0]->shape.size() != 3) fail(site, "conv1d needs a kernel (K, I, U)");
  return window_of(site, site.parameters[0]->shape[0], expect_size(site, "strides", 1, 1),
                   expect_size(site, "dilation_rate", 1, 1));
}

std::vector<Tensor> infer_conv1d(const Site& site) {
  const Window w = conv_window(site);
  const Shape& kernel = site.parameters[0]->shape;
  expect_shape(site, "kernel", kernel, {w.size, site.inputs[0]->columns(), kernel[2]});
  if (site.has_parameter(1)) expect_shape(site, "bias", site.parameters[1]->shape, {kernel[2]});
  return window_outputs(site, w, kernel[2]);
}

template <class T>
class Conv1DOp final : public Op<T> {
 public:
  Conv1DOp(const Site& site, const Kernels& kernels) : kernels_(op_kernels<T>(kernels)), mask_(site, kWindowMask) {
    Conv1D<T>& c = call_.forward;
    c.window = conv_window(site);
    c.inputs = site.parameters[0]->shape[1], c.units = site.parameters[0]->shape[2];
    valid_ = site.node.attributes.get("padding", std::string("valid")) == "valid";
    softmax_ = site.node.attributes.get("activation", std::string("linear")) == "softmax";
    if (!softmax_) c.activation = elementwise_of(site, "activation");
    needs_dz_ = softmax_ || c.activation.function != Function::linear;
    keeps_z_ = site.training && needs_input(c.activation.function);
    has_sequence_ = site.has_output(0);
  }

  double flops() const override {
    const Conv1D<T>& c = call_.forward;
    return 2.0 * static_cast<double>(rows() * c.units) * static_cast<double>(c.window.size * c.inputs + 4);
  }

  Needs needs(int threads) const override {
    const Conv1D<T>& c = call_.forward;
    const int64_t workspace = kernels_.conv1d_workspace(c.window.size, c.inputs, threads);
    return {.saved = mask_.template saved<T>() + (keeps_z_ ? rows() * c.units : 0),
            .forward_workspace = workspace,
            .backward_workspace = workspace + dz_size(),
            .keeps_inputs = true,
            .keeps_outputs = needs_dz_};
  }

  void bind(const Buffers<T>& b) override {
    Conv1D<T>& c = call_.forward;
    mask_.bind(b, b.saved);
    c.x = b.input(0);
    c.kernel = b.parameter(0), c.bias = b.parameter(1);
    c.y = b.output(0);
    c.z = keeps_z_ ? b.saved + mask_.template saved<T>() : c.y;
    marks_ = reinterpret_cast<int32_t*>(b.output(kWindowOutputMask));
    forward_workspace_ = b.forward_workspace;
    call_.dy = b.output_gradient(0);
    call_.dz = b.backward_workspace;
    backward_workspace_ = b.backward_workspace + dz_size();
    call_.dx = b.input_gradient(0);
    call_.dkernel = b.parameter_gradient(0), call_.dbias = b.parameter_gradient(1);
  }

  void forward(const Step& step, const Team& team) override {
    Conv1D<T> c = call_.forward;
    c.workspace = forward_workspace_;
    if (marks_) mark_windows(c.window, valid_, mask_, step, team, marks_);
    c.real = mask_.load(step, team);
    if (!has_sequence_) return;
    kernels_.conv1d(c, team);
    if (!softmax_) return;
    team_barrier(team);
    kernels_.softmax(rows(), c.units, c.y, c.y, team);
  }

  void backward(const Step&, const Team& team) override {
    Conv1DBackward<T> b = call_;
    b.forward.workspace = backward_workspace_;
    b.forward.real = mask_.loaded();
    if (softmax_) {
      kernels_.softmax_backward(rows(), b.forward.units, b.forward.y, b.dy, b.dz, team);
      team_barrier(team);
      b.dy = b.dz;
    }
    kernels_.conv1d_backward(b, team);
  }

 private:
  int64_t rows() const { return call_.forward.window.out_steps * call_.forward.window.samples; }
  int64_t dz_size() const { return needs_dz_ ? (rows() * call_.forward.units + 15) / 16 * 16 : 0; }

  const OpKernels<T>& kernels_;
  StepMask mask_;
  Conv1DBackward<T> call_{};
  T* forward_workspace_ = nullptr;
  T* backward_workspace_ = nullptr;
  int32_t* marks_ = nullptr;  // (T', N): the mask of y
  bool valid_;
  bool softmax_;  // after the linear layer
  bool needs_dz_;
  bool keeps_z_;
  bool has_sequence_;
};

}  // namespace

OpType conv1d_op() { return op_row<Conv1DOp>("conv1d", infer_conv1d); }

}  // namespace rnncore
