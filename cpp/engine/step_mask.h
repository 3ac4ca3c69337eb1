// The mask slot of an op as most kernels read it: one integer for each step, 0 where it is not real.
#pragma once

#include "engine/op.h"

namespace rnncore {

// A mask slot may be absent, hold the lengths of the batch, or a mask (N, T).
class StepMask {
 public:
  // Of input number `of`.
  StepMask(const Site& site, size_t slot, size_t of = 0)
      : samples_(site.inputs[of]->samples()), steps_(site.inputs[of]->steps()), slot_(slot) {
    if (site.has_input(slot))
      kind_ = Kind::mask;
    else if (site.ragged && slot < site.node.inputs.size() && site.node.inputs[slot] != kAbsent)
      kind_ = Kind::batch;
  }

  // What the slot holds, or what is wrong with it.
  static std::string error(const Site& site, size_t slot, size_t of = 0) {
    if (!site.has_input(slot)) return {};
    const Tensor &x = *site.inputs[of], &mask = *site.inputs[slot];
    if (!mask.integer) return "mask: expected integers, got floating point values";
    if (mask.shape == Shape{x.samples(), x.steps()}) return {};
    return "mask: expected shape " + to_string({x.samples(), x.steps()}) + ", got " + to_string(mask.shape);
  }

  // Elements of T that the mask takes where the slot holds lengths; they stay from forward to backward.
  template <class T>
  int64_t saved() const {
    if (kind_ != Kind::batch) return 0;
    constexpr int64_t size = sizeof(T);
    return ((samples_ * steps_ * static_cast<int64_t>(sizeof(int32_t)) + size - 1) / size + 15) / 16 * 16;
  }

  template <class T>
  void bind(const Buffers<T>& buffers, T* memory) {
    given_ = slot_ < buffers.inputs.size() ? static_cast<const int32_t*>(buffers.inputs[slot_]) : nullptr;
    made_ = reinterpret_cast<int32_t*>(memory);
  }

  // (T, N) for this step's batch, or null when all steps are real. Each thread of the team calls it.
  const int32_t* load(const Step& step, const Team& team) const {
    if (kind_ == Kind::none) return nullptr;
    if (kind_ == Kind::mask) return given_;
    each_row(step, team, [&](int64_t n, int64_t length) {
      for (int64_t t = 0; t < steps_; ++t) made_[t * samples_ + n] = t < length;
    });
    team_barrier(team);
    return made_;
  }
  // What `load` gave.
  const int32_t* loaded() const { return kind_ == Kind::none ? nullptr : kind_ == Kind::mask ? given_ : made_; }

  // Calls visit(n, number of real steps) for this thread's rows.
  template <class Visit>
  void each_row(const Step& step, const Team& team, Visit visit) const {
    const Range rows = team_range(samples_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      if (kind_ == Kind::batch) {
        visit(int64_t{step.ragged->rows[r]}, int64_t{step.ragged->lengths[r]});
        continue;
      }
      int64_t count = kind_ == Kind::none ? steps_ : 0;
      for (int64_t t = 0; kind_ == Kind::mask && t < steps_; ++t) count += given_[t * samples_ + r] != 0;
      visit(r, count);
    }
  }

 private:
  enum class Kind { none, batch, mask };

  int64_t samples_, steps_;
  size_t slot_;
  Kind kind_ = Kind::none;
  const int32_t* given_ = nullptr;
  int32_t* made_ = nullptr;
};

}  // namespace rnncore
