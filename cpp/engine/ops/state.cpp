// read_state: a value (N, ...) that tells N, an initial state (N, H) or none -> h (N, H).
// write_state: h (N, H) -> nothing.
//
// Between them a state lives in the caller's vector: columns [N·offset, N·(offset + H)) are (N, H). A call without
// such a vector, or one that does not resume, begins with the initial state, or zeros.
#include "engine/copy.h"
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

int64_t state_offset(const Site& site) { return expect_size(site, "state_offset", -1, 0); }

void expect_batch(const Site& site, const Tensor& x) {
  if (x.samples() != site.batch)
    fail(site, "expected a value of " + std::to_string(site.batch) + " samples, got shape " + to_string(x.shape));
}

std::vector<Tensor> infer_read_state(const Site& site) {
  expect_slots(site, 2, 0, 0);
  expect_batch(site, expect_any_input(site, 0, -1));
  state_offset(site);
  const Tensor h{{site.batch, expect_size(site, "units", 0, 1)}, false};
  if (site.has_input(1)) expect_shape(site, "initial state", expect_input(site, 1, 2).shape, h.shape);
  return {h};
}

std::vector<Tensor> infer_write_state(const Site& site) {
  expect_slots(site, 1, 0, 0);
  expect_batch(site, expect_input(site, 0, 2));
  state_offset(site);
  return {};
}

template <class T>
class ReadStateOp final : public Op<T> {
 public:
  ReadStateOp(const Site& site, const Kernels&)
      : size_(site.outputs[0]->size()),
        place_(site.outputs[0]->samples() * state_offset(site)),
        like_size_(site.inputs[0]->size()) {}

  double flops() const override { return static_cast<double>(size_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step& step, const Team& team) override {
    if (step.resumes())
      copy(step.state_vector<T>() + place_, buffers_.output(0), team);
    else if (const T* initial = buffers_.input(1))
      copy(initial, buffers_.output(0), team);
    else
      zero(size_, buffers_.output(0), team);
  }

  void backward(const Step& step, const Team& team) override {
    if (T* nothing = buffers_.input_gradient(0)) zero(like_size_, nothing, team);  // only its size matters
    T* dinitial = buffers_.input_gradient(1);
    if (!dinitial) return;
    if (step.resumes())
      zero(size_, dinitial, team);
    else
      copy(buffers_.output_gradient(0), dinitial, team);
  }

 private:
  void copy(const T* from, T* to, const Team& team) const {
    const Range mine = team_range(size_, team, 256);
    if (mine.begin < mine.end) copy_row(from + mine.begin, to + mine.begin, mine.end - mine.begin);
  }

  int64_t size_, place_, like_size_;
  Buffers<T> buffers_;
};

template <class T>
class WriteStateOp final : public Op<T> {
 public:
  WriteStateOp(const Site& site, const Kernels&)
      : size_(site.inputs[0]->size()), place_(site.inputs[0]->samples() * state_offset(site)) {}

  double flops() const override { return static_cast<double>(size_); }
  Needs needs(int) const override { return {}; }
  void bind(const Buffers<T>& b) override { h_ = b.input(0); }

  void forward(const Step& step, const Team& team) override {
    if (!step.states) return;
    const Range mine = team_range(size_, team, 256);
    T* to = step.state_vector<T>() + place_;
    if (mine.begin < mine.end) copy_row(h_ + mine.begin, to + mine.begin, mine.end - mine.begin);
  }
  void backward(const Step&, const Team&) override {}

 private:
  int64_t size_, place_;
  const T* h_ = nullptr;
};

}  // namespace

OpType read_state_op() { return op_row<ReadStateOp>("read_state", infer_read_state); }
OpType write_state_op() { return op_row<WriteStateOp>("write_state", infer_write_state); }

}  // namespace rnncore
