#include "engine/plan.h"

#include <algorithm>
#include <utility>

#include "engine/threads.h"

namespace rnncore {

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
    if (is_lent_[value]) continue;
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
  const Step step{seed, number, shape_.ragged ? &ragged_ : nullptr, states.data, states.resume, keys_};
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
