// y = x·mask / (1 − rate) in training, y = x otherwise. Backward draws the same mask again. `shared_axes` are axes
// along which it is the same.
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

// Of an input with more than three axes, those after the time go together.
SharedAxes shared_axes_of(const Site& site, const Tensor& x) {
  const int64_t inner = x.time_major() ? 2 : 1;
  int64_t columns = 0;
  SharedAxes shared;
  for (const double axis : site.node.attributes.get("shared_axes", std::vector<double>{})) {
    if (!(axis >= 0 && axis < static_cast<double>(x.rank())))
      fail(site, "shared_axes: expected axes from 0 to " + std::to_string(x.rank() - 1));
    if (axis >= static_cast<double>(inner))
      ++columns;
    else
      (axis > 0 ? shared.steps : shared.samples) = true;
  }
  if (columns != 0 && columns != x.rank() - inner)
    fail(site, "shared_axes: expected all or none of the axes from " + std::to_string(inner) + " on");
  shared.columns = columns > 0;
  return shared;
}

std::vector<Tensor> infer_dropout(const Site& site) {
  const double rate = site.node.attributes.get("rate", 0.0);
  if (!(rate >= 0 && rate < 1)) fail(site, "rate: expected a number from 0 to below 1, got " + std::to_string(rate));
  expect_slots(site, 1, 0, 0);
  const Tensor& x = expect_input(site, 0, -1);
  shared_axes_of(site, x);
  return {x};
}

template <class T>
class DropoutOp final : public Op<T> {
 public:
  DropoutOp(const Site& site, const Kernels& kernels) : kernels_(op_kernels<T>(kernels)), node_(site.index) {
    const Tensor& x = *site.inputs[0];
    seed_ = static_cast<uint64_t>(site.node.attributes.get("seed", int64_t{0}));
    const double rate = site.training ? site.node.attributes.get("rate", 0.0) : 0.0;
    forward_ = {x.samples(), x.steps(), x.width(), rate, shared_axes_of(site, x), nullptr, nullptr};
    backward_ = forward_;
  }

  double flops() const override {
    return 20.0 * static_cast<double>(forward_.samples * forward_.steps * forward_.width);
  }
  Needs needs(int) const override { return {}; }

  void bind(const Buffers<T>& b) override {
    forward_.x = b.input(0), forward_.y = b.output(0);
    backward_.x = b.output_gradient(0), backward_.y = b.input_gradient(0);
  }

  void forward(const Step& step, const Team& team) override { run(forward_, step, team); }
  void backward(const Step& step, const Team& team) override {
    if (backward_.y) run(backward_, step, team);
  }

 private:
  void run(const Dropout<T>& call, const Step& step, const Team& team) const {
    if (call.rate == 0)
      kernels_.activate({}, call.samples * call.steps * call.width, call.x, call.y, team);
    else
      kernels_.dropout(call, {step.seed + seed_, step.number, node_}, team);
  }

  const OpKernels<T>& kernels_;
  uint32_t node_;
  uint64_t seed_;
  Dropout<T> forward_, backward_;
};

}  // namespace

OpType dropout_op() { return op_row<DropoutOp>("dropout", infer_dropout); }

}  // namespace rnncore
