// simple_rnn, lstm, gru: x (N, T, I), lengths or mask, initial states -> sequence (N, T, H), final states.
//
// A sequence output is in processing order, or in that of the input when `aligned`. When all steps are real the
// kernels work on the values in place. Otherwise the real steps of each row are packed and the rows sorted; a step
// that is not real holds the state.
#include <algorithm>
#include <array>
#include <utility>

#include "engine/copy.h"
#include "engine/ops/checkpoints.h"
#include "engine/ops/registry.h"
#include "engine/threads.h"

namespace rnncore {
namespace {

struct CellFacts {
  Cell cell;
  int64_t gates;
  size_t states;
  bool split_bias;  // (2, G·H)
};

CellFacts cell_of(const Site& site) {
  const bool after = site.node.attributes.get("reset_after", true);
  const Cell cell = site.node.op == "lstm"         ? Cell::lstm
                    : site.node.op == "simple_rnn" ? Cell::simple_rnn
                    : after                        ? Cell::gru
                                                   : Cell::gru_reset_before;
  return {cell, gates_of(cell), static_cast<size_t>(states_of(cell)), cell == Cell::gru};
}

// Slots of a node: x, lengths or mask, initial states; sequence, final states; kernel, recurrent kernel, then what
// there is of bias and of the weights of an option, of which a node has one at most.
constexpr size_t kMaskInput = 1, kFirstStateInput = 2, kFirstStateOutput = 1;

// The slots of kernel, recurrent kernel, bias and an option's weights; kAbsent where there is none.
constexpr size_t kParameters = 4, kAbsent = 9;

// An attribute of a node that comes with weights: which, and their shape.
struct Option {
  const char* attribute;
  const char* weights;
  Shape shape;
};

std::vector<Option> options_of(const Site& site, int64_t hidden, int64_t units) {
  std::vector<Option> found;
  // A gain for each gate in each product; an lstm also has gain and shift of c.
  const int64_t gains = site.node.op == "lstm" ? 10 : site.node.op == "gru" ? 6 : 1;
  for (const Option& option :
       {Option{"peepholes", "peephole_kernel", {3, units}}, Option{"projected", "projection_kernel", {units, hidden}},
        Option{"layer_normalization", "normalization_weights", {gains, units}}})
    if (site.node.attributes.get(option.attribute, false)) found.push_back(option);
  return found;
}

std::array<size_t, kParameters> parameter_slots(const Site& site) {
  const bool further = !options_of(site, 0, 0).empty();
  const size_t others = site.parameters.size() - further;
  return {0, 1, others > 2 ? 2 : kAbsent, further ? others : kAbsent};
}

// Units that the gates have, and numbers of h.
int64_t units_of(const Site& site, const CellFacts& facts) {
  const Shape& recurrent = site.parameters[1]->shape;
  return recurrent.size() == 2 ? recurrent[1] / facts.gates : 0;
}
int64_t hidden_of(const Site& site) {
  const Shape& recurrent = site.parameters[1]->shape;
  return recurrent.empty() ? 0 : recurrent[0];
}

std::vector<Tensor> infer_recurrent(const Site& site) {
  const CellFacts facts = cell_of(site);
  const Tensor& x = expect_input(site, 0, 3);
  expect_slots(site, kFirstStateInput + facts.states, 2, std::max<size_t>(site.parameters.size(), 2));
  if (x.steps() < 1) fail(site, "expected at least one time step, got an input of shape " + to_string(x.shape));
  const Shape& recurrent = site.parameters[1]->shape;
  const bool projected = site.node.attributes.get("projected", false);
  const int64_t hidden = hidden_of(site), units = projected ? units_of(site, facts) : hidden;
  for (const char* name : {"recurrent_dropout", "zoneout", "cell_zoneout"}) {
    const double rate = site.node.attributes.get(name, 0.0);
    if (!(rate >= 0 && rate < 1))
      fail(site, std::string(name) + ": expected a number from 0 to below 1, got " + std::to_string(rate));
  }
  const std::string products = site.node.attributes.get("products", std::string("exact"));
  const bool normalized = site.node.attributes.get("layer_normalization", false);
  const bool own_loop = facts.cell == Cell::gru_reset_before || projected || normalized;
  if (products != "exact" && (products != "bfloat16" || own_loop))
    fail(site,
         "products: expected 'exact' or, with reset_after and neither projected nor layer_normalization, "
         "'bfloat16', got '" +
             products + "'");
  expect_shape(site, "recurrent_kernel", recurrent, {hidden, facts.gates * units});
  expect_shape(site, "kernel", site.parameters[0]->shape, {x.columns(), facts.gates * units});
  const auto options = options_of(site, hidden, units);
  if (!options.empty() && !normalized && facts.cell != Cell::lstm)
    fail(site, std::string(options[0].attribute) + ": only an lstm can have it");
  if (normalized && facts.cell == Cell::gru_reset_before)
    fail(site, "layer_normalization: expected reset_after beside it");
  if (options.size() > 1)
    fail(site, std::string(options[1].attribute) + ": expected no " + options[0].attribute + " beside it");
  const size_t parameters = 2 + options.size();
  if (site.parameters.size() < parameters || site.parameters.size() > parameters + 1)
    fail(site, "needs kernel, recurrent_kernel, at most one bias" +
                   (options.empty() ? std::string() : std::string(" and a ") + options[0].weights) + ", got " +
                   std::to_string(site.parameters.size()) + " parameters");
  if (projected || normalized)
    for (const char* name : {"zoneout", "cell_zoneout"})
      if (site.node.attributes.get(name, 0.0) > 0)
        fail(site, std::string("zoneout: expected none beside ") + options[0].attribute);
  const auto slots = parameter_slots(site);
  if (site.has_parameter(slots[2]))
    expect_shape(site, "bias", site.parameters[slots[2]]->shape,
                 facts.split_bias ? Shape{2, facts.gates * units} : Shape{facts.gates * units});
  if (!options.empty() && !site.has_parameter(slots[3])) fail(site, std::string("needs a ") + options[0].weights);
  if (!options.empty()) expect_shape(site, options[0].weights, site.parameters[slots[3]]->shape, options[0].shape);
  if (site.node.attributes.get("checkpoint_every", int64_t{0}) < 0) fail(site, "checkpoint_every: expected at least 0");
  if (site.has_input(kMaskInput)) {
    const Tensor& mask = *site.inputs[kMaskInput];
    expect_shape(site, "mask", mask.shape, {x.samples(), x.steps()});
    if (!mask.integer) fail(site, "mask: expected integers, got floating point values");
  }
  std::vector<Tensor> outputs{Tensor{{x.samples(), x.steps(), hidden}, false}};
  for (size_t i = 0; i < facts.states; ++i) {
    outputs.push_back(Tensor{{x.samples(), i == 0 ? hidden : units}, false});
    if (site.has_input(kFirstStateInput + i))
      expect_shape(site, "initial state", expect_input(site, kFirstStateInput + i, 2).shape, outputs.back().shape);
  }
  return outputs;
}

bool rounds_products(const Site& site) {
  return site.node.attributes.get("products", std::string("exact")) == "bfloat16";
}

template <class T>
const SequenceKernels<T>& kernels_for(const Site& site, const Kernels& kernels) {
  if constexpr (sizeof(T) == 4)
    if (rounds_products(site)) return kernels.sequence_bf16;
  return sequence_kernels<T>(kernels);
}

template <class T>
class RecurrentOp final : public Op<T> {
 public:
  RecurrentOp(const Site& site, const Kernels& kernels)
      : kernels_(kernels_for<T>(site, kernels)),
        op_kernels_(op_kernels<T>(kernels)),
        facts_(cell_of(site)),
        slots_(parameter_slots(site)),
        node_(site.index),
        seed_(static_cast<uint64_t>(site.node.attributes.get("seed", int64_t{0}))),
        recurrent_dropout_(site.training ? site.node.attributes.get("recurrent_dropout", 0.0) : 0.0),
        training_(site.training),
        masked_(site.has_input(kMaskInput)),
        packed_(site.ragged || masked_),
        backwards_(site.node.attributes.get("go_backwards", false)),
        reversed_(backwards_ && !site.node.attributes.get("aligned", false)),
        zero_output_(site.node.attributes.get("zero_output_for_mask", false)),
        has_sequence_(site.has_output(0)) {
    const Tensor& x = *site.inputs[0];
    N_ = x.samples(), T_ = x.steps(), I_ = x.columns();
    sizes_[0] = hidden_of(site), sizes_[1] = units_of(site, facts_);
    SequenceShape& shape = call_.forward.shape;
    shape.cell = facts_.cell;
    shape.activation = activation_of(site, "activation", "tanh");
    shape.recurrent_activation = activation_of(site, "recurrent_activation", "sigmoid");
    shape.cache_bytes = second_level_cache();
    shape.rows = N_, shape.steps = T_, shape.inputs = I_, shape.units = sizes_[1];
    shape.peepholes = site.node.attributes.get("peepholes", false);
    shape.normalized = site.node.attributes.get("layer_normalization", false);
    shape.bfloat16 = rounds_products(site);
    if (site.node.attributes.get("projected", false)) shape.projected = sizes_[0];
    shape.recurrent_dropout = recurrent_dropout_ > 0;
    zoneout_[0] = site.node.attributes.get("zoneout", 0.0);
    if (facts_.states > 1) zoneout_[1] = site.node.attributes.get("cell_zoneout", 0.0);
    shape.zoneout = zoneout_[0] > 0 || (facts_.states > 1 && zoneout_[1] > 0);
    for (size_t i = 0; i < 2 && !training_; ++i)
      if (zoneout_[i] > 0) mean_holds_[i].assign(static_cast<size_t>(sizes_[i]), static_cast<T>(zoneout_[i]));
    const int64_t every = training_ ? site.node.attributes.get("checkpoint_every", int64_t{0}) : 0;
    std::array<int64_t, kParameters> parameter_sizes{};
    for (size_t i = 0; i < kParameters; ++i) {
      const size_t slot = slots_[i];
      if (site.has_parameter(slot)) parameter_sizes[i] = site.parameters[slot]->size;
      scratch_size_[i] = site.has_parameter(slot) && !site.parameter_gradients[slot] ? parameter_sizes[i] : 0;
    }
    checkpoints_ = Checkpoints<T>(every, shape, static_cast<int64_t>(facts_.states), packed_, parameter_sizes);
    if (checkpoints_) tape_size_ = kernels_.sizes(checkpoints_.segment_shape(), true, 1).tape;
    state_is_sequence_ = T_ == 1 && !packed_ && !checkpoints_ && !has_sequence_ && site.has_output(kFirstStateOutput);
  }

  double flops() const override {
    const double projection = call_.forward.shape.projected > 0 ? static_cast<double>(sizes_[0] * sizes_[1]) : 0;
    const double gates = static_cast<double>(facts_.gates * sizes_[1]) * static_cast<double>(I_ + sizes_[0]);
    return 2.0 * static_cast<double>(N_ * T_) * (gates + projection);
  }

  // Threads wait for fewer others, and pack and read weights of one layer only; but all of them, which must not be too
  // far away. Measured; docs/kernel_notes.md has the figures.
  bool prefers_half(int threads) const override {
    constexpr int64_t kManyRows = 8, kLargeWeights = 8;  // the latter in second-level caches
    const int64_t cache = second_level_cache();
    const int64_t weights = facts_.gates * sizes_[1] * (I_ + sizes_[0]) * static_cast<int64_t>(sizeof(T));
    return N_ >= kManyRows ? weights <= kLargeWeights * cache : weights <= cache / 2 * (threads / 2);
  }

  int useful_threads(int limit) const override { return kernels_.sharing(call_.forward.shape, limit).threads; }

  Needs needs(int threads) const override {
    SequenceShape shape = checkpoints_.segment_shape();
    std::vector<int64_t> offsets;  // of full rows: the most there can be
    if (packed_) {
      for (int64_t t = 0; t <= shape.steps; ++t) offsets.push_back(t * N_);
      shape.offsets = offsets.data();
    }
    SequenceSizes most{};
    for (int n = 1; n <= threads; ++n) {  // the runtime may give fewer threads than asked for
      const SequenceSizes sizes = kernels_.sizes(shape, training_, n);
      most.tape = std::max(most.tape, sizes.tape);
      most.forward_workspace = std::max(most.forward_workspace, sizes.forward_workspace);
      most.backward_workspace = std::max(most.backward_workspace, sizes.backward_workspace);
      if (!checkpoints_) continue;
      // The forward pass keeps no tape, and the backward pass runs forward too.
      most.backward_workspace = std::max(most.backward_workspace, sizes.forward_workspace);
      most.forward_workspace = std::max(most.forward_workspace, kernels_.sizes(shape, false, n).forward_workspace);
    }
    RecurrentOp counted = *this;
    Parts<T> saved{nullptr}, workspace{nullptr};
    counted.take_saved(saved);
    counted.take_workspace(workspace);
    return {.saved = saved.used + (checkpoints_ ? 0 : most.tape),
            .forward_workspace = most.forward_workspace,
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
    f.kernel = b.parameter(0), f.recurrent_kernel = b.parameter(1), f.bias = b.parameter(slots_[2]);
    f.further = b.parameter(slots_[3]);
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
      T* gradient = b.parameter_gradient(slots_[i]);
      *gradients[i] = gradient ? gradient : scratch_[i];
    }
    if (packed_)
      bind_packed();
    else
      bind_in_place();
  }

  void forward(const Step& step, const Team& team) override {
    if (!packed_) {
      draw(step, nullptr, team);
      return run_forward(call_.forward, team);
    }
    if (masked_) {
      batch_.find_times(static_cast<const int32_t*>(buffers_.inputs[kMaskInput]), counts_, team);
      team_barrier(team);
      if (team.thread == 0) batch_.sort(counts_, {nullptr, N_});
      team_barrier(team);
    }
    const RaggedBatch& batch = masked_ ? batch_ : *step.ragged;
    pack(batch, team);
    draw(step, &batch, team);
    team_barrier(team);
    SequenceForward<T> f = call_.forward;
    f.shape.offsets = batch.offsets;
    run_forward(f, team);
    team_barrier(team);
    unpack(batch, team);
  }

  void backward(const Step& step, const Team& team) override {
    if (!packed_) return run_backward(call_, team);
    const RaggedBatch& batch = masked_ ? batch_ : *step.ragged;
    pack_gradients(batch, team);
    team_barrier(team);
    SequenceBackward<T> b = call_;
    b.forward.shape.offsets = batch.offsets;
    run_backward(b, team);
    team_barrier(team);
    unpack_gradients(batch, team);
  }

 private:
  void run_forward(const SequenceForward<T>& call, const Team& team) const {
    checkpoints_ ? checkpoints_.forward(call, kernels_, team) : kernels_.forward(call, team);
  }

  void run_backward(const SequenceBackward<T>& call, const Team& team) const {
    checkpoints_ ? checkpoints_.backward(call, kernels_, op_kernels_, team) : kernels_.backward(call, team);
  }

  // What forward leaves to backward beside the tape.
  void take_saved(Parts<T>& parts) {
    if (recurrent_dropout_ > 0) recurrent_mask_ = parts.take(N_ * sizes_[0]);
    for (size_t i = 0; i < 2 && training_; ++i)
      if (zoneout_[i] > 0) holds_[i] = parts.take(N_ * T_ * sizes_[i]);
    checkpoints_.take_saved(parts);
    if (packed_ || (training_ && !has_sequence_ && !state_is_sequence_ && !checkpoints_))
      output_ = parts.take(N_ * T_ * sizes_[0]);
    if (!packed_) return;
    x_ = parts.take(N_ * T_ * I_);
    for (size_t i = 0; i < facts_.states; ++i)
      initial_[i] = parts.take(N_ * sizes_[i]), state_[i] = parts.take(N_ * sizes_[i]);
    if (!masked_) return;
    batch_ = {N_,
              T_,
              parts.template take_integers<int32_t>(N_),
              parts.template take_integers<int32_t>(N_),
              parts.template take_integers<int64_t>(T_ + 1),
              parts.template take_integers<int32_t>(N_ * T_)};
    counts_ = parts.template take_integers<int32_t>(N_);
  }

  void take_workspace(Parts<T>& parts) {
    checkpoints_.take_workspace(parts, tape_size_);
    for (size_t i = 0; i < kParameters; ++i) scratch_[i] = scratch_size_[i] ? parts.take(scratch_size_[i]) : nullptr;
    if (!packed_) return;
    doutput_ = parts.take(N_ * T_ * sizes_[0]);
    dx_ = parts.take(N_ * T_ * I_);
    for (size_t i = 0; i < facts_.states; ++i)
      dstate_[i] = parts.take(N_ * sizes_[i]), dinitial_[i] = parts.take(N_ * sizes_[i]);
  }

  void bind_in_place() {
    const Buffers<T>& b = buffers_;
    SequenceForward<T>& f = call_.forward;
    const int64_t first = backwards_ ? (T_ - 1) * N_ * I_ : 0, stride = backwards_ ? -N_ * I_ : N_ * I_;
    f.x = {b.input(0) + first, stride, I_};
    // An output in the order of the input, written from its end on.
    const bool from_end = backwards_ && !reversed_ && has_sequence_;
    const int64_t first_output = from_end ? (T_ - 1) * N_ * sizes_[0] : 0,
                  output_stride = from_end ? -N_ * sizes_[0] : N_ * sizes_[0];
    f.output = {has_sequence_ ? b.output(0) + first_output : output_, output_stride, sizes_[0]};
    call_.doutput = {b.output_gradient(0) ? b.output_gradient(0) + first_output : nullptr, output_stride, sizes_[0]};
    call_.dx = {b.input_gradient(0) ? b.input_gradient(0) + first : nullptr, stride, I_};
    for (size_t i = 0; i < facts_.states; ++i) {
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
    f.x = {x_, 0, I_};
    f.output = {output_, 0, sizes_[0]};
    call_.doutput = {b.output_gradient(0) ? doutput_ : nullptr, 0, sizes_[0]};
    call_.dx = {b.input_gradient(0) ? dx_ : nullptr, 0, I_};
    for (size_t i = 0; i < facts_.states; ++i) {
      f.initial_state[i] = b.input(kFirstStateInput + i) ? initial_[i] : nullptr;
      f.state[i] = state_[i];
      call_.dstate[i] = b.output_gradient(kFirstStateOutput + i) ? dstate_[i] : nullptr;
      call_.dinitial_state[i] = b.input_gradient(kFirstStateInput + i) ? dinitial_[i] : nullptr;
    }
  }

  // The node's random numbers: array 0 is the mask of recurrent dropout (N, H), 1 and 2 what zoneout holds of h and c
  // (N, T, H). Results lie as the kernels see rows and steps.
  void draw(const Step& step, const RaggedBatch* batch, const Team& team) const {
    if (!recurrent_mask_ && !holds_[0] && !holds_[1]) return;
    const RandomStream stream{step.seed + seed_, step.number, node_};
    const Range mine = team_range(N_, team, 1);
    for (int64_t r = mine.begin; r < mine.end; ++r) {
      const int64_t n = batch ? batch->rows[r] : r, length = batch ? batch->lengths[r] : T_;
      const T kept = static_cast<T>(1 / (1 - recurrent_dropout_));
      if (recurrent_mask_)
        op_kernels_.choose(
            {0, n * sizes_[0], sizes_[0], recurrent_dropout_, T(0), kept, recurrent_mask_ + r * sizes_[0]}, stream);
      for (int i = 0; i < 2; ++i)
        for (int64_t k = 0; k < length && holds_[i]; ++k) {
          const int64_t time = batch ? time_of(*batch, n, k, length) : k;
          T* holds = holds_[i] + ((batch ? batch->offsets[k] : k * N_) + r) * sizes_[i];
          op_kernels_.choose({1 + i, (n * T_ + time) * sizes_[i], sizes_[i], zoneout_[i], T(1), T(0), holds}, stream);
        }
    }
    if (!batch) team_barrier(team);
  }

  // Time that step k of row n reads.
  int64_t time_of(const RaggedBatch& batch, int64_t n, int64_t k, int64_t length) const {
    return batch.time(n, backwards_ ? length - 1 - k : k);
  }

  // Calls visit(place, k, real) for each place of row n in a sequence, in processing order: step k is the last one
  // done there, -1 before the first; it is that very place's when `real`.
  template <class Visit>
  void visit_places(const RaggedBatch& batch, int64_t n, int64_t length, const Visit& visit) const {
    for (int64_t p = 0, k = -1; p < T_; ++p) {
      const int64_t t = backwards_ ? T_ - 1 - p : p;
      const bool real = k + 1 < length && time_of(batch, n, k + 1, length) == t;
      k += real;
      visit((reversed_ ? p : t) * N_ + n, k, real);
    }
  }

  void pack(const RaggedBatch& batch, const Team& team) const {
    const T* x = buffers_.input(0);
    const Range rows = team_range(N_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r], length = batch.lengths[r];
      for (int64_t k = 0; k < length; ++k)
        copy_row(x + (time_of(batch, n, k, length) * N_ + n) * I_, x_ + (batch.offsets[k] + r) * I_, I_);
      for (size_t i = 0; i < facts_.states; ++i)
        if (const T* initial = buffers_.input(kFirstStateInput + i))
          copy_row(initial + n * sizes_[i], initial_[i] + r * sizes_[i], sizes_[i]);
    }
  }

  void unpack(const RaggedBatch& batch, const Team& team) const {
    T* sequence = buffers_.output(0);
    const Range rows = team_range(N_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r], length = batch.lengths[r];
      for (size_t i = 0; i < facts_.states; ++i)
        if (T* state = buffers_.output(kFirstStateOutput + i))
          copy_row(state_[i] + r * sizes_[i], state + n * sizes_[i], sizes_[i]);
      if (!sequence) continue;
      const T* initial = buffers_.input(kFirstStateInput) ? initial_[0] + r * sizes_[0] : nullptr;
      visit_places(batch, n, length, [&](int64_t place, int64_t k, bool real) {
        const T* held = k < 0 ? initial : output_ + (batch.offsets[k] + r) * sizes_[0];
        if (held && (real || !zero_output_))
          copy_row(held, sequence + place * sizes_[0], sizes_[0]);
        else
          std::fill_n(sequence + place * sizes_[0], sizes_[0], T(0));
      });
    }
  }

  void pack_gradients(const RaggedBatch& batch, const Team& team) const {
    const T* dsequence = buffers_.output_gradient(0);
    const Range rows = team_range(N_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r], length = batch.lengths[r];
      for (size_t i = 0; i < facts_.states; ++i)
        if (const T* dstate = buffers_.output_gradient(kFirstStateOutput + i))
          copy_row(dstate + n * sizes_[i], dstate_[i] + r * sizes_[i], sizes_[i]);
      if (!dsequence) continue;
      visit_places(batch, n, length, [&](int64_t place, int64_t k, bool real) {
        if (real)
          copy_row(dsequence + place * sizes_[0], doutput_ + (batch.offsets[k] + r) * sizes_[0], sizes_[0]);
        else if (k >= 0 && !zero_output_)
          add_row(dsequence + place * sizes_[0], doutput_ + (batch.offsets[k] + r) * sizes_[0]);
      });
    }
  }

  void unpack_gradients(const RaggedBatch& batch, const Team& team) const {
    T* dx = buffers_.input_gradient(0);
    const T* dsequence = buffers_.output_gradient(0);
    const Range rows = team_range(N_, team, 1);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t n = batch.rows[r], length = batch.lengths[r];
      for (size_t i = 0; i < facts_.states; ++i)
        if (T* dinitial = buffers_.input_gradient(kFirstStateInput + i)) {
          copy_row(dinitial_[i] + r * sizes_[i], dinitial + n * sizes_[i], sizes_[i]);
          if (i == 0 && dsequence && !zero_output_)
            visit_places(batch, n, length, [&](int64_t place, int64_t k, bool) {
              if (k < 0) add_row(dsequence + place * sizes_[0], dinitial + n * sizes_[0]);
            });
        }
      if (!dx) continue;
      if (length < T_)
        for (int64_t t = 0; t < T_; ++t) std::fill_n(dx + (t * N_ + n) * I_, I_, T(0));
      for (int64_t k = 0; k < length; ++k)
        copy_row(dx_ + (batch.offsets[k] + r) * I_, dx + (time_of(batch, n, k, length) * N_ + n) * I_, I_);
    }
  }

  void add_row(const T* from, T* to) const {
    for (int64_t u = 0; u < sizes_[0]; ++u) to[u] += from[u];
  }

  const SequenceKernels<T>& kernels_;
  const OpKernels<T>& op_kernels_;
  CellFacts facts_;
  std::array<size_t, kParameters> slots_;
  uint32_t node_;
  uint64_t seed_;
  double recurrent_dropout_;
  double zoneout_[2] = {};        // of h and c
  std::vector<T> mean_holds_[2];  // (H,) outside training
  Checkpoints<T> checkpoints_;
  int64_t tape_size_ = 0;  // of a segment between checkpoints
  bool training_, masked_, packed_;
  bool backwards_, reversed_;  // the order of the steps, and of the sequence output
  bool zero_output_, has_sequence_;
  bool state_is_sequence_;  // of one step, which no one else wants
  int64_t N_, T_, I_;
  int64_t sizes_[2];                   // of h and c
  int64_t scratch_size_[kParameters];  // gradients of parameters that do not train
  SequenceBackward<T> call_{};
  Buffers<T> buffers_;
  T* scratch_[kParameters] = {};
  T* holds_[2] = {};             // (T, N, H), packed like x
  T* recurrent_mask_ = nullptr;  // (N, H), rows as the kernels see them
  RaggedBatch batch_{};          // of a mask
  int32_t* counts_ = nullptr;
  // Packed: x, output (Σ lengths, ·); states in sorted order (N, H). `output_` is also the place of
  // the sequence that backward needs when nobody else reads it.
  T *x_ = nullptr, *output_ = nullptr, *dx_ = nullptr, *doutput_ = nullptr;
  T *initial_[2] = {}, *state_[2] = {}, *dinitial_[2] = {}, *dstate_[2] = {};
};

}  // namespace

OpType simple_rnn_op() { return op_row<RecurrentOp>("simple_rnn", infer_recurrent, true); }
OpType lstm_op() { return op_row<RecurrentOp>("lstm", infer_recurrent, true); }
OpType gru_op() { return op_row<RecurrentOp>("gru", infer_recurrent, true); }

}  // namespace rnncore
