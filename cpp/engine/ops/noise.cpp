// Noise on x in training, y = x otherwise: gaussian_noise adds normal numbers, gaussian_dropout multiplies by normal
// numbers around one, alpha_dropout drops to the floor of selu and keeps mean and variance.
#include "engine/ops/registry.h"

#include <cmath>

namespace rnncore {
namespace {

NoiseKind noise_kind(const Site& site) {
  const std::string kind = site.node.attributes.get("kind", std::string());
  if (kind == "gaussian_noise") return NoiseKind::gaussian_noise;
  if (kind == "gaussian_dropout") return NoiseKind::gaussian_dropout;
  if (kind == "alpha_dropout") return NoiseKind::alpha_dropout;
  fail(site, "kind: expected gaussian_noise, gaussian_dropout or alpha_dropout, got '" + kind + "'");
}

std::vector<Tensor> infer_noise(const Site& site) {
  const double rate = site.node.attributes.get("rate", 0.0), deviation = site.node.attributes.get("stddev", 0.0);
  noise_kind(site);
  if (!(rate >= 0 && rate < 1)) fail(site, "rate: expected a number from 0 to below 1, got " + std::to_string(rate));
  if (!(deviation >= 0)) fail(site, "stddev: expected a number of at least 0, got " + std::to_string(deviation));
  expect_slots(site, 1, 0, 0);
  return {expect_input(site, 0, -1)};
}

template <class T>
class NoiseOp final : public Op<T> {
 public:
  NoiseOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), node_(site.index), training_(site.training) {
    const Tensor& x = *site.inputs[0];
    const Attributes& a = site.node.attributes;
    seed_ = static_cast<uint64_t>(a.get("seed", int64_t{0}));
    const NoiseKind kind = noise_kind(site);
    const double rate = a.get("rate", 0.0);
    const double amount = kind == NoiseKind::gaussian_noise     ? a.get("stddev", 0.0)
                          : kind == NoiseKind::gaussian_dropout ? std::sqrt(rate / (1 - rate))
                                                                : rate;
    forward_ = {kind, false, x.samples(), x.steps(), x.width(), amount, nullptr, nullptr};
    backward_ = forward_;
    backward_.gradient = true;
  }

  double flops() const override {
    return 60.0 * static_cast<double>(forward_.samples * forward_.steps * forward_.width);
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
  void run(const Noise<T>& call, const Step& step, const Team& team) const {
    const bool added = call.gradient && call.kind == NoiseKind::gaussian_noise;
    if (!training_ || call.amount == 0 || added)
      kernels_.activate({}, call.samples * call.steps * call.width, call.x, call.y, team);
    else
      kernels_.noise(call, {step.seed + seed_, step.number, node_}, team);
  }

  const OpKernels<T>& kernels_;
  uint32_t node_;
  bool training_;
  uint64_t seed_;
  Noise<T> forward_, backward_;
};

}  // namespace

OpType noise_op() { return op_row<NoiseOp>("noise", infer_noise); }

}  // namespace rnncore
