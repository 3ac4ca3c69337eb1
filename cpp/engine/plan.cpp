#include "engine/plan.h"

#include <algorithm>
#include <utility>

#include "engine/threads.h"

namespace rnncore {

// How weights are packed: for an op, or with a table of these embeddings.
static std::string packing_of(const Site& site) {
  const Node& node = site.node;
  return site.inputs[0]->integer ? node.op + " of " + std::to_string(node.parameters.back()) : node.op;
}

template <class T>
Plan<T>::Plan(const Program& program, const Training& training, const Kernels& kernels, const BatchShape& shape)
    : tensors_(infer_shapes(program, shape.inputs)),
      folded_(with_tables(program, shape, sizeof(T))),
      program_(folded_ ? *folded_ : program),
      kernels_(op_kernels<T>(kernels)),
      shape_(shape) {
  if (shape_.measures()) {
    objective_ = std::make_unique<Objective<T>>(training, program, tensors_, kernels, fault_);
    for (const auto& r : training.activity_regularizers) penalised_.push_back(r.value);
  }
  if (const std::vector<bool> made = made_values(program_); folded_)
    for (size_t i = 0; i < made.size(); ++i)
      if (!made[i]) tensors_[i] = {};
  const std::vector<size_t> order = paired_order(program_, tensors_);
  for (size_t i = 0; i < order.size(); ++i) {
    nodes_.emplace_back(make_site(program_, order[i], tensors_));
    if (i > 0 && !nodes_[i - 1].beside_next) nodes_[i - 1].beside_next = may_pair(nodes_[i - 1].site, nodes_[i].site);
  }
  plan_gradients(training);
  make_ops(kernels);
}

// Those that serve the largest node, with its equal beside it where it has one.
template <class T>
int Plan<T>::threads() const {
  return threads_for(flops_, [&](int limit) {
    double most = 0;
    int useful = limit;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const auto& op = nodes_[i].op;
      if (!op || op->flops() <= most) continue;
      most = op->flops();
      useful = nodes_[i].beside_next ? std::min(limit, 2 * op->useful_threads(limit / 2)) : op->useful_threads(limit);
    }
    return useful;
  });
}

// Whether a node and the next one each take half of the team.
template <class T>
bool Plan<T>::run_as_halves(size_t first, const Team& team) const {
  const PlannedNode& node = nodes_[first];
  return node.beside_next && node.op && nodes_[first + 1].op && team.threads % 2 == 0 &&
         node.op->prefers_half(team.threads);
}

// Which values and parameters get a gradient, and who writes it first.
template <class T>
void Plan<T>::plan_gradients(const Training& training) {
  const size_t values = tensors_.size();
  needs_gradient_.assign(values, false);
  has_gradient_.assign(values, false);
  first_gradient_.assign(values, end_position());
  written_.assign(program_.parameters.size(), false);
  for (PlannedNode& node : nodes_) {
    node.site.input_gradients.assign(node.site.inputs.size(), false);
    node.site.parameter_gradients.assign(node.site.parameters.size(), false);
    node.input_additions.assign(node.site.inputs.size(), kAbsent);
    node.parameter_additions.assign(node.site.parameters.size(), kAbsent);
  }
  if (!shape_.differentiates()) return;

  if (shape_.mode == Mode::differentiation)
    for (const int id : program_.inputs) needs_gradient_[index(id)] = !tensors_[index(id)].integer;
  for (PlannedNode& node : nodes_) {
    bool needs = false;
    for (size_t slot = 0; slot < node.site.parameters.size(); ++slot)
      needs |= node.site.parameter_gradients[slot] =
          node.site.has_parameter(slot) && node.site.parameters[slot]->trainable;
    for (size_t slot = 0; slot < node.site.inputs.size(); ++slot)
      needs |= node.site.input_gradients[slot] =
          node.site.has_input(slot) && needs_gradient_[index(node.site.node.inputs[slot])];
    for (const int id : node.site.node.outputs)
      if (id != kAbsent) needs_gradient_[index(id)] = needs && !tensors_[index(id)].integer;
  }

  const auto starts = [&](int id) {
    if (!needs_gradient_[index(id)]) return;
    has_gradient_[index(id)] = true;
    first_gradient_[index(id)] = objective_position();
  };
  if (shape_.mode == Mode::differentiation)
    for (const int id : program_.outputs) starts(id);
  else
    for (const auto& loss : training.losses) starts(program_.outputs[static_cast<size_t>(loss.output)]);
  for (const int id : penalised_) starts(id);

  for (size_t i = nodes_.size(); i-- > 0;) {
    PlannedNode& node = nodes_[i];
    for (const int id : node.site.node.outputs) node.runs_backward |= id != kAbsent && has_gradient_[index(id)];
    if (!node.runs_backward) continue;
    for (size_t slot = 0; slot < node.site.inputs.size(); ++slot) {
      if (!node.site.input_gradients[slot]) continue;
      const size_t value = index(node.site.node.inputs[slot]);
      if (has_gradient_[value])
        node.input_additions[slot] =
            add_block(bytes_of(tensors_[value].size()), backward_position(i), backward_position(i));
      else
        first_gradient_[value] = backward_position(i);
      has_gradient_[value] = true;
    }
    for (size_t slot = 0; slot < node.site.parameters.size(); ++slot) {
      if (!node.site.parameter_gradients[slot]) continue;
      const size_t parameter = index(node.site.node.parameters[slot]);
      if (written_[parameter])
        node.parameter_additions[slot] =
            add_block(bytes_of(program_.parameters[parameter].size), backward_position(i), backward_position(i));
      written_[parameter] = true;
    }
  }
}

template <class T>
void Plan<T>::make_ops(const Kernels& kernels) {
  for (PlannedNode& node : nodes_) {
    const Site& site = node.site;
    const auto& inputs = site.node.inputs;
    node.site.training = shape_.differentiates();
    node.site.ragged = shape_.ragged && std::find(inputs.begin(), inputs.end(), program_.lengths) != inputs.end();
    if (!site.outputs.empty() &&
        std::all_of(site.outputs.begin(), site.outputs.end(), [](const Tensor* t) { return t == nullptr; }))
      continue;
    node.op = op_type(site.node.op).template make<T>(site, kernels);
    node.operations = static_cast<int64_t>(node.op->flops());
    flops_ += node.op->flops() * (shape_.differentiates() ? 3 : 1);
    if (!site.ragged) continue;
    for (size_t slot = 0; slot < inputs.size(); ++slot) {
      if (inputs[slot] != program_.lengths) continue;
      const Tensor& timed = *site.inputs[node.op->timed_input(slot)];
      const int64_t steps = timed.steps();
      if (timed.samples() != samples())
        throw std::invalid_argument(site.node.name + ": the lengths belong to " + std::to_string(samples()) +
                                    " samples, got an input of shape " + to_string(timed.shape));
      ragged_steps_ = ragged_steps_ ? std::min(ragged_steps_, steps) : steps;
      ragged_.steps = std::max(ragged_.steps, steps);
    }
  }
  ragged_.samples = samples();
  for (const int input : program_.inputs) {
    int64_t limit = 0;
    for (const PlannedNode& node : nodes_)
      if (const int64_t known = node.op ? node.op->id_limit() : 0; known > 0 && node.site.node.inputs[0] == input)
        limit = limit > 0 ? std::min(limit, known) : known;
    id_limits_.push_back(limit);
  }
}

template <class T>
int Plan<T>::add_block(int64_t bytes, int first, int last) {
  blocks_.push_back({bytes, first, last});
  return static_cast<int>(blocks_.size()) - 1;
}

template <class T>
int64_t Plan<T>::reserve(int threads) {
  if (threads <= threads_) return bytes_;
  threads_ = threads;
  memory_ = nullptr;
  if (value_block_.empty()) add_value_blocks();
  blocks_.resize(fixed_blocks_);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    PlannedNode& node = nodes_[i];
    if (!node.op) continue;
    const Needs needs = node.op->needs(threads);
    const int last = node.runs_backward ? backward_position(i) : position(i);
    node.saved = add_block(bytes_of(needs.saved), position(i), last);
    node.forward_workspace = add_block(bytes_of(needs.forward_workspace), position(i), position(i));
    node.backward_workspace = add_block(node.runs_backward ? bytes_of(needs.backward_workspace) : 0, last, last);
  }
  return bytes_ = place(blocks_);
}

// Whether the objective may put the gradient of a value where the value is.
template <class T>
bool Plan<T>::may_overwrite(size_t value) const {
  const auto& outputs = program_.outputs;
  const int id = static_cast<int>(value);
  if (shape_.mode != Mode::training || std::count(outputs.begin(), outputs.end(), id) != 1) return false;
  if (std::find(penalised_.begin(), penalised_.end(), id) != penalised_.end()) return false;
  return objective_->may_overwrite(
      static_cast<size_t>(std::find(outputs.begin(), outputs.end(), id) - outputs.begin()));
}

// Blocks whose sizes do not depend on the number of threads.
template <class T>
void Plan<T>::add_value_blocks() {
  const size_t values = tensors_.size();
  std::vector<int> first(values, 0), last(values, 0), last_gradient(values, end_position());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const PlannedNode& node = nodes_[i];
    if (!node.op) continue;
    const Needs needs = node.op->needs(1);
    const auto extend = [&](int id, bool kept) {
      last[index(id)] = std::max(last[index(id)], kept && node.runs_backward ? backward_position(i) : position(i));
    };
    for (size_t slot = 0; slot < node.site.inputs.size(); ++slot)
      if (node.site.has_input(slot)) extend(node.site.node.inputs[slot], needs.keeps_inputs);
    for (const int id : node.site.node.outputs) {
      if (id == kAbsent) continue;
      first[index(id)] = position(i);
      last_gradient[index(id)] = backward_position(i);
      extend(id, needs.keeps_outputs);
    }
  }
  for (const auto* ids : {&program_.outputs, &program_.masks, &std::as_const(penalised_)})
    for (const int id : *ids)
      if (id != kAbsent) last[index(id)] = std::max(last[index(id)], objective_position());

  value_block_.assign(values, kAbsent);
  gradient_block_.assign(values, kAbsent);
  for (size_t value = 0; value < values; ++value) {
    if (static_cast<int>(value) == program_.lengths) continue;
    const Tensor& tensor = tensors_[value];
    if (tensor.shape.empty()) continue;  // nobody makes it
    const int64_t bytes =
        tensor.integer ? tensor.size() * static_cast<int64_t>(sizeof(int32_t)) : bytes_of(tensor.size());
    const bool shared = has_gradient_[value] && last[value] == objective_position() && may_overwrite(value);
    value_block_[value] = add_block(bytes, first[value], shared ? last_gradient[value] : last[value]);
    if (shared)
      gradient_block_[value] = value_block_[value];
    else if (has_gradient_[value])
      gradient_block_[value] = add_block(bytes, first_gradient_[value], last_gradient[value]);
  }
  if (ragged_steps_ > 0) {
    const int64_t rows = samples() * static_cast<int64_t>(sizeof(int32_t));
    ragged_block_[0] = add_block(rows, 0, end_position());
    ragged_block_[1] = add_block(rows, 0, end_position());
    ragged_block_[2] = add_block((ragged_.steps + 1) * static_cast<int64_t>(sizeof(int64_t)), 0, end_position());
  }
  if (objective_) objective_block_ = add_block(objective_->bytes(), 0, end_position());
  fixed_blocks_ = blocks_.size();
}

template <class T>
void Plan<T>::bind(std::byte* memory, T* parameters, T* gradients, PackedWeights& packed) {
  if (memory == memory_ && &packed == packed_) return;
  memory_ = memory;
  gradients_ = gradients;
  packed_ = &packed;
  for (PlannedNode& node : nodes_)
    if (const int64_t size = node.op ? node.op->needs(1).packed_weights : 0; size > 0)
      node.packed =
          &packed.place(packing_of(node.site), node.site.node.parameters[0], static_cast<size_t>(bytes_of(size)));
  ragged_.rows = at<int32_t>(ragged_block_[0]);
  ragged_.lengths = at<int32_t>(ragged_block_[1]);
  ragged_.offsets = at<int64_t>(ragged_block_[2]);
  for (PlannedNode& node : nodes_)
    if (node.op) node.op->bind(buffers_of(node, parameters));
  if (!objective_) return;
  ObjectiveBuffers<T> b{.memory = at<std::byte>(objective_block_), .parameters = parameters, .gradients = gradients};
  for (size_t i = 0; i < program_.outputs.size(); ++i) {
    const size_t value = index(program_.outputs[i]);
    const int mask = program_.mask_of(i);
    b.outputs.push_back(at<T>(value_block_[value]));
    b.output_gradients.push_back(at<T>(gradient_block_[value]));
    b.masks.push_back(mask == kAbsent || mask == program_.lengths ? nullptr : at<int32_t>(value_block_[index(mask)]));
  }
  for (const int id : penalised_) {
    b.penalised.push_back(at<T>(value_block_[index(id)]));
    b.penalised_gradients.push_back(at<T>(gradient_block_[index(id)]));
  }
  objective_->bind(b);
}

template <class T>
Buffers<T> Plan<T>::buffers_of(PlannedNode& node, T* parameters) {
  const Site& site = node.site;
  Buffers<T> b{};
  node.additions.clear();
  for (size_t slot = 0; slot < site.inputs.size(); ++slot) {
    const size_t value = site.has_input(slot) ? index(site.node.inputs[slot]) : 0;
    b.inputs.push_back(site.has_input(slot) ? at<std::byte>(value_block_[value]) : nullptr);
    T* gradient = site.input_gradients[slot] && node.runs_backward ? at<T>(gradient_block_[value]) : nullptr;
    if (const int block = node.input_additions[slot]; block != kAbsent) {
      node.additions.push_back({at<T>(block), gradient, tensors_[value].size()});
      gradient = at<T>(block);
    }
    b.input_gradients.push_back(gradient);
  }
  for (const int id : site.node.outputs) {
    b.outputs.push_back(id == kAbsent ? nullptr : at<T>(value_block_[index(id)]));
    b.output_gradients.push_back(id == kAbsent ? nullptr : at<T>(gradient_block_[index(id)]));
  }
  for (size_t slot = 0; slot < site.parameters.size(); ++slot) {
    const Parameter* parameter = site.parameters[slot];
    b.parameters.push_back(parameter ? parameters + parameter->offset : nullptr);
    T* gradient = parameter && site.parameter_gradients[slot] ? gradients_ + parameter->offset : nullptr;
    if (const int block = node.parameter_additions[slot]; block != kAbsent) {
      node.additions.push_back({at<T>(block), gradient, parameter->size});
      gradient = at<T>(block);
    }
    b.parameter_gradients.push_back(gradient);
  }
  b.saved = at<T>(node.saved);
  b.packed_weights = node.packed ? node.packed->memory.template as<T>() : nullptr;
  b.forward_workspace = at<T>(node.forward_workspace);
  b.backward_workspace = at<T>(node.backward_workspace);
  return b;
}

template <class T>
std::string Plan<T>::id_error(size_t input, int32_t id) const {
  return "inputs[" + std::to_string(input) + "]: expected ids from 0 to " + std::to_string(id_limits_[input] - 1) +
         ", got " + std::to_string(id);
}

template <class T>
void Plan<T>::check_ids(const Samples& samples, const BatchRows& rows) const {
  for (size_t i = 0; i < id_limits_.size(); ++i) {
    if (id_limits_[i] == 0) continue;
    const Tensor& tensor = tensors_[index(program_.inputs[i])];
    const int64_t width = tensor.steps() * tensor.width();
    for (int64_t n = 0; n < rows.count; ++n)
      for (int64_t j = 0; j < width; ++j)
        if (const int32_t id = static_cast<const int32_t*>(samples.inputs[i].data)[rows.row(n) * width + j];
            id < 0 || id >= id_limits_[i])
          throw std::invalid_argument(id_error(i, id));
  }
}

// What `check_ids` saw may have changed since.
template <class T>
void Plan<T>::check_loaded_ids(size_t input, const Team& team) {
  const size_t value = index(program_.inputs[input]);
  const Tensor& tensor = tensors_[value];
  const int32_t* ids = at<int32_t>(value_block_[value]);
  const Range mine = team_range(samples(), team, 1);
  const int64_t steps = tensor.steps(), width = tensor.width();
  for (int64_t t = 0; t < steps; ++t)
    for (int64_t j = (t * samples() + mine.begin) * width; j < (t * samples() + mine.end) * width; ++j)
      if (ids[j] < 0 || ids[j] >= id_limits_[input]) return fault_.set(id_error(input, ids[j]));
}

template <class T>
void Plan<T>::pack(const Team& team) {
  const auto stale = [&](const PlannedNode& node) { return node.packed && node.packed->version != packed_->version(); };
  bool any = false;
  for (const PlannedNode& node : nodes_)
    if (stale(node)) node.op->pack(team), any = true;
  if (!any) return;
  team_barrier(team);
  if (team.thread == 0)
    for (PlannedNode& node : nodes_)
      if (node.packed) node.packed->version = packed_->version();
  team_barrier(team);
}

template <class T>
void Plan<T>::load(const Samples& samples, const BatchRows& rows, const Team& team) {
  for (size_t i = 0; i < program_.inputs.size(); ++i) {
    const size_t value = index(program_.inputs[i]);
    const Tensor& tensor = tensors_[value];
    const void* from = samples.inputs[i].data;
    if (tensor.integer) {
      gather(static_cast<const int32_t*>(from), at<int32_t>(value_block_[value]), tensor.steps(), tensor.width(), rows,
             team);
      if (id_limits_[i] > 0) check_loaded_ids(i, team);
    } else
      gather(static_cast<const T*>(from), at<T>(value_block_[value]), tensor.steps(), tensor.width(), rows, team);
  }
  if (ragged_steps_ > 0 && team.thread == 0) ragged_.sort(samples.lengths, rows);
  if (objective_) objective_->load(samples, rows, team);
  team_barrier(team);
}

template <class T>
void Plan<T>::forward(uint64_t seed, uint32_t number, const States& states, const Team& team) {
  const Step step{seed, number, shape_.ragged ? &ragged_ : nullptr, states.data, states.resume};
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].op) continue;
    may_stop(team, nodes_[i].operations);
    if (run_as_halves(i, team)) {
      nodes_[i + in_second_half(team)].op->forward(step, half_of(team));
      ++i;
    } else {
      nodes_[i].op->forward(step, team);
    }
    team_barrier(team);
  }
}

template <class T>
void Plan<T>::backward(uint64_t seed, uint32_t number, const States& states, const Team& team) {
  const Step step{seed, number, shape_.ragged ? &ragged_ : nullptr, states.data, states.resume};
  for (size_t i = 0; i < written_.size(); ++i) {
    const Parameter& parameter = program_.parameters[i];
    if (!written_[i] && parameter.trainable) zero(parameter.size, gradients_ + parameter.offset, team);
  }
  for (size_t end = nodes_.size(); end-- > 0;) {
    size_t first = end;
    if (!nodes_[end].op || !nodes_[end].runs_backward) continue;
    may_stop(team, 2 * nodes_[end].operations);
    if (end > 0 && nodes_[end - 1].runs_backward && run_as_halves(end - 1, team)) {
      --first;
      nodes_[first + in_second_half(team)].op->backward(step, half_of(team));
    } else {
      nodes_[end].op->backward(step, team);
    }
    team_barrier(team);
    // In order: two of them may go to the same gradient. Each thread adds the same part of each.
    bool added = false;
    for (size_t i = end + 1; i-- > first;)
      for (const Addition& addition : nodes_[i].additions) {
        kernels_.add(addition.size, addition.from, addition.to, team);
        added = true;
      }
    if (added) team_barrier(team);
    end = first;
  }
}

template class Plan<float>;
template class Plan<double>;

}  // namespace rnncore
