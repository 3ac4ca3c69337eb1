// simple_rnn, lstm, gru: x (N, T, I), lengths, initial states -> sequence (N, T, H), final states.
//
// A sequence output is in processing order. Without lengths the kernels work on the values in place. With
// lengths, rows are sorted and packed first; a padded step holds the row's final state.
#include <algorithm>

#include "engine/copy.h"
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

struct CellFacts {
  Cell cell;
  int64_t gates;
  size_t states;
  bool split_bias;  // (2, G·H)
};

CellFacts cell_of(const Site& site) {
  if (site.node.op == "lstm") return {Cell::lstm, 4, 2, false};
  if (site.node.op == "simple_rnn") return {Cell::simple_rnn, 1, 1, false};
  const bool after = site.node.attributes.get("reset_after", true);
  return {after ? Cell::gru : Cell::gru_reset_before, 3, 1, after};
}

// Slots of a node: x, lengths, initial states; sequence, final states; kernel, recurrent kernel, bias.
constexpr size_t kFirstStateInput = 2, kFirstStateOutput = 1;

std::vector<Tensor> infer_recurrent(const Site& site) {
  const CellFacts facts = cell_of(site);
  const Tensor& x = expect_input(site, 0, 3);
  if (x.steps() < 1) fail(site, "expected at least one time step, got an input of shape " + to_string(x.shape));
  if (!site.has_parameter(0) || !site.has_parameter(1)) fail(site, "needs a kernel and a recurrent_kernel");
  const Shape& recurrent = site.parameters[1]->shape;
  const int64_t units = recurrent.empty() ? 0 : recurrent[0];
  expect_shape(site, "recurrent_kernel", recurrent, {units, facts.gates * units});
  expect_shape(site, "kernel", site.parameters[0]->shape, {x.columns(), facts.gates * units});
  if (site.has_parameter(2))
    expect_shape(site, "bias", site.parameters[2]->shape,
                 facts.split_bias ? Shape{2, facts.gates * units} : Shape{facts.gates * units});
  const Tensor state{{x.samples(), units}, false};
  for (size_t i = 0; i < facts.states; ++i)
    if (site.has_input(kFirstStateInput + i))
      expect_shape(site, "initial state", site.inputs[kFirstStateInput + i]->shape, state.shape);
  std::vector<Tensor> outputs{Tensor{{x.samples(), x.steps(), units}, false}};
  outputs.resize(1 + facts.states, state);
  return outputs;
}

// Hands out consecutive parts of a buffer; from null it only counts.
template <class T>
struct Parts {
  T* next;
  int64_t used = 0;

  T* take(int64_t size) {
    T* part = next ? next + used : nullptr;
    used += (size + 15) / 16 * 16;
    return part;
  }
};

template <class T>
class RecurrentOp final : public Op<T> {
 public:
  RecurrentOp(const Site& site, const Kernels& kernels)
      : kernels_(sequence_kernels<T>(kernels)),
        facts_(cell_of(site)),
        training_(site.training),
        ragged_(site.ragged),
        backwards_(site.node.attributes.get("go_backwards", false)),
        has_sequence_(site.has_output(0)) {
    const Tensor& x = *site.inputs[0];
    N_ = x.samples(), T_ = x.steps(), I_ = x.columns(), H_ = site.parameters[1]->shape[0];
    SequenceShape& shape = call_.forward.shape;
    shape.cell = facts_.cell;
    shape.activation = activation_of(site, "activation", "tanh");
    shape.recurrent_activation = activation_of(site, "recurrent_activation", "sigmoid");
    shape.rows = N_, shape.steps = T_, shape.inputs = I_, shape.units = H_;
    for (size_t i = 0; i < 3; ++i)
      scratch_size_[i] = site.has_parameter(i) && !site.parameter_gradients[i] ? site.parameters[i]->size : 0;
  }

  double flops() const override {
    return 2.0 * static_cast<double>(N_ * T_) * static_cast<double>(facts_.gates * H_) * static_cast<double>(I_ + H_);
  }

  Needs needs(int threads) const override {
    SequenceShape shape = call_.forward.shape;
    std::vector<int64_t> offsets;  // of full rows: the most there can be
    if (ragged_) {
      for (int64_t t = 0; t <= T_; ++t) offsets.push_back(t * N_);
      shape.offsets = offsets.data();
    }
    SequenceSizes most{};
    for (int n = 1; n <= threads; ++n) {  // the runtime may give fewer threads than asked for
      const SequenceSizes sizes = kernels_.sizes(shape, training_, n);
      most.tape = std::max(most.tape, sizes.tape);
      most.forward_workspace = std::max(most.forward_workspace, sizes.forward_workspace);
      most.backward_workspace = std::max(most.backward_workspace, sizes.backward_workspace);
    }
    RecurrentOp counted = *this;
    Parts<T> saved{nullptr}, workspace{nullptr};
    counted.take_saved(saved);
    counted.take_workspace(workspace);
    return {.saved = saved.used + most.tape,
            .forward_workspace = most.forward_workspace,
            .backward_workspace = workspace.used + most.backward_workspace,
            .keeps_inputs = !ragged_,
            .keeps_outputs = !ragged_};
  }

  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    Parts<T> saved{b.saved}, workspace{b.backward_workspace};
    take_saved(saved);
    take_workspace(workspace);
    SequenceForward<T>& f = call_.forward;
    f.kernel = b.parameter(0), f.recurrent_kernel = b.parameter(1), f.bias = b.parameter(2);
    f.tape = training_ ? b.saved + saved.used : nullptr;
    call_.forward.workspace = b.forward_workspace;
    call_.workspace = b.backward_workspace + workspace.used;
    call_.dkernel = b.parameter_gradient(0) ? b.parameter_gradient(0) : scratch_[0];
    call_.drecurrent_kernel = b.parameter_gradient(1) ? b.parameter_gradient(1) : scratch_[1];
    call_.dbias = b.parameter_gradient(2) ? b.parameter_gradient(2) : scratch_[2];
    if (ragged_)
      bind_packed();
    else
      bind_in_place();
  }

  void forward(const Step& step, const Team& team) override {
    if (!ragged_) return kernels_.forward(call_.forward, team);
    pack(*step.ragged, team);
    team_barrier(team);
    SequenceForward<T> f = call_.forward;
    f.shape.offsets = step.ragged->offsets;
    kernels_.forward(f, team);
    team_barrier(team);
    unpack(*step.ragged, team);
  }

  void backward(const Step& step, const Team& team) override {
    if (!ragged_) return kernels_.backward(call_, team);
    pack_gradients(*step.ragged, team);
    team_barrier(team);
    SequenceBackward<T> b = call_;
    b.forward.shape.offsets = step.ragged->offsets;
    kernels_.backward(b, team);
    team_barrier(team);
    unpack_gradients(*step.ragged, team);
  }

 private:
  // What forward leaves to backward beside the tape.
  void take_saved(Parts<T>& parts) {
    if (ragged_ || (training_ && !has_sequence_)) output_ = parts.take(N_ * T_ * H_);
    if (!ragged_) return;
    x_ = parts.take(N_ * T_ * I_);
    for (size_t i = 0; i < facts_.states; ++i) initial_[i] = parts.take(N_ * H_), state_[i] = parts.take(N_ * H_);
  }

  void take_workspace(Parts<T>& parts) {
    for (size_t i = 0; i < 3; ++i) scratch_[i] = scratch_size_[i] ? parts.take(scratch_size_[i]) : nullptr;
    if (!ragged_) return;
    doutput_ = parts.take(N_ * T_ * H_);
    dx_ = parts.take(N_ * T_ * I_);
    for (size_t i = 0; i < facts_.states; ++i) dstate_[i] = parts.take(N_ * H_), dinitial_[i] = parts.take(N_ * H_);
  }

  void bind_in_place() {
    const Buffers<T>& b = buffers_;
    SequenceForward<T>& f = call_.forward;
    const int64_t first = backwards_ ? (T_ - 1) * N_ * I_ : 0, stride = backwards_ ? -N_ * I_ : N_ * I_;
    f.x = {b.input(0) + first, stride, I_};
    f.output = {has_sequence_ ? b.output(0) : output_, N_ * H_, H_};
    call_.doutput = {b.output_gradient(0), N_ * H_, H_};
    call_.dx = {b.input_gradient(0) ? b.input_gradient(0) + first : nullptr, stride, I_};
    for (size_t i = 0; i < facts_.states; ++i) {
      f.initial_state[i] = b.input(kFirstStateInput + i);
      f.state[i] = b.output(kFirstStateOutput + i);
      call_.dstate[i] = b.output_gradient(kFirstStateOutput + i);
      call_.dinitial_state[i] = b.input_gradient(kFirstStateInput + i);
    }
  }

  void bind_packed() {
    const Buffers<T>& b = buffers_;
    SequenceForward<T>& f = call_.forward;
    f.x = {x_, 0, I_};
    f.output = {output_, 0, H_};
    call_.doutput = {b.output_gradient(0) ? doutput_ : nullptr, 0, H_};
    call_.dx = {b.input_gradient(0) ? dx_ : nullptr, 0, I_};
    for (size_t i = 0; i < facts_.states; ++i) {
      f.initial_state[i] = b.input(kFirstStateInput + i) ? initial_[i] : nullptr;
      f.state[i] = state_[i];
      const bool flows = b.output_gradient(kFirstStateOutput + i) || (i == 0 && b.output_gradient(0));
      call_.dstate[i] = flows ? dstate_[i] : nullptr;
      call_.dinitial_state[i] = b.input_gradient(kFirstStateInput + i) ? dinitial_[i] : nullptr;
    }
  }

  // Time that step k of a row reads, and the place of its output; then the places of padding.
  int64_t time_of(int64_t k, int64_t length) const { return backwards_ ? length - 1 - k : k; }
  int64_t place_of(int64_t k, int64_t length) const { return backwards_ ? T_ - length + k : k; }
  Range padding(int64_t length) const { return backwards_ ? Range{0, T_ - length} : Range{length, T_}; }

  void pack(const RaggedBatch& batch, const Team& team) const {
    const T* x = buffers_.input(0);
    const Range rows = team_range(N_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r], length = batch.lengths[r];
      for (int64_t k = 0; k < length; ++k)
        copy_row(x + (time_of(k, length) * N_ + n) * I_, x_ + (batch.offsets[k] + r) * I_, I_);
      for (size_t i = 0; i < facts_.states; ++i)
        if (const T* initial = buffers_.input(kFirstStateInput + i))
          copy_row(initial + n * H_, initial_[i] + r * H_, H_);
    }
  }

  void unpack(const RaggedBatch& batch, const Team& team) const {
    T* sequence = buffers_.output(0);
    const Range rows = team_range(N_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r], length = batch.lengths[r];
      for (size_t i = 0; i < facts_.states; ++i)
        if (T* state = buffers_.output(kFirstStateOutput + i)) copy_row(state_[i] + r * H_, state + n * H_, H_);
      if (!sequence) continue;
      for (int64_t k = 0; k < length; ++k)
        copy_row(output_ + (batch.offsets[k] + r) * H_, sequence + (place_of(k, length) * N_ + n) * H_, H_);
      const Range padded = padding(length);
      for (int64_t t = padded.begin; t < padded.end; ++t)
        copy_row(state_[0] + r * H_, sequence + (t * N_ + n) * H_, H_);
    }
  }

  void pack_gradients(const RaggedBatch& batch, const Team& team) const {
    const T* dsequence = buffers_.output_gradient(0);
    const Range rows = team_range(N_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r], length = batch.lengths[r];
      for (size_t i = 0; i < facts_.states; ++i) {
        if (const T* dstate = buffers_.output_gradient(kFirstStateOutput + i))
          copy_row(dstate + n * H_, dstate_[i] + r * H_, H_);
        else
          std::fill_n(dstate_[i] + r * H_, H_, T(0));
      }
      if (!dsequence) continue;
      for (int64_t k = 0; k < length; ++k)
        copy_row(dsequence + (place_of(k, length) * N_ + n) * H_, doutput_ + (batch.offsets[k] + r) * H_, H_);
      const Range padded = padding(length);
      for (int64_t t = padded.begin; t < padded.end; ++t)
        for (int64_t u = 0; u < H_; ++u) dstate_[0][r * H_ + u] += dsequence[(t * N_ + n) * H_ + u];
    }
  }

  void unpack_gradients(const RaggedBatch& batch, const Team& team) const {
    T* dx = buffers_.input_gradient(0);
    const Range rows = team_range(N_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r], length = batch.lengths[r];
      for (size_t i = 0; i < facts_.states; ++i)
        if (T* dinitial = buffers_.input_gradient(kFirstStateInput + i))
          copy_row(dinitial_[i] + r * H_, dinitial + n * H_, H_);
      if (!dx) continue;
      for (int64_t k = 0; k < length; ++k)
        copy_row(dx_ + (batch.offsets[k] + r) * I_, dx + (time_of(k, length) * N_ + n) * I_, I_);
      for (int64_t t = length; t < T_; ++t) std::fill_n(dx + (t * N_ + n) * I_, I_, T(0));
    }
  }

  const SequenceKernels<T>& kernels_;
  CellFacts facts_;
  bool training_, ragged_, backwards_, has_sequence_;
  int64_t N_, T_, I_, H_;
  int64_t scratch_size_[3];  // gradients of parameters that do not train
  SequenceBackward<T> call_{};
  Buffers<T> buffers_;
  T* scratch_[3] = {};
  // Packed: x, output (Σ lengths, ·); states in sorted order (N, H). `output_` is also the place of
  // the sequence that backward needs when nobody else reads it.
  T *x_ = nullptr, *output_ = nullptr, *dx_ = nullptr, *doutput_ = nullptr;
  T *initial_[2] = {}, *state_[2] = {}, *dinitial_[2] = {}, *dstate_[2] = {};
};

}  // namespace

OpType simple_rnn_op() { return op_row<RecurrentOp>("simple_rnn", infer_recurrent); }
OpType lstm_op() { return op_row<RecurrentOp>("lstm", infer_recurrent); }
OpType gru_op() { return op_row<RecurrentOp>("gru", infer_recurrent); }

}  // namespace rnncore
