// y = x0 ∘ x1 ∘ ...: sum, product, mean, difference, maximum or minimum. Axes of size 1 are repeated; an input with
// fewer axes gets axes of size 1 after the batch. Such inputs are written out in full size first.
#include "engine/ops/registry.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

MergeKind merge_kind(const Site& site) {
  static const char* const names[] = {"add", "multiply", "average", "subtract", "maximum", "minimum"};
  const std::string name = site.node.attributes.get("kind", std::string("add"));
  for (int i = 0; i < 6; ++i)
    if (name == names[i]) return static_cast<MergeKind>(i);
  fail(site, "kind: unknown merge '" + name + "'");
}

// The same value with as many axes as `rank`.
Tensor with_rank(const Tensor& x, size_t rank) {
  Tensor y = x;
  y.shape.insert(y.shape.begin() + 1, rank - x.shape.size(), 1);
  return y;
}

std::vector<Tensor> infer_merge(const Site& site) {
  if (merge_kind(site) == MergeKind::subtract && site.inputs.size() != 2)
    fail(site, "subtract: expected 2 inputs, got " + std::to_string(site.inputs.size()));
  expect_slots(site, site.inputs.size(), 0, 0);
  size_t rank = 0;
  for (size_t k = 0; k < site.inputs.size(); ++k) rank = std::max(rank, expect_input(site, k, -1).shape.size());
  if (rank > kMaxAxes) fail(site, "expected at most " + std::to_string(kMaxAxes) + " axes");
  Tensor y{Shape(rank, 1), false};
  y.shape[0] = expect_input(site, 0, -1).samples();
  for (const Tensor* x : site.inputs) {
    const Shape shape = with_rank(*x, rank).shape;
    for (size_t a = 0; a < rank; ++a) {
      if (shape[a] != y.shape[a] && ((shape[a] != 1 && y.shape[a] != 1) || a == 0))
        fail(site, "shapes " + to_string(site.inputs[0]->shape) + " and " + to_string(x->shape) + " do not fit");
      if (y.shape[a] == 1) y.shape[a] = shape[a];
    }
  }
  return {y};
}

template <class T>
class MergeOp final : public Op<T> {
 public:
  MergeOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), merge_{merge_kind(site), static_cast<int>(site.inputs.size()), 0, {}, {}} {
    const Tensor& y = *site.outputs[0];
    merge_.size = y.size();
    for (const Tensor* input : site.inputs) {
      const Tensor x = with_rank(*input, y.shape.size());
      repeated_.push_back(x.shape != y.shape);
      expand_.push_back(strided_copy_of(y.shape, strides_of(x), strides_of(y), y.time_major()));
      reduce_.push_back(strided_sum_of(y, x));
      repeats_ += repeated_.back();
    }
    reads_inputs_ =
        merge_.kind == MergeKind::multiply || merge_.kind == MergeKind::maximum || merge_.kind == MergeKind::minimum;
    x_.resize(site.inputs.size());
  }

  double flops() const override { return static_cast<double>(merge_.size) * merge_.inputs; }

  Needs needs(int) const override {
    return {.forward_workspace = repeats_ * merge_.size,
            .backward_workspace = repeats_ ? (1 + repeats_) * merge_.size : 0,
            .keeps_inputs = reads_inputs_};
  }

  void bind(const Buffers<T>& b) override { buffers_ = b, merge_.y = b.output(0); }

  void forward(const Step&, const Team& team) override {
    const Merge<T> m = expanded(buffers_.forward_workspace, team);
    kernels_.merge(m, team);
  }

  void backward(const Step&, const Team& team) override {
    const Merge<T> m = reads_inputs_ ? expanded(buffers_.backward_workspace + merge_.size, team) : merge_;
    const T* dy = buffers_.output_gradient(0);
    for (size_t k = 0; k < repeated_.size(); ++k) {
      T* dx = buffers_.input_gradient(k);
      if (!dx) continue;
      T* full = repeated_[k] ? buffers_.backward_workspace : dx;
      kernels_.merge_backward(m, static_cast<int>(k), dy, full, team);
      if (!repeated_[k]) continue;
      team_barrier(team);
      kernels_.strided_sum(reduce_[k], full, dx, team);
      team_barrier(team);  // before the next input's gradient takes the same memory
    }
  }

 private:
  // The inputs in full size.
  Merge<T> expanded(T* workspace, const Team& team) {
    for (size_t k = 0; k < repeated_.size(); ++k) {
      if (!repeated_[k]) continue;
      kernels_.strided_copy(expand_[k], buffers_.input(k), workspace, team);
      if (team.thread == 0) x_[k] = workspace;
      workspace += merge_.size;
    }
    if (team.thread == 0)
      for (size_t k = 0; k < repeated_.size(); ++k)
        if (!repeated_[k]) x_[k] = buffers_.input(k);
    team_barrier(team);
    Merge<T> m = merge_;
    m.x = x_.data();
    return m;
  }

  const OpKernels<T>& kernels_;
  Merge<T> merge_;
  bool reads_inputs_;
  int64_t repeats_ = 0;
  std::vector<bool> repeated_;
  std::vector<StridedCopy> expand_;
  std::vector<StridedSum> reduce_;
  std::vector<const T*> x_;
  Buffers<T> buffers_;
};

}  // namespace

OpType merge_op() { return op_row<MergeOp>("merge", infer_merge); }

}  // namespace rnncore
