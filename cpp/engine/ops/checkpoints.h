// Back-propagation through time with checkpoints (Chen et al. 2016): the forward pass keeps the states before every
// segment of some steps and no tape; the backward pass runs one segment after another forward once more, from the
// last, with one tape for all of them. So T steps take memory for k + T / k in place of T.
#pragma once

#include <algorithm>
#include <array>

#include "core/kernels.h"
#include "engine/ops/parts.h"

namespace rnncore {

template <class T>
class Checkpoints {
 public:
  Checkpoints() = default;
  // None when `every` is 0 or no less than the steps.
  Checkpoints(int64_t every, const SequenceShape& shape, int64_t states, bool packed,
              const std::array<int64_t, 4>& gradient_sizes)
      : every_(every < shape.steps ? every : 0),
        shape_(shape),
        states_(states),
        packed_(packed),
        gradient_sizes_(gradient_sizes) {}

  explicit operator bool() const { return every_ > 0; }

  void take_saved(Parts<T>& parts) {
    if (!every_) return;
    for (int64_t i = 0; i < states_; ++i) checkpoints_[i] = parts.take((segments() - 1) * state_size(i));
    if (packed_) offsets_ = parts.template take_integers<int64_t>(segments() * (every_ + 1));
  }

  // What backward needs beside the workspace of the kernels.
  void take_workspace(Parts<T>& parts, int64_t tape) {
    if (!every_) return;
    tape_ = parts.take(tape);
    output_ = parts.take(every_ * state_size(0));
    for (auto& carried : dstates_)
      for (int64_t i = 0; i < states_; ++i) carried[i] = parts.take(state_size(i));
    for (size_t i = 0; i < 4; ++i) gradients_[i] = parts.take(gradient_sizes_[i]);
  }

  // The shape of the longest segment.
  SequenceShape segment_shape() const {
    SequenceShape shape = shape_;
    if (every_) shape.steps = every_;
    return shape;
  }

  // What the call whose tape is null leaves: states before the segments, output and last states.
  void forward(const SequenceForward<T>& call, const SequenceKernels<T>& kernels, const Team& team) const {
    if (packed_) {
      if (team.thread == 0) find_offsets(call.shape.offsets);
      team_barrier(team);
    }
    for (int64_t s = 0; s < segments(); ++s) {
      SequenceForward<T> f = segment(call, s);
      if (f.output.data) f.output.data += first_place(call, s) * (packed_ ? f.output.row : f.output.step);
      for (int64_t i = 0; i < states_ && s + 1 < segments(); ++i) f.state[i] = checkpoint(s + 1, i);
      kernels.forward(f, team);
      team_barrier(team);
    }
  }

  void backward(const SequenceBackward<T>& call, const SequenceKernels<T>& kernels, const OpKernels<T>& ops,
                const Team& team) const {
    const int64_t last = segments() - 1;
    T* const totals[4] = {call.dkernel, call.drecurrent_kernel, call.dbias, call.dfurther};
    for (int64_t s = last; s >= 0; --s) {
      SequenceBackward<T> b = call;
      b.forward = segment(call.forward, s);
      b.forward.tape = tape_;
      b.forward.output = {output_, packed_ ? 0 : state_size(0), hidden_size()};
      b.forward.workspace = call.workspace;
      for (auto& state : b.forward.state) state = nullptr;
      kernels.forward(b.forward, team);
      team_barrier(team);

      const int64_t place = first_place(call.forward, s);
      if (b.doutput.data) b.doutput.data += place * (packed_ ? b.doutput.row : b.doutput.step);
      if (b.dx.data) b.dx.data += place * (packed_ ? b.dx.row : b.dx.step);
      for (int64_t i = 0; i < states_; ++i) {
        if (s < last) b.dstate[i] = dstates_[(s + 1) % 2][i];
        if (s > 0) b.dinitial_state[i] = dstates_[s % 2][i];
      }
      if (s < last) {
        b.dkernel = gradients_[0], b.drecurrent_kernel = gradients_[1], b.dbias = call.dbias ? gradients_[2] : nullptr;
        b.dfurther = gradients_[3];
      }
      kernels.backward(b, team);
      team_barrier(team);
      for (size_t i = 0; i < 4 && s < last; ++i)
        if (totals[i]) ops.add(gradient_sizes_[i], gradients_[i], totals[i], team);
      team_barrier(team);
    }
  }

 private:
  int64_t segments() const { return (shape_.steps + every_ - 1) / every_; }
  int64_t hidden_size() const { return shape_.projected ? shape_.projected : shape_.units; }
  int64_t state_size(int64_t state) const { return shape_.rows * (state == 0 ? hidden_size() : shape_.units); }
  // State before segment s > 0.
  T* checkpoint(int64_t s, int64_t state) const { return checkpoints_[state] + (s - 1) * state_size(state); }

  // Steps, or rows of packed arrays, before segment s.
  int64_t first_place(const SequenceForward<T>& call, int64_t s) const {
    return packed_ ? call.shape.offsets[s * every_] : s * every_;
  }

  // The segments' own offsets, from 0.
  void find_offsets(const int64_t* offsets) const {
    for (int64_t s = 0; s < segments(); ++s)
      for (int64_t t = 0; t <= std::min(every_, shape_.steps - s * every_); ++t)
        offsets_[s * (every_ + 1) + t] = offsets[s * every_ + t] - offsets[s * every_];
  }

  // The call for the steps of segment s, but for its output.
  SequenceForward<T> segment(const SequenceForward<T>& call, int64_t s) const {
    SequenceForward<T> f = call;
    f.shape.steps = std::min(every_, shape_.steps - s * every_);
    if (packed_) f.shape.offsets = offsets_ + s * (every_ + 1);
    f.x.data += first_place(call, s) * (packed_ ? f.x.row : f.x.step);
    for (auto& holds : f.holds)
      if (holds.data) holds.data += first_place(call, s) * (packed_ ? holds.row : holds.step);
    for (int64_t i = 0; i < states_ && s > 0; ++i) f.initial_state[i] = checkpoint(s, i);
    return f;
  }

  int64_t every_ = 0;
  SequenceShape shape_{};
  int64_t states_ = 0;
  bool packed_ = false;
  std::array<int64_t, 4> gradient_sizes_{};  // of kernel, recurrent kernel, bias and what an option adds
  T* checkpoints_[2] = {};                   // of each state [segments - 1][N][H]
  int64_t* offsets_ = nullptr;               // [segments][every + 1]
  T* tape_ = nullptr;                        // of one segment, like all below
  T* output_ = nullptr;                      // (every, N, H)
  T* dstates_[2][2] = {};                    // carried from segment to segment, in turn: (N, H) each
  T* gradients_[4] = {};
};

}  // namespace rnncore
