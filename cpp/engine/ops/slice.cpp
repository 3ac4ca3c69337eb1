// y = x[:, starts:stops:steps, ...] by Python's rules, an entry for each axis after the batch; axes that drop, of one
// element, are left out. Where the time axis stays, the second output is the mask of its steps.
#include <algorithm>
#include <cmath>

#include "engine/copy.h"
#include "engine/ops/registry.h"
#include "engine/step_mask.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

constexpr size_t kMask = 1, kOutputMask = 1;

// What stays of one axis.
struct Cut {
  int64_t start, step, size;
  bool drops;
};

std::vector<int64_t> numbers(const Site& site, const char* name, size_t count) {
  const std::vector<double> given = site.node.attributes.get(name, std::vector<double>{});
  std::vector<int64_t> found;
  for (const double value : given) {
    if (!(std::fabs(value) <= 4294967296.0) || value != std::floor(value))
      fail(site, std::string(name) + ": expected whole numbers of at most 2^32");
    found.push_back(static_cast<int64_t>(value));
  }
  if (found.size() != count) fail(site, std::string(name) + ": expected an entry for each axis after the batch");
  return found;
}

std::vector<Cut> cuts_of(const Site& site) {
  const Tensor& x = expect_input(site, 0, -2);
  expect_slots(site, 2, 0, 0);
  if (x.shape.size() > kMaxAxes) fail(site, "expected at most " + std::to_string(kMaxAxes) + " axes");
  const size_t count = x.shape.size() - 1;
  const std::vector<int64_t> starts = numbers(site, "starts", count), stops = numbers(site, "stops", count),
                             steps = numbers(site, "steps", count), drops = numbers(site, "drops", count);
  std::vector<Cut> cuts{{0, 1, x.samples(), false}};
  for (size_t a = 0; a < count; ++a) {
    const int64_t size = x.shape[a + 1], step = steps[a];
    if (step == 0) fail(site, "steps: expected none to be 0");
    // The first and the last place that an index may mean, from either side.
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    const auto place = [&](int64_t index) { return std::clamp(index < 0 ? index + size : index, low, high); };
    const int64_t start = place(starts[a]), stop = place(stops[a]);
    const int64_t kept = step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
    if (kept < 1)
      fail(site, "nothing is left of axis " + std::to_string(a + 1) + ", of size " + std::to_string(size) + ", from " +
                     std::to_string(starts[a]) + " to " + std::to_string(stops[a]));
    if (drops[a] && kept != 1) fail(site, "drops: expected axes of one element");
    cuts.push_back({start, step, kept, drops[a] != 0});
  }
  return cuts;
}

std::vector<Tensor> infer_slice(const Site& site) {
  const std::vector<Cut> cuts = cuts_of(site);
  Tensor y;
  for (const Cut& cut : cuts)
    if (!cut.drops) y.shape.push_back(cut.size);
  if (y.rank() < 2) fail(site, "expected at least one axis after the batch to stay");
  const bool keeps_time = cuts.size() > 2 && !cuts[1].drops;
  if (!keeps_time) {
    if (site.has_input(kMask) || (site.node.outputs.size() > kOutputMask && site.node.outputs[kOutputMask] != kAbsent))
      fail(site, "expected no mask where no time axis stays");
    return {y};
  }
  if (const std::string error = StepMask::error(site, kMask); !error.empty()) fail(site, error);
  return {y, Tensor{{y.samples(), cuts[1].size}, true}};
}

template <class T>
class SliceOp final : public Op<T> {
 public:
  SliceOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), x_(*site.inputs[0]), mask_(site, kMask) {
    const std::vector<Cut> cuts = cuts_of(site);
    const Shape of_x = strides_of(x_);
    Tensor y;
    Shape from;
    for (size_t a = 0; a < cuts.size(); ++a) {
      first_ += cuts[a].start * of_x[a];
      if (cuts[a].drops) continue;
      y.shape.push_back(cuts[a].size);
      from.push_back(cuts[a].size == 1 ? 0 : cuts[a].step * of_x[a]);
    }
    const Shape to = strides_of(y);
    take_ = strided_copy_of(y.shape, from, to, y.time_major());
    put_ = strided_copy_of(y.shape, to, from, y.time_major());
    size_ = y.size();
    if (cuts.size() > 2) time_ = cuts[1];
  }

  double flops() const override { return static_cast<double>(size_); }
  Needs needs(int) const override { return {.saved = mask_.template saved<T>()}; }
  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    mask_.bind(b, b.saved);
    marks_ = reinterpret_cast<int32_t*>(b.output(kOutputMask));
  }

  void forward(const Step& step, const Team& team) override {
    if (T* y = buffers_.output(0)) kernels_.strided_copy(take_, buffers_.input(0) + first_, y, team);
    if (!marks_) return;
    const int32_t* real = mask_.load(step, team);
    const Range rows = team_range(x_.samples(), team, 1);
    for (int64_t t = 0; t < time_.size; ++t)
      for (int64_t n = rows.begin; n < rows.end; ++n)
        marks_[t * x_.samples() + n] = !real || real[(time_.start + t * time_.step) * x_.samples() + n] != 0;
  }

  void backward(const Step&, const Team& team) override {
    T* dx = buffers_.input_gradient(0);
    if (!dx) return;
    zero(x_.size(), dx, team);
    team_barrier(team);
    if (const T* dy = buffers_.output_gradient(0)) kernels_.strided_copy(put_, dy, dx + first_, team);
  }

 private:
  const OpKernels<T>& kernels_;
  Tensor x_;
  StepMask mask_;
  StridedCopy take_, put_;
  int64_t first_ = 0;  // of the elements of x that stay
  int64_t size_;
  Cut time_{};
  Buffers<T> buffers_;
  int32_t* marks_ = nullptr;  // (T', N): the mask of y
};

}  // namespace

OpType slice_op() { return op_row<SliceOp>("slice", infer_slice); }

}  // namespace rnncore
