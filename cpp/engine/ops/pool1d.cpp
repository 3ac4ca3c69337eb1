// The largest or the mean of the real steps of each window; without a size one window of all steps, and no time axis.
#include "engine/window.h"

namespace rnncore {
namespace {

bool is_global(const Site& site) { return site.node.op == "global_pool1d"; }

Window pool_window(const Site& site) {
  if (is_global(site)) {
    const Tensor& x = expect_input(site, 0, 3);
    return {x.samples(), x.steps(), 1, x.steps(), 1, 1, 0};
  }
  const int64_t size = expect_size(site, "pool_size", 2, 1);
  Window w = window_of(site, size, expect_size(site, "strides", size, 1), 1);
  // Without the places that see no step in any window, of which there may be many.
  const int64_t first = std::max<int64_t>(w.before - (w.out_steps - 1) * w.stride, 0);
  w.size = std::min(w.size, w.before + w.steps) - first;
  w.before -= first;
  return w;
}

std::vector<Tensor> infer_pool1d(const Site& site) {
  expect_slots(site, 2, 0, 0);
  const Window w = pool_window(site);
  std::vector<Tensor> outputs = window_outputs(site, w, site.inputs[0]->columns());
  if (is_global(site)) outputs = {Tensor{{w.samples, site.inputs[0]->columns()}, false}};
  return outputs;
}

template <class T>
class Pool1DOp final : public Op<T> {
 public:
  Pool1DOp(const Site& site, const Kernels& kernels) : kernels_(op_kernels<T>(kernels)), mask_(site, kWindowMask) {
    call_.window = pool_window(site);
    call_.channels = site.inputs[0]->columns();
    const std::string kind = site.node.attributes.get("kind", std::string("max"));
    if (kind != "max" && kind != "average") fail(site, "kind: expected max or average, got '" + kind + "'");
    call_.kind = kind == "average" ? PoolKind::average : PoolKind::maximum;
    valid_ = site.node.attributes.get("padding", std::string("valid")) == "valid";
    has_sequence_ = site.has_output(0);
  }

  double flops() const override {
    const Window& w = call_.window;
    return static_cast<double>(w.out_steps * w.samples * w.size * call_.channels);
  }
  Needs needs(int) const override {
    const bool maximum = call_.kind == PoolKind::maximum;
    return {.saved = mask_.template saved<T>(), .keeps_inputs = true, .keeps_outputs = maximum};
  }

  void bind(const Buffers<T>& b) override {
    mask_.bind(b, b.saved);
    call_.x = b.input(0), call_.y = b.output(0), call_.dy = b.output_gradient(0), call_.dx = b.input_gradient(0);
    marks_ = reinterpret_cast<int32_t*>(b.output(kWindowOutputMask));
  }

  void forward(const Step& step, const Team& team) override {
    if (marks_) mark_windows(call_.window, valid_, mask_, step, team, marks_);
    Pool1D<T> call = call_;
    call.real = mask_.load(step, team);
    if (has_sequence_) kernels_.pool1d(call, team);
  }
  void backward(const Step&, const Team& team) override {
    Pool1D<T> call = call_;
    call.real = mask_.loaded();
    if (call.dx) kernels_.pool1d_backward(call, team);
  }

 private:
  const OpKernels<T>& kernels_;
  StepMask mask_;
  Pool1D<T> call_{};
  int32_t* marks_ = nullptr;  // (T', N): the mask of y
  bool valid_;
  bool has_sequence_;
};

}  // namespace

OpType pool1d_op() { return op_row<Pool1DOp>("pool1d", infer_pool1d); }
OpType global_pool1d_op() { return op_row<Pool1DOp>("global_pool1d", infer_pool1d); }

}  // namespace rnncore
