// simple_rnn, lstm, gru: x (N, T, I), lengths or mask, initial states, resets, their states -> sequence (N, T, H),
// final states.
//
// A sequence output is in processing order, or in that of the input when `aligned`. When all steps are real the
// kernels work on the values in place. Otherwise the real steps of each row are packed and the rows sorted; a step
// that is not real holds the state. Resets cut a row into pieces, each of which is a row of the kernels.
#include <algorithm>
#include <array>
#include <utility>

#include "engine/copy.h"
#include "engine/ops/checkpoints.h"
#include "engine/ops/packed_rows.h"
#include "engine/threads.h"

namespace rnncore {
namespace {

template <class T>
const SequenceKernels<T>& kernels_for(const SequenceShape& shape, const Kernels& kernels) {
  if constexpr (sizeof(T) == 4)
    if (shape.bfloat16) return kernels.sequence_bf16;
  return sequence_kernels<T>(kernels);
}

template <class T>
class RecurrentOp final : public Op<T> {
 public:
  RecurrentOp(const Site& site, const Kernels& kernels)
      : options_(site),
        kernels_(kernels_for<T>(options_.shape, kernels)),
        op_kernels_(op_kernels<T>(kernels)),
        node_(site.index),
        training_(site.training),
        packing_(site, options_),
        packed_(packing_),
        backwards_(options_.backwards),
        reversed_(backwards_ && !options_.aligned),
        has_sequence_(site.has_output(0)) {
    if (!training_) options_.recurrent_dropout = 0, options_.shape.recurrent_dropout = false;
    if (options_.shape.weights != WeightFormat::full && (training_ || sizeof(T) != 4))
      fail(site, "products: expected 'exact' or 'bfloat16' in training and in float64");
    const SequenceShape& shape = call_.forward.shape = options_.shape;
    N_ = shape.rows, T_ = shape.steps, I_ = shape.inputs;
    rows_ = packing_.most_rows();
    std::copy_n(options_.sizes, 2, sizes_);
    for (size_t i = 0; i < 2 && !training_; ++i)
      if (const double rate = options_.zoneout[i]; rate > 0)
        mean_holds_[i].assign(static_cast<size_t>(sizes_[i]), static_cast<T>(rate));
    const int64_t every = training_ ? options_.checkpoint_every : 0;
    std::array<int64_t, kParameters> parameter_sizes{};
    for (size_t i = 0; i < kParameters; ++i) {
      const size_t slot = options_.slots[i];
      if (site.has_parameter(slot)) parameter_sizes[i] = site.parameters[slot]->size;
      scratch_size_[i] = site.has_parameter(slot) && !site.parameter_gradients[slot] ? parameter_sizes[i] : 0;
    }
    checkpoints_ = Checkpoints<T>(every, shape, options_.cell.states, packed_, parameter_sizes);
    if (checkpoints_) tape_size_ = kernels_.sizes(checkpoints_.segment_shape(), true, 1).tape;
    state_is_sequence_ = T_ == 1 && !packed_ && !checkpoints_ && !has_sequence_ && site.has_output(kFirstStateOutput);
  }

  double flops() const override {
    const double projection = call_.forward.shape.projected > 0 ? static_cast<double>(sizes_[0] * sizes_[1]) : 0;
    const double gates = static_cast<double>(options_.cell.gates * sizes_[1]) *
                         static_cast<double>(looks_up() ? sizes_[0] : I_ + sizes_[0]);
    return 2.0 * static_cast<double>(N_ * T_) * (gates + projection);
  }

  int64_t id_limit() const override { return options_.shape.vocabulary; }

  // Threads wait for fewer others, and pack and read weights of one layer only; but all of them, which must not be too
  // far away. Measured; docs/kernel_notes.md has the figures.
  bool prefers_half(int threads) const override {
    constexpr int64_t kManyRows = 8, kLargeWeights = 8;  // the latter in second-level caches
    const int64_t cache = second_level_cache();
    const int64_t weights = options_.cell.gates * sizes_[1] * (I_ + sizes_[0]) * static_cast<int64_t>(sizeof(T));
    return N_ >= kManyRows ? weights <= kLargeWeights * cache : weights <= cache / 2 * (threads / 2);
  }

  int useful_threads(int limit) const override { return kernels_.sharing(call_.forward.shape, limit).threads; }

  Needs needs(int threads) const override {
    SequenceShape shape = checkpoints_.segment_shape();
    SequenceSizes most{};
    std::vector<int64_t> offsets;
    for (const int64_t rows : packing_.row_counts()) {
      if (packed_) {
        offsets.clear();  // of full rows: the most there can be
        for (int64_t t = 0; t <= shape.steps; ++t) offsets.push_back(std::min(t * rows, shape.steps * N_));
        shape.rows = rows, shape.offsets = offsets.data();
      }
      add_sizes(shape, threads, most);
    }
    RecurrentOp counted = *this;
    Parts<T> saved{nullptr}, workspace{nullptr};
    counted.take_saved(saved);
    counted.take_workspace(workspace);
    return {.saved = saved.used + (checkpoints_ ? 0 : most.tape),
            .packed_weights = most.packed_weights,
            .forward_workspace = most.forward_workspace - most.packed_weights,
            .backward_workspace = workspace.used + most.backward_workspace,
            .keeps_inputs = !packed_,
            .keeps_outputs = !packed_ && !checkpoints_};
  }

  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    Parts<T> saved{b.saved}, workspace{b.backward_workspace};
    take_saved(saved);
    take_workspace(workspace);
    SequenceForward<T>& f = call_.forward;
    f.kernel = b.parameter(0), f.recurrent_kernel = b.parameter(1), f.bias = b.parameter(options_.slots[2]);
    f.further = b.parameter(options_.slots[3]);
    f.packed_weights = b.packed_weights, f.embeddings = b.parameter(options_.embeddings_slot);
    f.recurrent_mask = recurrent_mask_;
    for (size_t i = 0; i < 2; ++i) {
      if (!mean_holds_[i].empty()) f.holds[i] = {mean_holds_[i].data(), 0, 0};
      if (!holds_[i]) continue;
      const int64_t H = sizes_[i];
      f.holds[i] = {holds_[i], 0, H};
      if (!packed_) f.holds[i] = {holds_[i] + (backwards_ ? (T_ - 1) * N_ * H : 0), backwards_ ? -N_ * H : N_ * H, H};
    }
    f.tape = training_ && !checkpoints_ ? b.saved + saved.used : nullptr;
    call_.forward.workspace = b.forward_workspace;
    call_.workspace = b.backward_workspace + workspace.used;
    T** const gradients[kParameters] = {&call_.dkernel, &call_.drecurrent_kernel, &call_.dbias, &call_.dfurther};
    for (size_t i = 0; i < kParameters; ++i) {
      T* gradient = b.parameter_gradient(options_.slots[i]);
      *gradients[i] = gradient ? gradient : scratch_[i];
    }
    if (packed_)
      bind_packed();
    else
      bind_in_place();
  }

  void pack(const Team& team) override { kernels_.pack(call_.forward, team); }

  void forward(const Step& step, const Team& team) override {
    if (!packed_) {
      draw(step, nullptr, team);
      SequenceForward<T> f = call_.forward;
      f.turn = step.number;
      return run_forward(f, team);
    }
    const void *mask = buffers_.input(kMaskInput), *resets = buffers_.input(options_.resets_slot());
    packing_.find(step, static_cast<const int32_t*>(mask), static_cast<const int32_t*>(resets), team);
    const PackedRows batch = packing_.rows(step);
    pack(batch, team);
    draw(step, &batch, team);
    team_barrier(team);
    run_forward(packed(call_.forward, batch), team);
    team_barrier(team);
    unpack(batch, team);
  }

  void backward(const Step& step, const Team& team) override {
    if (!packed_) return run_backward(call_, team);
    const PackedRows batch = packing_.rows(step);
    pack_gradients(batch, team);
    team_barrier(team);
    SequenceBackward<T> b = call_;
    b.forward = packed(b.forward, batch);
    run_backward(b, team);
    team_barrier(team);
    unpack_gradients(batch, team);
  }

 private:
  bool looks_up() const { return options_.shape.vocabulary > 0; }

  // The most of `most` and what calls of up to so many threads need.
  void add_sizes(const SequenceShape& shape, int threads, SequenceSizes& most) const {
    for (int n = 1; n <= threads; ++n) {  // the runtime may give fewer threads than asked for
      const SequenceSizes sizes = kernels_.sizes(shape, training_, n);
      most.tape = std::max(most.tape, sizes.tape);
      most.packed_weights = training_ ? 0 : sizes.packed_weights;
      most.forward_workspace = std::max(most.forward_workspace, sizes.forward_workspace);
      most.backward_workspace = std::max(most.backward_workspace, sizes.backward_workspace);
      if (!checkpoints_) continue;
      // The forward pass keeps no tape, and the backward pass runs forward too.
      most.backward_workspace = std::max(most.backward_workspace, sizes.forward_workspace);
      most.forward_workspace = std::max(most.forward_workspace, kernels_.sizes(shape, false, n).forward_workspace);
    }
  }

  void run_forward(const SequenceForward<T>& call, const Team& team) const {
    checkpoints_ ? checkpoints_.forward(call, kernels_, team) : kernels_.forward(call, team);
  }

  static SequenceForward<T> packed(SequenceForward<T> call, const PackedRows& batch) {
    call.shape.rows = batch.kernel_rows, call.shape.steps = batch.kernel_steps, call.shape.offsets = batch.offsets;
    return call;
  }

  void run_backward(const SequenceBackward<T>& call, const Team& team) const {
    checkpoints_ ? checkpoints_.backward(call, kernels_, op_kernels_, team) : kernels_.backward(call, team);
  }

  // What forward leaves to backward beside the tape.
  void take_saved(Parts<T>& parts) {
    if (options_.recurrent_dropout > 0) recurrent_mask_ = parts.take(rows_ * sizes_[0]);
    for (size_t i = 0; i < 2 && training_; ++i)
      if (options_.zoneout[i] > 0) holds_[i] = parts.take(N_ * T_ * sizes_[i]);
    checkpoints_.take_saved(parts);
    if (packed_ || (training_ && !has_sequence_ && !state_is_sequence_ && !checkpoints_))
      output_ = parts.take(N_ * T_ * sizes_[0]);
    if (!packed_) return;
    looks_up() ? void(ids_ = parts.template take_integers<int32_t>(N_ * T_)) : void(x_ = parts.take(N_ * T_ * I_));
    for (size_t i = 0; i < options_.states(); ++i)
      initial_[i] = parts.take(rows_ * sizes_[i]), state_[i] = parts.take(rows_ * sizes_[i]);
    packing_.take_saved(parts);
  }

  void take_workspace(Parts<T>& parts) {
    checkpoints_.take_workspace(parts, tape_size_);
    for (size_t i = 0; i < kParameters; ++i) scratch_[i] = scratch_size_[i] ? parts.take(scratch_size_[i]) : nullptr;
    if (!packed_) return;
    doutput_ = parts.take(N_ * T_ * sizes_[0]);
    dx_ = parts.take(N_ * T_ * I_);
    for (size_t i = 0; i < options_.states(); ++i)
      dstate_[i] = parts.take(rows_ * sizes_[i]), dinitial_[i] = parts.take(rows_ * sizes_[i]);
  }

  void bind_in_place() {
    const Buffers<T>& b = buffers_;
    SequenceForward<T>& f = call_.forward;
    const int64_t last = backwards_ ? T_ - 1 : 0, forth = backwards_ ? -N_ : N_;
    const int64_t first = last * N_ * I_, stride = forth * I_;
    if (looks_up())
      f.ids = {static_cast<const int32_t*>(b.inputs[0]) + last * N_, forth, 1};
    else
      f.x = {b.input(0) + first, stride, I_};
    // An output in the order of the input, written from its end on.
    const bool from_end = backwards_ && !reversed_ && has_sequence_;
    const int64_t first_output = from_end ? (T_ - 1) * N_ * sizes_[0] : 0,
                  output_stride = from_end ? -N_ * sizes_[0] : N_ * sizes_[0];
    f.output = {has_sequence_ ? b.output(0) + first_output : output_, output_stride, sizes_[0]};
    call_.doutput = {b.output_gradient(0) ? b.output_gradient(0) + first_output : nullptr, output_stride, sizes_[0]};
    call_.dx = {b.input_gradient(0) ? b.input_gradient(0) + first : nullptr, stride, I_};
    for (size_t i = 0; i < options_.states(); ++i) {
      f.initial_state[i] = b.input(kFirstStateInput + i);
      f.state[i] = b.output(kFirstStateOutput + i);
      call_.dstate[i] = b.output_gradient(kFirstStateOutput + i);
      call_.dinitial_state[i] = b.input_gradient(kFirstStateInput + i);
    }
    // The one step's h needs no copy.
    if (state_is_sequence_) f.output.data = std::exchange(f.state[0], nullptr);
  }

  void bind_packed() {
    const Buffers<T>& b = buffers_;
    SequenceForward<T>& f = call_.forward;
    f.x = {x_, 0, I_}, f.ids = {ids_, 0, 1};
    f.output = {output_, 0, sizes_[0]};
    call_.doutput = {b.output_gradient(0) ? doutput_ : nullptr, 0, sizes_[0]};
    call_.dx = {b.input_gradient(0) ? dx_ : nullptr, 0, I_};
    for (size_t i = 0; i < options_.states(); ++i) {
      f.initial_state[i] = b.input(kFirstStateInput + i) || b.input(reset_state(i)) ? initial_[i] : nullptr;
      f.state[i] = state_[i];
      call_.dstate[i] = b.output_gradient(kFirstStateOutput + i) ? dstate_[i] : nullptr;
      const bool wanted = b.input_gradient(kFirstStateInput + i) || b.input_gradient(reset_state(i));
      call_.dinitial_state[i] = wanted ? dinitial_[i] : nullptr;
    }
  }

  // Input slot of a state that rows begin anew with.
  size_t reset_state(size_t i) const { return options_.resets_slot() + 1 + i; }

  // The node's random numbers: array 0 is the mask of recurrent dropout (N, H), 1 and 2 what zoneout holds of h and c
  // (N, T, H). Results lie as the kernels see rows and steps.
  void draw(const Step& step, const PackedRows* batch, const Team& team) const {
    if (!recurrent_mask_ && !holds_[0] && !holds_[1]) return;
    const RandomStream stream{step.seed + options_.seed, step.number, node_};
    const Range mine = team_range(batch ? batch->count : N_, team, 1);
    for (int64_t r = mine.begin; r < mine.end; ++r) {
      const int64_t n = batch ? batch->rows[r] : r, length = batch ? batch->lengths[r] : T_;
      const T kept = static_cast<T>(1 / (1 - options_.recurrent_dropout));
      if (recurrent_mask_)
        op_kernels_.choose(
            {0, n * sizes_[0], sizes_[0], options_.recurrent_dropout, T(0), kept, recurrent_mask_ + r * sizes_[0]},
            stream);
      for (int i = 0; i < 2; ++i)
        for (int64_t k = 0; k < length && holds_[i]; ++k) {
          const int64_t time = batch ? batch->time(r, k) : k;
          T* holds = holds_[i] + ((batch ? batch->offsets[k] : k * N_) + r) * sizes_[i];
          op_kernels_.choose({1 + i, (n * T_ + time) * sizes_[i], sizes_[i], options_.zoneout[i], T(1), T(0), holds},
                             stream);
        }
    }
    if (!batch) team_barrier(team);
  }

  void pack(const PackedRows& batch, const Team& team) const {
    const T* x = buffers_.input(0);
    const auto* ids = static_cast<const int32_t*>(buffers_.inputs[0]);
    const Range rows = team_range(batch.count, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r];
      for (int64_t k = 0; k < batch.lengths[r]; ++k) {
        const int64_t from = batch.time(r, k) * N_ + n, to = batch.offsets[k] + r;
        looks_up() ? void(ids_[to] = ids[from]) : copy_row(x + from * I_, x_ + to * I_, I_);
      }
      for (size_t i = 0; i < options_.states(); ++i) {
        if (!call_.forward.initial_state[i]) continue;
        const T* from = buffers_.input(batch.resumes(r) ? kFirstStateInput + i : reset_state(i));
        if (from)
          copy_row(from + n * sizes_[i], initial_[i] + r * sizes_[i], sizes_[i]);
        else
          std::fill_n(initial_[i] + r * sizes_[i], sizes_[i], T(0));
      }
    }
  }

  void unpack(const PackedRows& batch, const Team& team) const {
    T* sequence = buffers_.output(0);
    const Range rows = team_range(batch.count, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r];
      for (size_t i = 0; i < options_.states() && batch.ends(r); ++i)
        if (T* state = buffers_.output(kFirstStateOutput + i))
          copy_row(state_[i] + r * sizes_[i], state + n * sizes_[i], sizes_[i]);
      if (!sequence) continue;
      const T* initial = buffers_.input(kFirstStateInput);
      if (initial) initial += n * sizes_[0];
      batch.visit_places(r, [&](int64_t, int64_t place, int64_t k, bool real) {
        const T* held = k < 0 ? initial : output_ + (batch.offsets[k] + r) * sizes_[0];
        if (held && (real || !options_.zero_output))
          copy_row(held, sequence + place * sizes_[0], sizes_[0]);
        else
          std::fill_n(sequence + place * sizes_[0], sizes_[0], T(0));
      });
    }
  }

  void pack_gradients(const PackedRows& batch, const Team& team) const {
    const T* dsequence = buffers_.output_gradient(0);
    const Range rows = team_range(batch.count, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r];
      for (size_t i = 0; i < options_.states(); ++i)
        if (const T* dstate = buffers_.output_gradient(kFirstStateOutput + i)) {
          if (batch.ends(r))
            copy_row(dstate + n * sizes_[i], dstate_[i] + r * sizes_[i], sizes_[i]);
          else
            std::fill_n(dstate_[i] + r * sizes_[i], sizes_[i], T(0));
        }
      if (!dsequence) continue;
      batch.visit_places(r, [&](int64_t, int64_t place, int64_t k, bool real) {
        if (real)
          copy_row(dsequence + place * sizes_[0], doutput_ + (batch.offsets[k] + r) * sizes_[0], sizes_[0]);
        else if (k >= 0 && !options_.zero_output)
          add_row(dsequence + place * sizes_[0], doutput_ + (batch.offsets[k] + r) * sizes_[0]);
      });
    }
  }

  void unpack_gradients(const PackedRows& batch, const Team& team) const {
    T* dx = buffers_.input_gradient(0);
    const T* dsequence = buffers_.output_gradient(0);
    const Range rows = team_range(batch.count, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r];
      for (size_t i = 0; i < options_.states() && batch.begins(r); ++i)
        if (T* dinitial = buffers_.input_gradient(kFirstStateInput + i)) {
          if (batch.resumes(r))
            copy_row(dinitial_[i] + r * sizes_[i], dinitial + n * sizes_[i], sizes_[i]);
          else
            std::fill_n(dinitial + n * sizes_[i], sizes_[i], T(0));
          if (i == 0 && dsequence && !options_.zero_output)
            batch.visit_places(r, [&](int64_t, int64_t place, int64_t k, bool) {
              if (k < 0) add_row(dsequence + place * sizes_[0], dinitial + n * sizes_[0]);
            });
        }
      if (dx)
        batch.visit_places(r, [&](int64_t time, int64_t, int64_t k, bool real) {
          T* to = dx + (time * N_ + n) * I_;
          real ? copy_row(dx_ + (batch.offsets[k] + r) * I_, to, I_) : static_cast<void>(std::fill_n(to, I_, T(0)));
        });
    }
    for (size_t i = 0; i < options_.states(); ++i)
      if (T* dreset = buffers_.input_gradient(reset_state(i))) add_resets(batch, dinitial_[i], sizes_[i], dreset, team);
  }

  // A row's sum over its pieces that begin anew. Each thread has some units.
  void add_resets(const PackedRows& batch, const T* dinitial, int64_t units, T* dreset, const Team& team) const {
    const Range mine = team_range(units, team, 16);
    for (int64_t n = 0; n < N_; ++n) std::fill(dreset + n * units + mine.begin, dreset + n * units + mine.end, T(0));
    for (int64_t r = 0; r < batch.count; ++r)
      for (int64_t u = mine.begin; u < mine.end && !batch.resumes(r); ++u)
        dreset[batch.rows[r] * units + u] += dinitial[r * units + u];
  }

  void add_row(const T* from, T* to) const {
    for (int64_t u = 0; u < sizes_[0]; ++u) to[u] += from[u];
  }

  RecurrentOptions options_;
  const SequenceKernels<T>& kernels_;
  const OpKernels<T>& op_kernels_;
  uint32_t node_;
  std::vector<T> mean_holds_[2];  // (H,) outside training
  Checkpoints<T> checkpoints_;
  int64_t tape_size_ = 0;  // of a segment between checkpoints
  bool training_;
  RowPacking packing_;
  bool packed_;
  bool backwards_, reversed_;  // the order of the steps, and of the sequence output
  bool has_sequence_;
  bool state_is_sequence_;  // of one step, which no one else wants
  int64_t N_, T_, I_;
  int64_t rows_;                       // of the kernels, at most
  int64_t sizes_[2];                   // of h and c
  int64_t scratch_size_[kParameters];  // gradients of parameters that do not train
  SequenceBackward<T> call_{};
  Buffers<T> buffers_;
  T* scratch_[kParameters] = {};
  T* holds_[2] = {};             // (T, N, H), packed like x
  T* recurrent_mask_ = nullptr;  // (N, H), rows as the kernels see them
  // Packed: x, output (Σ lengths, ·); states in sorted order (rows, H). `output_` is also the place of
  // the sequence that backward needs when nobody else reads it.
  int32_t* ids_ = nullptr;  // in place of x
  T *x_ = nullptr, *output_ = nullptr, *dx_ = nullptr, *doutput_ = nullptr;
  T *initial_[2] = {}, *state_[2] = {}, *dinitial_[2] = {}, *dstate_[2] = {};
};

}  // namespace

OpType recurrent_op(const CellFacts& cell) { return op_row<RecurrentOp>(cell.name, infer_recurrent, true); }

}  // namespace rnncore
