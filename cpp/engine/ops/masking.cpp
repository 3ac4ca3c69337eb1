// x (N, T, F) or ids (N, T), lengths or mask -> y (N, T, F), mask (N, T).
//
// A step is real when a feature differs from mask_value, or the id from 0, and it was real before; y is x with zeros
// at the other steps.
#include <algorithm>

#include "engine/ops/registry.h"

namespace rnncore {
namespace {

constexpr size_t kGivenMask = 1, kMaskOutput = 1;

std::vector<Tensor> infer_masking(const Site& site) {
  expect_slots(site, 2, 0, 0);
  const Tensor& x = expect_any_input(site, 0, -1);
  if (x.rank() != (x.integer ? 2 : 3))
    fail(site, "expected x (N, T, F) or ids (N, T), got shape " + to_string(x.shape));
  const Tensor mask{{x.samples(), x.steps()}, true};
  if (site.has_input(kGivenMask) && *site.inputs[kGivenMask] != mask)
    fail(site, "mask: expected integers of shape " + to_string(mask.shape) + ", got shape " +
                   to_string(site.inputs[kGivenMask]->shape));
  if (x.integer && site.has_output(0)) fail(site, "ids have no masked values");
  return {x, mask};
}

template <class T>
class MaskingOp final : public Op<T> {
 public:
  MaskingOp(const Site& site, const Kernels& kernels)
      : kernels_(op_kernels<T>(kernels)),
        ragged_(site.ragged),
        integer_(site.inputs[0]->integer),
        has_mask_(site.has_output(kMaskOutput)),
        samples_(site.inputs[0]->samples()),
        steps_(site.inputs[0]->steps()) {
    call_.rows = samples_ * steps_;
    call_.width = site.inputs[0]->width();
    call_.value = static_cast<T>(site.node.attributes.get("mask_value", 0.0));
  }

  double flops() const override { return static_cast<double>(call_.rows * call_.width); }
  Needs needs(int) const override { return {.saved = has_mask_ ? 0 : call_.rows, .keeps_outputs = has_mask_}; }

  void bind(const Buffers<T>& b) override {
    if (integer_)
      call_.ids = static_cast<const int32_t*>(b.inputs[0]);
    else
      call_.x = b.input(0);
    call_.mask = reinterpret_cast<int32_t*>(has_mask_ ? b.output(kMaskOutput) : b.saved);
    call_.given = ragged_                        ? call_.mask
                  : b.inputs.size() > kGivenMask ? static_cast<const int32_t*>(b.inputs[kGivenMask])
                                                 : nullptr;
    y_ = b.output(0), dy_ = b.output_gradient(0), dx_ = b.input_gradient(0);
  }

  void forward(const Step& step, const Team& team) override {
    if (ragged_) {
      write_lengths(*step.ragged, team);
      team_barrier(team);
    }
    kernels_.find_mask(call_, team);
    if (y_) kernels_.apply_mask(call_.rows, call_.width, call_.mask, call_.x, y_, team);
  }

  void backward(const Step&, const Team& team) override {
    if (dx_) kernels_.apply_mask(call_.rows, call_.width, call_.mask, dy_, dx_, team);
  }

 private:
  void write_lengths(const RaggedBatch& batch, const Team& team) const {
    const Range places = team_range(samples_, team, 1);
    for (int64_t r = places.begin; r < places.end; ++r)
      for (int64_t t = 0; t < steps_; ++t) call_.mask[t * samples_ + batch.rows[r]] = t < batch.lengths[r];
  }

  const OpKernels<T>& kernels_;
  bool ragged_, integer_, has_mask_;
  int64_t samples_, steps_;
  Masking<T> call_{};
  T* y_ = nullptr;
  const T* dy_ = nullptr;
  T* dx_ = nullptr;
};

}  // namespace

OpType masking_op() { return op_row<MaskingOp>("masking", infer_masking); }

}  // namespace rnncore
