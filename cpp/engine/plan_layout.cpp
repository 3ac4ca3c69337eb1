// How a Plan is made: its ops, their gradients, and where each buffer lies.
#include <algorithm>
#include <utility>

#include "engine/plan.h"

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
      shape_(shape),
      lent_(tensors_.size()),
      is_lent_(tensors_.size()) {
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
    if (tensor.shape.empty() || is_lent_[value]) continue;  // nobody makes it
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
  for (PlannedNode& node : nodes_) {
    if (!node.op) continue;
    Buffers<T> buffers = buffers_of(node, parameters);
    node.op->bind(buffers);
    const auto& inputs = node.site.node.inputs;
    if (std::any_of(inputs.begin(), inputs.end(), [&](int id) { return id != kAbsent && is_lent_[index(id)]; }))
      node.buffers = std::move(buffers);
  }
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
    b.inputs.push_back(!site.has_input(slot) ? nullptr
                       : is_lent_[value]     ? lent_[value]
                                             : at<std::byte>(value_block_[value]));
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

// The class is one of several files, none of which has all of it.
#define RNNCORE_INSTANTIATE(T)                                                                \
  template Plan<T>::Plan(const Program&, const Training&, const Kernels&, const BatchShape&); \
  template void Plan<T>::plan_gradients(const Training&);                                     \
  template void Plan<T>::make_ops(const Kernels&);                                            \
  template int Plan<T>::add_block(int64_t, int, int);                                         \
  template int64_t Plan<T>::reserve(int);                                                     \
  template bool Plan<T>::may_overwrite(size_t) const;                                         \
  template void Plan<T>::add_value_blocks();                                                  \
  template void Plan<T>::bind(std::byte*, T*, T*, PackedWeights&);                            \
  template Buffers<T> Plan<T>::buffers_of(PlannedNode&, T*);                                  \
  template std::string Plan<T>::id_error(size_t, int32_t) const;
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
