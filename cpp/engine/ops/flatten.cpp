// x (N, ...) -> y (N, product of the other axes) in batch-first order.
#include "engine/copy.h"
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_flatten(const Site& site) {
  const Tensor& x = expect_input(site, 0, -1);
  expect_slots(site, 1, 0, 0);
  return {Tensor{{x.samples(), x.steps() * x.width()}, false}};
}

template <class T>
class FlattenOp final : public Op<T> {
 public:
  FlattenOp(const Site& site, const Kernels&)
      : samples_(site.inputs[0]->samples()), steps_(site.inputs[0]->steps()), width_(site.inputs[0]->width()) {}

  double flops() const override { return static_cast<double>(samples_ * steps_ * width_); }
  Needs needs(int) const override { return {}; }

  void bind(const Buffers<T>& b) override {
    x_ = b.input(0), y_ = b.output(0), dy_ = b.output_gradient(0), dx_ = b.input_gradient(0);
  }

  void forward(const Step&, const Team& team) override { scatter(x_, y_, steps_, width_, samples_, team); }
  void backward(const Step&, const Team& team) override {
    if (dx_) gather(dy_, dx_, steps_, width_, {nullptr, samples_}, team);
  }

 private:
  int64_t samples_, steps_, width_;
  const T* x_ = nullptr;
  T* y_ = nullptr;
  const T* dy_ = nullptr;
  T* dx_ = nullptr;
};

}  // namespace

OpType flatten_op() { return op_row<FlattenOp>("flatten", infer_flatten); }

}  // namespace rnncore
