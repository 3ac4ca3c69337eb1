// y = x0 ∘ x1 ∘ ...: sum, product, mean, difference, maximum or minimum. Axes of size 1 are repeated; an input with
// fewer axes gets axes of size 1 after the batch. Such inputs are written out in full size first. When masked, the
// masks of the inputs follow them: at each step only inputs take part whose step is real; where none is, a product is
// zero, and a maximum or minimum the first input.
#include "engine/names.h"
#include "engine/ops/registry.h"
#include "engine/step_mask.h"
#include "engine/strides.h"

namespace rnncore {
namespace {

MergeKind merge_kind(const Site& site) {
  const std::string name = site.node.attributes.get("kind", std::string("add"));
  if (const auto kind = find_member<MergeKind>(kMergeNames, name)) return *kind;
  fail(site, "kind: unknown merge '" + name + "'");
}

// Sizes or strides with as many axes as `rank`.
Shape with_rank(Shape sizes, size_t rank, int64_t missing) {
  sizes.insert(sizes.begin() + 1, rank - sizes.size(), missing);
  return sizes;
}

bool is_masked(const Site& site) { return site.node.attributes.get("masked", false); }

// How many inputs are merged; their masks may follow.
size_t merged_inputs(const Site& site) {
  const size_t slots = site.inputs.size();
  if (!is_masked(site)) return slots;
  if (slots % 2) fail(site, "masked: expected a mask for each input, got " + std::to_string(slots) + " inputs");
  return slots / 2;
}

void check_masks(const Site& site, size_t inputs) {
  const MergeKind kind = merge_kind(site);
  if (kind != MergeKind::multiply && kind != MergeKind::maximum && kind != MergeKind::minimum)
    fail(site, "masked: expected a product, maximum or minimum");
  for (size_t k = 0; k < inputs; ++k) {
    if (site.node.inputs[inputs + k] == kAbsent) continue;
    if (!site.inputs[k]->time_major()) fail(site, "a mask needs an input (N, T, ...)");
    if (const std::string error = StepMask::error(site, inputs + k, k); !error.empty()) fail(site, error);
  }
}

std::vector<Tensor> infer_merge(const Site& site) {
  const size_t inputs = merged_inputs(site);
  if (merge_kind(site) == MergeKind::subtract && inputs != 2)
    fail(site, "subtract: expected 2 inputs, got " + std::to_string(inputs));
  expect_slots(site, site.inputs.size(), 0, 0);
  size_t rank = 0;
  for (size_t k = 0; k < inputs; ++k) rank = std::max(rank, expect_input(site, k, -1).shape.size());
  if (rank > kMaxAxes) fail(site, "expected at most " + std::to_string(kMaxAxes) + " axes");
  Tensor y{Shape(rank, 1), false};
  y.shape[0] = expect_input(site, 0, -1).samples();
  for (size_t k = 0; k < inputs; ++k) {
    const Tensor* x = site.inputs[k];
    const Shape shape = with_rank(x->shape, rank, 1);
    for (size_t a = 0; a < rank; ++a) {
      if (shape[a] != y.shape[a] && ((shape[a] != 1 && y.shape[a] != 1) || a == 0))
        fail(site, "shapes " + to_string(site.inputs[0]->shape) + " and " + to_string(x->shape) + " do not fit");
      if (y.shape[a] == 1) y.shape[a] = shape[a];
    }
  }
  if (is_masked(site)) check_masks(site, inputs);
  return {y};
}

template <class T>
class MergeOp final : public Op<T> {
 public:
  MergeOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)), merge_{merge_kind(site), static_cast<int>(merged_inputs(site)), 0, {}, {}} {
    const Tensor& y = *site.outputs[0];
    const size_t inputs = merged_inputs(site);
    merge_.size = y.size();
    samples_ = y.samples(), width_ = y.width();
    for (size_t k = 0; is_masked(site) && k < inputs; ++k) {
      masks_.emplace_back(site, inputs + k, k);
      one_step_.push_back(site.inputs[k]->steps() == 1);
    }
    for (size_t k = 0; k < inputs; ++k) {
      const Tensor& x = *site.inputs[k];
      const size_t rank = y.shape.size();
      const Shape shape = with_rank(x.shape, rank, 1), strides = with_rank(strides_of(x), rank, 0);
      repeated_.push_back(shape != y.shape || (x.time_major() && x.shape.size() < rank));  // or stored in another order
      expand_.push_back(strided_copy_of(y.shape, strides, strides_of(y), y.time_major()));
      reduce_.push_back(strided_sum_of(y, shape, strides));
      repeats_ += repeated_.back();
    }
    reads_inputs_ =
        merge_.kind == MergeKind::multiply || merge_.kind == MergeKind::maximum || merge_.kind == MergeKind::minimum;
    x_.resize(inputs);
  }

  double flops() const override { return static_cast<double>(merge_.size) * merge_.inputs; }

  size_t timed_input(size_t slot) const override { return slot - x_.size(); }
  Needs needs(int) const override {
    int64_t saved = 0;
    for (const StepMask& mask : masks_) saved += mask.template saved<T>();
    return {.saved = saved,
            .forward_workspace = repeats_ * merge_.size,
            .backward_workspace = repeats_ ? (1 + repeats_) * merge_.size : 0,
            .keeps_inputs = reads_inputs_};
  }

  void bind(const Buffers<T>& b) override {
    buffers_ = b, merge_.y = b.output(0);
    T* memory = b.saved;
    for (StepMask& mask : masks_) {
      mask.bind(b, memory);
      memory += mask.template saved<T>();
    }
  }

  void forward(const Step& step, const Team& team) override {
    const Merge<T> m = expanded(buffers_.forward_workspace, team);
    if (masks_.empty()) return kernels_.merge(m, team);
    for (const StepMask& mask : masks_) mask.load(step, team);
    const Range mine = team_range(rows(), team, 1);
    for (int64_t row = mine.begin; row < mine.end; ++row) merge_row(m, row);
  }

  void backward(const Step&, const Team& team) override {
    const Merge<T> m = reads_inputs_ ? expanded(buffers_.backward_workspace + merge_.size, team) : merge_;
    const T* dy = buffers_.output_gradient(0);
    for (size_t k = 0; k < repeated_.size(); ++k) {
      T* dx = buffers_.input_gradient(k);
      if (!dx) continue;
      T* full = repeated_[k] ? buffers_.backward_workspace : dx;
      const int slot = static_cast<int>(k);
      const Range mine = team_range(masks_.empty() ? 0 : rows(), team, 1);
      if (masks_.empty()) kernels_.merge_backward(m, slot, dy, full, team);
      for (int64_t row = mine.begin; row < mine.end; ++row) row_gradient(m, row, slot, dy, full);
      if (!repeated_[k]) continue;
      team_barrier(team);
      kernels_.strided_sum(reduce_[k], full, dx, team);
      team_barrier(team);  // before the next input's gradient takes the same memory
    }
  }

 private:
  // Whether an input takes part at a step, row t·N + n.
  bool takes_part(int k, int64_t row) const {
    const auto slot = static_cast<size_t>(k);
    const int32_t* mask = masks_[slot].loaded();
    return !mask || mask[one_step_[slot] ? row % samples_ : row];
  }
  int64_t rows() const { return width_ > 0 ? merge_.size / width_ : 0; }

  void merge_row(const Merge<T>& m, int64_t row) const {
    const int64_t begin = row * width_;
    const bool product = m.kind == MergeKind::multiply, maximum = m.kind == MergeKind::maximum;
    for (int64_t i = begin; i < begin + width_; ++i) m.y[i] = product ? T(0) : m.x[0][i];
    bool is_first = true;
    for (int k = 0; k < m.inputs; ++k) {
      if (!takes_part(k, row)) continue;
      for (int64_t i = begin; i < begin + width_; ++i) {
        const T y = m.y[i], x = m.x[k][i];
        m.y[i] = is_first ? x : product ? y * x : y != y || (maximum ? y > x : y < x) ? y : x;
      }
      is_first = false;
    }
  }

  // The gradient of input number `slot`.
  void row_gradient(const Merge<T>& m, int64_t row, int slot, const T* dy, T* dx) const {
    const int64_t begin = row * width_;
    const bool product = m.kind == MergeKind::multiply;
    int first = 0;
    while (first < m.inputs && !takes_part(first, row)) ++first;
    if (!takes_part(slot, row)) {
      const bool is_y = first == m.inputs && slot == 0 && !product;
      for (int64_t i = begin; i < begin + width_; ++i) dx[i] = is_y ? dy[i] : T(0);
      return;
    }
    const T sign = m.kind == MergeKind::minimum ? T(-1) : T(1);
    for (int64_t i = begin; i < begin + width_; ++i) {
      dx[i] = dy[i];
      T top = sign * m.x[first][i];
      for (int k = product ? 0 : first + 1; k < m.inputs; ++k) {
        if (!takes_part(k, row)) continue;
        if (product) {
          if (k != slot) dx[i] *= m.x[k][i];
          continue;
        }
        // Pairwise from the left: the greater one gets the gradient, equal ones get half each.
        const T next = sign * m.x[k][i];
        if (k >= slot && next == top)
          dx[i] /= 2;
        else if (k >= slot && (k == slot ? next < top : next > top))
          dx[i] = T(0);
        top = next > top ? next : top;
      }
    }
  }

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
  std::vector<StepMask> masks_;  // of the inputs; none unless masked
  std::vector<bool> one_step_;   // whether an input's step is repeated
  int64_t samples_, width_;
  Buffers<T> buffers_;
};

}  // namespace

OpType merge_op() { return op_row<MergeOp>("merge", infer_merge); }

}  // namespace rnncore
