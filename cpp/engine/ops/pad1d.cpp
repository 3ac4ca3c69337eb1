// y = x with steps put before and after each row, zeros or its own steps reflected; or taken away, where their number
// is negative. The second output is the mask of the steps of y that its rows have.
#include <algorithm>
#include <cmath>

#include "core/team.h"
#include "engine/ops/registry.h"
#include "engine/step_mask.h"

namespace rnncore {
namespace {

constexpr size_t kPadMask = 1, kPadOutputMask = 1;

struct Padding1D {
  int64_t before, after;
  bool reflects;
};

int64_t pad_steps(const Site& site, const char* name) {
  const double value = site.node.attributes.get(name, 0.0);
  if (!(std::fabs(value) <= 4294967296.0) || value != std::floor(value))
    fail(site, std::string(name) + ": expected a whole number of at most 2^32");
  return static_cast<int64_t>(value);
}

Padding1D padding_of(const Site& site) {
  const std::string mode = site.node.attributes.get("mode", std::string("zero"));
  if (mode != "zero" && mode != "reflect") fail(site, "mode: expected zero or reflect, got '" + mode + "'");
  return {pad_steps(site, "before"), pad_steps(site, "after"), mode == "reflect"};
}

std::vector<Tensor> infer_pad1d(const Site& site) {
  const Tensor& x = expect_input(site, 0, -3);
  expect_slots(site, 2, 0, 0);
  if (const std::string error = StepMask::error(site, kPadMask); !error.empty()) fail(site, error);
  const Padding1D p = padding_of(site);
  Tensor y = x;
  y.shape[1] = x.steps() + p.before + p.after;
  if (y.shape[1] < 1)
    fail(site, "nothing is left of " + std::to_string(x.steps()) + " steps with " + std::to_string(p.before) + " and " +
                   std::to_string(p.after) + " more");
  if (const int64_t most = std::max(p.before, p.after); p.reflects && most >= x.steps())
    fail(site,
         "expected more than " + std::to_string(most) + " time steps to reflect, got " + std::to_string(x.steps()));
  return {y, Tensor{{x.samples(), y.shape[1]}, true}};
}

template <class T>
class Pad1DOp final : public Op<T> {
 public:
  Pad1DOp(const Site& site, const Kernels&)
      : x_(*site.inputs[0]),
        out_steps_(x_.steps() + padding_of(site).before + padding_of(site).after),
        inner_(x_.size() / std::max<int64_t>(x_.samples() * x_.steps(), 1)),
        padding_(padding_of(site)),
        mask_(site, kPadMask) {}

  double flops() const override { return static_cast<double>(x_.size()); }
  Needs needs(int) const override { return {.saved = x_.samples()}; }
  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    lengths_ = reinterpret_cast<int32_t*>(b.saved);
    mask_.bind(b, b.saved);
    marks_ = reinterpret_cast<int32_t*>(b.output(kPadOutputMask));
  }

  void forward(const Step& step, const Team& team) override {
    T* y = buffers_.output(0);
    const T* x = buffers_.input(0);
    mask_.each_row(step, team, [&](int64_t n, int64_t length) {
      lengths_[n] = static_cast<int32_t>(length);
      for (int64_t t = 0; marks_ && t < out_steps_; ++t)
        marks_[t * x_.samples() + n] = t < length + padding_.before + padding_.after;
      for (int64_t t = 0; y && t < out_steps_; ++t) {
        T* to = y + (t * x_.samples() + n) * inner_;
        const int64_t source = source_of(t, length);
        if (source < 0)
          std::fill_n(to, inner_, T(0));
        else
          std::copy_n(x + (source * x_.samples() + n) * inner_, inner_, to);
      }
    });
  }

  void backward(const Step&, const Team& team) override {
    T* dx = buffers_.input_gradient(0);
    if (!dx) return;
    const T* dy = buffers_.output_gradient(0);
    const Range rows = team_range(x_.samples(), team, 1);
    for (int64_t n = rows.begin; n < rows.end; ++n) {
      const int64_t length = lengths_[n];
      for (int64_t t = 0; t < x_.steps(); ++t) std::fill_n(dx + (t * x_.samples() + n) * inner_, inner_, T(0));
      for (int64_t t = 0; dy && t < out_steps_; ++t) {
        const int64_t source = source_of(t, length);
        if (source < 0) continue;
        T* to = dx + (source * x_.samples() + n) * inner_;
        const T* from = dy + (t * x_.samples() + n) * inner_;
        for (int64_t i = 0; i < inner_; ++i) to[i] += from[i];
      }
    }
  }

 private:
  // The step of a row that a step of y is; -1: zeros.
  int64_t source_of(int64_t t, int64_t length) const {
    const int64_t place = t - padding_.before;
    if (length == 0 || t >= length + padding_.before + padding_.after) return -1;
    if (place >= 0 && place < length) return place;
    if (!padding_.reflects) return -1;
    if (length == 1) return 0;
    const int64_t period = 2 * (length - 1), folded = (place % period + period) % period;
    return std::min(folded, period - folded);
  }

  Tensor x_;
  int64_t out_steps_, inner_;
  Padding1D padding_;
  StepMask mask_;
  Buffers<T> buffers_;
  int32_t* lengths_ = nullptr;  // (N,): the valid steps of x
  int32_t* marks_ = nullptr;    // (T', N): the mask of y
};

}  // namespace

OpType pad1d_op() { return op_row<Pad1DOp>("pad1d", infer_pad1d); }

}  // namespace rnncore
