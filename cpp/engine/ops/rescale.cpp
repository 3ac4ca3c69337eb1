// y = x * scale + offset, two numbers.
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_rescale(const Site& site) {
  const Tensor& x = expect_input(site, 0, -1);
  expect_slots(site, 1, 0, 0);
  return {x};
}

template <class T>
class RescaleOp final : public Op<T> {
 public:
  RescaleOp(const Site& site, const Kernels&)
      : size_(site.inputs[0]->size()),
        scale_(static_cast<T>(site.node.attributes.get("scale", 1.0))),
        offset_(static_cast<T>(site.node.attributes.get("offset", 0.0))) {}

  double flops() const override { return 2.0 * static_cast<double>(size_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override {
    const T *x = buffers_.input(0), scale = scale_, offset = offset_;
    T* y = buffers_.output(0);
    const Range mine = team_range(size_, team, 256);
    for (int64_t i = mine.begin; i < mine.end; ++i) y[i] = x[i] * scale + offset;
  }

  void backward(const Step&, const Team& team) override {
    const T *dy = buffers_.output_gradient(0), scale = scale_;
    T* dx = buffers_.input_gradient(0);
    if (!dx) return;
    const Range mine = team_range(size_, team, 256);
    for (int64_t i = mine.begin; i < mine.end; ++i) dx[i] = dy[i] * scale;
  }

 private:
  int64_t size_;
  T scale_, offset_;
  Buffers<T> buffers_;
};

}  // namespace

OpType rescale_op() { return op_row<RescaleOp>("rescale", infer_rescale); }

}  // namespace rnncore
