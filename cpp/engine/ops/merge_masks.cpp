// x0 (N, T0, ...), its mask, x1, its mask, ... -> mask (N, T): of steps that are real in all, in any, or one after
// another in time. Kind "reverse", of two masks of one x: what the second says of the steps that the first calls real,
// in their order, for x in reversed order of time.
#include <algorithm>

#include "engine/ops/registry.h"

namespace rnncore {
namespace {

enum class MaskMerge { all, any, concatenate, reverse };

MaskMerge mask_merge(const Site& site) {
  static const char* const names[] = {"and", "or", "concatenate", "reverse"};
  const std::string name = site.node.attributes.get("kind", std::string("and"));
  for (int i = 0; i < 4; ++i)
    if (name == names[i]) return static_cast<MaskMerge>(i);
  fail(site, "kind: unknown merge of masks '" + name + "'");
}

// A value with a time axis, whichever its layout.
int64_t steps_of(const Site& site, size_t slot) { return expect_any_input(site, slot, -2).shape[1]; }

std::vector<Tensor> infer_merge_masks(const Site& site) {
  const MaskMerge kind = mask_merge(site);
  const size_t slots = site.node.inputs.size();
  if (slots < 2 || slots % 2) fail(site, "expected pairs of a value and its mask, got " + std::to_string(slots));
  if (kind == MaskMerge::reverse && slots != 4) fail(site, "reverse: expected two masks");
  expect_slots(site, slots, 0, 0);
  const int64_t samples = expect_any_input(site, 0, -2).samples();
  int64_t steps = kind == MaskMerge::concatenate ? 0 : 1;
  for (size_t slot = 0; slot < slots; slot += 2) {
    const int64_t own = steps_of(site, slot);
    if (site.has_input(slot + 1)) {
      const Tensor& mask = *site.inputs[slot + 1];
      expect_shape(site, "mask", mask.shape, {samples, own});
      if (!mask.integer) fail(site, "mask: expected integers, got floating point values");
    }
    if (kind == MaskMerge::concatenate)
      steps += own;
    else if (steps == 1)
      steps = own;
    else if (own != steps && (own != 1 || kind == MaskMerge::reverse))
      fail(site,
           "expected values of equal numbers of steps, got " + std::to_string(steps) + " and " + std::to_string(own));
  }
  return {Tensor{{samples, steps}, true}};
}

template <class T>
class MergeMasksOp final : public Op<T> {
 public:
  MergeMasksOp(const Site& site, const Kernels&)
      : kind_(mask_merge(site)),
        ragged_(site.ragged),
        samples_(site.outputs[0]->samples()),
        steps_(site.outputs[0]->steps()) {
    for (size_t slot = 0; slot < site.inputs.size(); slot += 2) {
      const bool given = site.has_input(slot + 1), absent = site.node.inputs[slot + 1] == kAbsent;
      parts_.push_back({steps_of(site, slot), !given && ragged_ && !absent, nullptr});
    }
    for (const Tensor* input : site.inputs) sizes_.push_back(input && !input->integer ? input->size() : 0);
  }

  double flops() const override { return static_cast<double>(samples_ * steps_) * static_cast<double>(parts_.size()); }
  size_t timed_input(size_t slot) const override { return slot - 1; }
  Needs needs(int) const override {
    constexpr int64_t size = sizeof(T);
    return {.forward_workspace = ragged_ ? (samples_ * static_cast<int64_t>(sizeof(int32_t)) + size - 1) / size : 0};
  }

  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    for (size_t k = 0; k < parts_.size(); ++k) parts_[k].mask = static_cast<const int32_t*>(b.inputs[2 * k + 1]);
    mask_ = reinterpret_cast<int32_t*>(b.output(0));
    lengths_ = reinterpret_cast<int32_t*>(b.forward_workspace);
  }

  void forward(const Step& step, const Team& team) override {
    if (ragged_) {
      const Range places = team_range(samples_, team, 1);
      for (int64_t r = places.begin; r < places.end; ++r) lengths_[step.ragged->rows[r]] = step.ragged->lengths[r];
      team_barrier(team);
    }
    const Range rows = team_range(samples_, team, 1);
    for (int64_t n = rows.begin; n < rows.end; ++n) {
      if (kind_ == MaskMerge::reverse)
        reverse(n);
      else if (kind_ == MaskMerge::concatenate)
        concatenate(n);
      else
        combine(n);
    }
  }

  void backward(const Step&, const Team& team) override {  // only the sizes of the values matter
    for (size_t slot = 0; slot < sizes_.size(); ++slot)
      if (T* nothing = buffers_.input_gradient(slot)) {
        const Range mine = team_range(sizes_[slot], team, 1);
        std::fill(nothing + mine.begin, nothing + mine.end, T(0));
      }
  }

 private:
  struct Part {
    int64_t steps;
    bool by_lengths;
    const int32_t* mask;  // (T, N); null: lengths, or all steps are real
  };

  bool is_real(const Part& part, int64_t t, int64_t n) const {
    if (part.mask) return part.mask[t * samples_ + n] != 0;
    return !part.by_lengths || t < lengths_[n];
  }

  void combine(int64_t n) const {
    const bool all = kind_ == MaskMerge::all;
    for (int64_t t = 0; t < steps_; ++t) {
      bool real = all;
      for (const Part& part : parts_) {
        const bool own = is_real(part, part.steps == 1 ? 0 : t, n);
        real = all ? real && own : real || own;
      }
      mask_[t * samples_ + n] = real;
    }
  }

  void concatenate(int64_t n) const {
    int64_t to = 0;
    for (const Part& part : parts_)
      for (int64_t t = 0; t < part.steps; ++t) mask_[to++ * samples_ + n] = is_real(part, t, n);
  }

  void reverse(int64_t n) const {
    int64_t from = 0;  // where the next of the real steps may be
    for (int64_t t = 0; t < steps_; ++t) {
      const bool real = is_real(parts_[0], steps_ - 1 - t, n);
      while (real && !is_real(parts_[0], from, n)) ++from;
      mask_[t * samples_ + n] = real && is_real(parts_[1], from, n);
      from += real;
    }
  }

  MaskMerge kind_;
  bool ragged_;
  int64_t samples_, steps_;
  std::vector<Part> parts_;
  std::vector<int64_t> sizes_;
  Buffers<T> buffers_;
  int32_t* mask_ = nullptr;     // (T, N)
  int32_t* lengths_ = nullptr;  // (N,)
};

}  // namespace

OpType merge_masks_op() { return op_row<MergeMasksOp>("merge_masks", infer_merge_masks); }

}  // namespace rnncore
