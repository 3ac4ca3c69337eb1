// x (N, ...) -> y (N, shape), the same numbers in batch-first C order. One size of `shape` may be -1.
#include <numeric>

#include "engine/copy.h"
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_reshape(const Site& site) {
  const Tensor& x = expect_input(site, 0, -1);
  expect_slots(site, 1, 0, 0);
  const int64_t width = x.steps() * x.width();
  Tensor y{{x.samples()}, false};
  Shape known;
  size_t free = 0;
  for (const double size : site.node.attributes.get("shape", std::vector<double>{})) {
    if (!(size == -1 || (size >= 1 && size <= static_cast<double>(kMostElements))))
      fail(site, "shape: expected sizes of at least 1, or -1 once, got " + std::to_string(size));
    y.shape.push_back(static_cast<int64_t>(size));
    if (size == -1)
      free = y.shape.size() - 1;
    else
      known.push_back(y.shape.back());
  }
  const int64_t count = element_count(known);
  if (free && count > 0) y.shape[free] = width / count;
  if (element_count(y.shape) != element_count(x.shape) || y.steps() * y.width() != width)
    fail(site, "cannot reshape " + to_string(x.shape) + " to " + to_string(y.shape));
  return {y};
}

template <class T>
class ReshapeOp final : public Op<T> {
 public:
  ReshapeOp(const Site& site, const Kernels&) : x_(*site.inputs[0]), y_(*site.outputs[0]) {
    run_ = std::gcd(x_.width(), y_.width());
  }

  double flops() const override { return static_cast<double>(x_.size()); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override { copy(x_, buffers_.input(0), y_, buffers_.output(0), team); }
  void backward(const Step&, const Team& team) override {
    if (T* dx = buffers_.input_gradient(0)) copy(y_, buffers_.output_gradient(0), x_, dx, team);
  }

 private:
  // Element j of a sample lies in step j / width; runs of `run_` elements lie together on both sides.
  void copy(const Tensor& a, const T* from, const Tensor& b, T* to, const Team& team) const {
    const int64_t N = a.samples(), in = a.width(), out = b.width(), size = a.steps() * in;
    const Range mine = team_range(N, team, 1);
    for (int64_t n = mine.begin; n < mine.end; ++n)
      for (int64_t j = 0; j < size; j += run_)
        copy_row(from + (j / in * N + n) * in + j % in, to + (j / out * N + n) * out + j % out, run_);
  }

  Tensor x_, y_;
  int64_t run_;
  Buffers<T> buffers_;
};

}  // namespace

OpType reshape_op() { return op_row<ReshapeOp>("reshape", infer_reshape); }

}  // namespace rnncore
