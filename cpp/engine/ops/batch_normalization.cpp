// y = (x - mean) / √(variance + epsilon)·gamma + beta for each column. A training step takes mean and variance of the
// batch's real positions and moves the moving ones; otherwise, or with `frozen`, those are taken.
#include "engine/ops/registry.h"
#include "engine/step_mask.h"

namespace rnncore {
namespace {

constexpr size_t kMaskSlot = 1;

// Slots of the parameters; gamma and beta are there as the attributes say.
struct NormalizationSlots {
  bool scale, center;

  explicit NormalizationSlots(const Site& site)
      : scale(site.node.attributes.get("scale", true)), center(site.node.attributes.get("center", true)) {}
  size_t beta() const { return scale; }
  size_t mean() const { return beta() + center; }
  size_t variance() const { return mean() + 1; }
};

std::vector<Tensor> infer_batch_normalization(const Site& site) {
  const Tensor& x = expect_input(site, 0, -2);
  const size_t parameters = NormalizationSlots(site).variance() + 1;
  expect_slots(site, 2, parameters, parameters);
  if (const std::string error = StepMask::error(site, kMaskSlot); !error.empty()) fail(site, error);
  if (site.node.inputs.size() > kMaskSlot && site.node.inputs[kMaskSlot] != kAbsent && x.rank() < 3)
    fail(site, "a mask needs an input (N, T, ..., C), got shape " + to_string(x.shape));
  for (const Parameter* parameter : site.parameters)
    expect_shape(site, parameter->name.c_str(), parameter->shape, {x.columns()});
  return {x};
}

template <class T>
class BatchNormalizationOp final : public Op<T> {
 public:
  BatchNormalizationOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), mask_(site, kMaskSlot), slots_(site) {
    BatchNormalization<T>& f = call_.forward;
    const Tensor& x = *site.inputs[0];
    f.rows = x.rows(), f.channels = x.columns();
    for (size_t a = 2; a + 1 < x.shape.size(); ++a) inner_ *= x.shape[a];
    f.of_batch = site.training && !site.node.attributes.get("frozen", false);
    f.epsilon = site.node.attributes.get("epsilon", 1e-3);
    f.momentum = site.node.attributes.get("momentum", 0.99);
  }

  double flops() const override { return 6.0 * static_cast<double>(call_.forward.rows * call_.forward.channels); }
  Needs needs(int) const override {
    const int64_t sums = column_sums_size(call_.forward.channels) * static_cast<int64_t>(sizeof(double)) /
                         static_cast<int64_t>(sizeof(T));
    return {.saved = mask_.template saved<T>() + spread_size() + 2 * call_.forward.channels,
            .forward_workspace = sums,
            .backward_workspace = sums,
            .keeps_inputs = true};
  }

  void bind(const Buffers<T>& b) override {
    BatchNormalization<T>& f = call_.forward;
    mask_.bind(b, b.saved);
    f.x = b.input(0);
    f.gamma = slots_.scale ? b.parameter(0) : nullptr;
    f.beta = slots_.center ? b.parameter(slots_.beta()) : nullptr;
    f.moving_mean = b.state(slots_.mean()), f.moving_variance = b.state(slots_.variance());
    spread_ = reinterpret_cast<int32_t*>(b.saved + mask_.template saved<T>());
    f.mean = b.saved + mask_.template saved<T>() + spread_size();
    f.factor = f.mean + f.channels;
    f.y = b.output(0);
    forward_sums_ = reinterpret_cast<double*>(b.forward_workspace);
    backward_sums_ = reinterpret_cast<double*>(b.backward_workspace);
    call_.dy = b.output_gradient(0), call_.dx = b.input_gradient(0);
    call_.dgamma = slots_.scale ? b.parameter_gradient(0) : nullptr;
    call_.dbeta = slots_.center ? b.parameter_gradient(slots_.beta()) : nullptr;
    state_gradients_[0] = b.parameter_gradient(slots_.mean());
    state_gradients_[1] = b.parameter_gradient(slots_.variance());
  }

  void forward(const Step& step, const Team& team) override {
    BatchNormalization<T> f = call_.forward;
    f.real = f.of_batch ? spread(mask_.load(step, team), team) : nullptr;
    f.sums = forward_sums_;
    kernels_.batch_normalization(f, team);
  }

  void backward(const Step&, const Team& team) override {
    BatchNormalizationBackward<T> b = call_;
    b.forward.real = !b.forward.of_batch ? nullptr : inner_ > 1 && mask_.loaded() ? spread_ : mask_.loaded();
    b.forward.sums = backward_sums_;
    kernels_.batch_normalization_backward(b, team);
    for (T* gradient : state_gradients_)  // no loss reaches what the step itself writes
      if (gradient && team.thread == 0) std::fill_n(gradient, b.forward.channels, T(0));
  }

 private:
  // Elements of T that a mask of positions (T, N, ...) takes where a step has several.
  int64_t spread_size() const {
    constexpr int64_t size = sizeof(T);
    const int64_t bytes = call_.forward.rows * static_cast<int64_t>(sizeof(int32_t));
    return inner_ > 1 ? ((bytes + size - 1) / size + 15) / 16 * 16 : 0;
  }

  // The mask of steps for each of their positions.
  const int32_t* spread(const int32_t* mask, const Team& team) const {
    if (inner_ == 1 || !mask) return mask;
    const Range rows = team_range(call_.forward.rows, team, 1);
    for (int64_t row = rows.begin; row < rows.end; ++row) spread_[row] = mask[row / inner_];
    team_barrier(team);
    return spread_;
  }

  const OpKernels<T>& kernels_;
  StepMask mask_;
  int64_t inner_ = 1;  // positions of a step
  int32_t* spread_ = nullptr;
  NormalizationSlots slots_;
  BatchNormalizationBackward<T> call_{};
  double *forward_sums_ = nullptr, *backward_sums_ = nullptr;
  T* state_gradients_[2] = {};
};

}  // namespace

OpType batch_normalization_op() {
  return op_row<BatchNormalizationOp>("batch_normalization", infer_batch_normalization, false, 2);
}

}  // namespace rnncore
