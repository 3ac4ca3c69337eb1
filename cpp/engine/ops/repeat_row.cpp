// A value (N, ...) that tells N -> y (N, H), the row of a parameter (1, H) N times.
#include <algorithm>

#include "engine/copy.h"
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_repeat_row(const Site& site) {
  const Tensor& like = expect_any_input(site, 0, -1);
  expect_slots(site, 1, 1, 1);
  const Shape& row = site.parameters[0]->shape;
  if (row.size() != 2 || row[0] != 1) fail(site, "row: expected shape (1, H), got " + to_string(row));
  return {Tensor{{like.samples(), row[1]}, false}};
}

template <class T>
class RepeatRowOp final : public Op<T> {
 public:
  RepeatRowOp(const Site& site, const Kernels&)
      : rows_(site.outputs[0]->samples()), units_(site.outputs[0]->columns()), like_size_(site.inputs[0]->size()) {}

  double flops() const override { return static_cast<double>(rows_ * units_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override {
    const Range mine = team_range(rows_, team, 1);
    for (int64_t n = mine.begin; n < mine.end; ++n)
      copy_row(buffers_.parameter(0), buffers_.output(0) + n * units_, units_);
  }

  // Sums over the rows, in order, for this thread's units.
  void backward(const Step&, const Team& team) override {
    if (T* nothing = buffers_.input_gradient(0)) zero(like_size_, nothing, team);  // only its size matters
    T* sum = buffers_.parameter_gradient(0);
    if (!sum) return;
    const Range mine = team_range(units_, team, 16);
    std::fill(sum + mine.begin, sum + mine.end, T(0));
    const T* dy = buffers_.output_gradient(0);
    for (int64_t n = 0; n < rows_; ++n, dy += units_)
      for (int64_t u = mine.begin; u < mine.end; ++u) sum[u] += dy[u];
  }

 private:
  int64_t rows_, units_, like_size_;
  Buffers<T> buffers_;
};

}  // namespace

OpType repeat_row_op() { return op_row<RepeatRowOp>("repeat_row", infer_repeat_row); }

}  // namespace rnncore
