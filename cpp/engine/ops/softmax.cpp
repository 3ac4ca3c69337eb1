// y = the softmax of x over one axis after the batch; over the time axis, steps that are not valid get zeros. (Over the
// last axis `activation` has it, without copies.)
#include <cmath>
#include <limits>

#include "core/team.h"
#include "engine/ops/registry.h"
#include "engine/step_mask.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

constexpr size_t kSoftmaxMask = 1;

size_t softmax_axis(const Site& site) {
  const Tensor& x = expect_input(site, 0, -2);
  const double axis = site.node.attributes.get("axis", 0.0);
  if (!(axis >= 1 && axis < static_cast<double>(x.shape.size())) || axis != std::floor(axis))
    fail(site, "axis: expected one after the batch");
  return static_cast<size_t>(axis);
}

std::vector<Tensor> infer_softmax(const Site& site) {
  const Tensor& x = expect_input(site, 0, -2);
  expect_slots(site, 2, 0, 0);
  if (x.shape.size() > kMaxAxes) fail(site, "expected at most " + std::to_string(kMaxAxes) + " axes");
  const bool over_time = softmax_axis(site) == 1 && x.shape.size() > 2;
  if (site.has_input(kSoftmaxMask) && !over_time) fail(site, "expected a mask over the time axis only");
  if (const std::string error = StepMask::error(site, kSoftmaxMask); !error.empty()) fail(site, error);
  return {x};
}

template <class T>
class SoftmaxOp final : public Op<T> {
 public:
  SoftmaxOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), x_(*site.inputs[0]), mask_(site, kSoftmaxMask) {
    const size_t axis = softmax_axis(site), rank = x_.shape.size();
    size_ = x_.size(), classes_ = x_.shape[axis];
    Shape moved(rank, 0);  // where the axis is the last one
    int64_t stride = classes_;
    for (size_t a = rank; a-- > 0;)
      if (a != axis) moved[a] = stride, stride *= x_.shape[a];
    moved[axis] = 1;
    there_ = strided_copy_of(x_.shape, strides_of(x_), moved, x_.time_major());
    back_ = strided_copy_of(x_.shape, moved, strides_of(x_), x_.time_major());
  }

  double flops() const override { return 20.0 * static_cast<double>(size_); }
  Needs needs(int) const override { return {.saved = mask_.template saved<T>() + size_, .backward_workspace = size_}; }
  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    mask_.bind(b, b.saved);
    moved_ = b.saved + mask_.template saved<T>();
  }

  void forward(const Step& step, const Team& team) override {
    kernels_.strided_copy(there_, buffers_.input(0), moved_, team);
    const int32_t* real = mask_.load(step, team);
    team_barrier(team);
    if (real) fill_masked(real, -std::numeric_limits<T>::infinity(), team);
    kernels_.softmax(size_ / classes_, classes_, moved_, moved_, team);
    team_barrier(team);
    if (real) fill_masked(real, T(0), team);  // a row without valid steps has no softmax
    kernels_.strided_copy(back_, moved_, buffers_.output(0), team);
  }

  void backward(const Step&, const Team& team) override {
    T* dx = buffers_.input_gradient(0);
    if (!dx) return;
    T* moved = buffers_.backward_workspace;
    kernels_.strided_copy(there_, buffers_.output_gradient(0), moved, team);
    team_barrier(team);
    kernels_.softmax_backward(size_ / classes_, classes_, moved_, moved, moved, team);
    team_barrier(team);
    kernels_.strided_copy(back_, moved, dx, team);
  }

 private:
  void fill_masked(const int32_t* real, T value, const Team& team) {
    const int64_t inner = size_ / std::max<int64_t>(x_.samples() * classes_, 1);
    const Range rows = team_range(x_.samples(), team, 1);
    for (int64_t n = rows.begin; n < rows.end; ++n)
      for (int64_t t = 0; t < classes_; ++t)
        for (int64_t i = 0; !real[t * x_.samples() + n] && i < inner; ++i)
          moved_[(n * inner + i) * classes_ + t] = value;
    team_barrier(team);
  }

  const OpKernels<T>& kernels_;
  Tensor x_;
  StepMask mask_;
  int64_t size_ = 0, classes_ = 0;
  StridedCopy there_, back_;
  Buffers<T> buffers_;
  T* moved_ = nullptr;  // (N, ..., classes): x, then y
};

}  // namespace

OpType softmax_op() { return op_row<SoftmaxOp>("softmax", infer_softmax); }

}  // namespace rnncore
