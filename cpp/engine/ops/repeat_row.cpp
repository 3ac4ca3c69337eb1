// A value (N, ...) that tells N -> y (N, H): N times the numbers of a parameter, or of the attribute `row`.
#include <algorithm>

#include "engine/copy.h"
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<double> given_row(const Site& site) { return site.node.attributes.get("row", std::vector<double>{}); }

std::vector<Tensor> infer_repeat_row(const Site& site) {
  const Tensor& like = expect_any_input(site, 0, -1);
  expect_slots(site, 1, 0, 1);
  const int64_t units = site.has_parameter(0) ? site.parameters[0]->size : static_cast<int64_t>(given_row(site).size());
  if (units < 1) fail(site, "row: expected a parameter or numbers, got none");
  return {Tensor{{like.samples(), units}, false}};
}

template <class T>
class RepeatRowOp final : public Op<T> {
 public:
  RepeatRowOp(const Site& site, const Kernels&)
      : rows_(site.outputs[0]->samples()), units_(site.outputs[0]->columns()), like_size_(site.inputs[0]->size()) {
    for (const double number : given_row(site)) given_.push_back(static_cast<T>(number));
  }

  double flops() const override { return static_cast<double>(rows_ * units_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override {
    const Range mine = team_range(rows_, team, 1);
    for (int64_t n = mine.begin; n < mine.end; ++n)
      copy_row(given_.empty() ? buffers_.parameter(0) : given_.data(), buffers_.output(0) + n * units_, units_);
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
  std::vector<T> given_;
  Buffers<T> buffers_;
};

}  // namespace

OpType repeat_row_op() { return op_row<RepeatRowOp>("repeat_row", infer_repeat_row); }

}  // namespace rnncore
