// y = each step of x `size` times. The second output is the mask of the steps of y that its rows have.
#include "engine/ops/registry.h"
#include "engine/step_mask.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

constexpr size_t kUpsampledMask = 1, kUpsampledOutputMask = 1;

std::vector<Tensor> infer_upsampling1d(const Site& site) {
  const Tensor& x = expect_input(site, 0, 3);
  expect_slots(site, 2, 0, 0);
  if (const std::string error = StepMask::error(site, kUpsampledMask); !error.empty()) fail(site, error);
  const int64_t size = expect_size(site, "size", 0, 1);
  if (x.steps() > kMostElements / size) fail(site, "more steps than any memory holds");
  return {Tensor{{x.samples(), x.steps() * size, x.columns()}, false}, Tensor{{x.samples(), x.steps() * size}, true}};
}

template <class T>
class Upsampling1DOp final : public Op<T> {
 public:
  Upsampling1DOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), x_(*site.inputs[0]), mask_(site, kUpsampledMask) {
    times_ = expect_size(site, "size", 0, 1);
    const int64_t row = x_.samples() * x_.columns();  // of one step
    // As (T, size, N·C), in memory (T·size, N, C).
    repeat_.axes = 3;
    repeat_.axis[0] = {x_.steps(), row, row * times_};
    repeat_.axis[1] = {times_, 0, row};
    repeat_.axis[2] = {row, 1, 1};
    sum_.kept_axes = 2, sum_.summed_axes = 1;
    sum_.kept[0] = {x_.steps(), row * times_, row};
    sum_.kept[1] = {row, 1, 1};
    sum_.summed[0] = {times_, row, 0};
  }

  double flops() const override { return static_cast<double>(x_.size() * times_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    mask_.bind(b, b.saved);
    marks_ = reinterpret_cast<int32_t*>(b.output(kUpsampledOutputMask));
  }

  void forward(const Step& step, const Team& team) override {
    if (T* y = buffers_.output(0)) kernels_.strided_copy(repeat_, buffers_.input(0), y, team);
    if (!marks_) return;
    mask_.each_row(step, team, [&](int64_t n, int64_t length) {
      for (int64_t t = 0; t < x_.steps() * times_; ++t) marks_[t * x_.samples() + n] = t < length * times_;
    });
  }
  void backward(const Step&, const Team& team) override {
    if (T* dx = buffers_.input_gradient(0)) kernels_.strided_sum(sum_, buffers_.output_gradient(0), dx, team);
  }

 private:
  const OpKernels<T>& kernels_;
  Tensor x_;
  StepMask mask_;
  int64_t times_;
  StridedCopy repeat_{};
  StridedSum sum_{};
  Buffers<T> buffers_;
  int32_t* marks_ = nullptr;  // (T·size, N): the mask of y
};

}  // namespace

OpType upsampling1d_op() { return op_row<Upsampling1DOp>("upsampling1d", infer_upsampling1d); }

}  // namespace rnncore
