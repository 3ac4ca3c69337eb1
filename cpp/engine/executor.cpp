#include "engine/executor.h"

#include <algorithm>
#include <chrono>

#include "engine/threads.h"

namespace rnncore {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollInterval = std::chrono::milliseconds(50);

// The batch sizes of an epoch are two: the usual one and that of the last batch. A few more plans serve
// validation and prediction in between.
constexpr size_t kPlans = 8;

// Nodes are in an order in which each value is made, once, before it is read; so there is no cycle.
void check_order(const Program& program) {
  std::vector<bool> made(program.values.size());
  for (const int id : program.inputs) made[static_cast<size_t>(id)] = true;
  if (program.lengths != kAbsent) made[static_cast<size_t>(program.lengths)] = true;
  const auto read = [&](const std::string& reader, int id) {
    if (id != kAbsent && !made[static_cast<size_t>(id)])
      throw std::invalid_argument("program: " + reader + " reads value " + std::to_string(id) + " before it is made");
  };
  for (const Node& node : program.nodes) {
    for (const int id : node.inputs) read(node.name, id);
    for (const int id : node.outputs) {
      if (id == kAbsent) continue;
      if (made[static_cast<size_t>(id)])
        throw std::invalid_argument("program: " + node.name + " makes value " + std::to_string(id) +
                                    ", which is there already");
      made[static_cast<size_t>(id)] = true;
    }
  }
  for (const int id : program.outputs) read("an output", id);
  for (const int id : program.masks) read("a mask of an output", id);
}

}  // namespace

void check_program(const Program& program, int64_t parameter_count) {
  const auto check_id = [](const std::string& what, int id, size_t count, bool optional) {
    if (id < (optional ? kAbsent : 0) || id >= static_cast<int>(count))
      throw std::invalid_argument("program: " + what + " " + std::to_string(id) + " does not exist");
  };
  for (const Parameter& p : program.parameters)
    if (p.offset < 0 || p.size < 0 || p.offset + p.size > parameter_count)
      throw std::invalid_argument("parameters: expected at least " + std::to_string(p.offset + p.size) +
                                  " elements for " + p.name + ", got " + std::to_string(parameter_count));
  const size_t values = program.values.size();
  for (const Node& node : program.nodes) {
    op_type(node.op);
    for (const int id : node.inputs) check_id("value", id, values, true);
    for (const int id : node.outputs) check_id("value", id, values, true);
    for (const int id : node.parameters) check_id("parameter", id, program.parameters.size(), true);
  }
  if (program.inputs.empty()) throw std::invalid_argument("program: expected at least one input");
  for (const int id : program.inputs) check_id("input value", id, values, false);
  for (const int id : program.outputs) check_id("output value", id, values, false);
  check_id("lengths value", program.lengths, values, true);
  if (!program.masks.empty() && program.masks.size() != program.outputs.size())
    throw std::invalid_argument("program: expected one mask for each of " + std::to_string(program.outputs.size()) +
                                " output(s), got " + std::to_string(program.masks.size()));
  for (size_t i = 0; i < program.masks.size(); ++i) {
    check_id("mask value", program.masks[i], values, true);
    if (program.masks[i] == kAbsent) continue;
    const size_t output = static_cast<size_t>(program.outputs[i]), mask = static_cast<size_t>(program.masks[i]);
    if (program.values[output].shape.size() < 3)
      throw std::invalid_argument("program: output " + std::to_string(i) + " has a mask, but no time axis");
    if (program.masks[i] != program.lengths && program.values[mask].shape.size() != 2)
      throw std::invalid_argument("program: the mask of output " + std::to_string(i) + " must be (N, T), got shape " +
                                  to_string(program.values[mask].shape));
  }
}

int64_t state_size(const Program& program) {
  int64_t size = 0;
  for (const Node& node : program.nodes)
    if (node.op == "read_state")
      size = std::max(size, node.attributes.get("state_offset", int64_t{0}) + node.attributes.get("units", int64_t{0}));
  return size;
}

template <class T>
Executor<T>::Executor(Program program, T* parameters, T* gradients, int64_t size, const Kernels& kernels)
    : program_(std::move(program)), parameters_(parameters), gradients_(gradients), size_(size), kernels_(kernels) {
  check_program(program_, size);
  check_order(program_);
}

template <class T>
void Executor<T>::configure(Training training, T* slots) {
  const std::lock_guard lock(mutex_);
  if (running_ > 0) throw std::invalid_argument("configure: not possible while the executor trains, tests or predicts");
  check_training(training, program_);
  check_constraints(training.constraints, program_);
  std::unique_ptr<Optimizer<T>> optimizer;
  if (!training.optimizer.kind.empty())
    optimizer = std::make_unique<Optimizer<T>>(training, program_, kernels_, parameters_, gradients_, slots, size_);
  training_ = std::move(training);
  optimizer_ = std::move(optimizer);
  configured_ = true;
  plans_.remove_if([](const PlanPointer& p) { return p->shape().measures(); });
}

template <class T>
std::vector<Tensor> Executor<T>::output_shapes(const std::vector<Array>& inputs) const {
  std::vector<Tensor> tensors;
  tensors.reserve(inputs.size());
  for (const Array& array : inputs) tensors.push_back({array.shape, array.integer});
  const std::lock_guard lock(shapes_mutex_);
  if (tensors == shapes_of_) return shapes_;
  const std::vector<Tensor> values = infer_shapes(program_, tensors);
  std::vector<Tensor> outputs;
  outputs.reserve(program_.outputs.size());
  for (const int id : program_.outputs) outputs.push_back(values[static_cast<size_t>(id)]);
  shapes_of_ = std::move(tensors);
  return shapes_ = std::move(outputs);
}

template <class T>
BatchShape Executor<T>::batch_shape(Mode mode, const Samples& samples, int64_t batch) const {
  BatchShape shape{mode, {}, samples.lengths != nullptr && program_.lengths != kAbsent};
  for (const Array& array : samples.inputs) {
    shape.inputs.push_back({array.shape, array.integer});
    shape.inputs.back().shape[0] = batch;
  }
  return shape;
}

template <class T>
auto Executor<T>::plan(const BatchShape& shape) -> PlanPointer {
  const auto found =
      std::find_if(plans_.begin(), plans_.end(), [&](const PlanPointer& p) { return p->shape() == shape; });
  if (found != plans_.end()) {
    plans_.splice(plans_.begin(), plans_, found);
  } else {
    plans_.push_front(std::make_shared<Plan<T>>(program_, training_, kernels_, shape));
    if (plans_.size() > kPlans) plans_.pop_back();
  }
  return plans_.front();
}

template <class T>
void Executor<T>::bind(std::initializer_list<Plan<T>*> plans, int threads) {
  int64_t bytes = 0;
  for (Plan<T>* plan : plans) bytes = std::max(bytes, plan->reserve(threads));
  arena_bytes_ = std::max(arena_bytes_, static_cast<size_t>(bytes));
  if (arena_bytes_ > arena_.size()) arena_ = Buffer(arena_bytes_);
  for (Plan<T>* plan : plans) plan->bind(arena_.as<std::byte>(), parameters_, gradients_);
}

template <class T>
void Executor<T>::check(const Plan<T>& plan, const Samples& samples, int64_t sample_count,
                        const BatchRows& rows) const {
  for (int64_t n = 0; rows.order && n < rows.count; ++n)
    if (rows.order[n] < 0 || rows.order[n] >= sample_count)
      throw std::invalid_argument("order: expected sample numbers from 0 to " + std::to_string(sample_count - 1) +
                                  ", got " + std::to_string(rows.order[n]));
  plan.check_ids(samples, rows);
  if (const int64_t steps = plan.ragged_steps())
    for (int64_t n = 0; n < rows.count; ++n)
      if (const int32_t length = samples.lengths[rows.row(n)]; length < 0 || length > steps)
        throw std::invalid_argument("lengths: expected values from 0 to " + std::to_string(steps) +
                                    ", the time steps, got " + std::to_string(length));
}

template <class T>
void Executor<T>::forward(const Samples& samples, int64_t sample_count, bool training, uint64_t seed, uint32_t step,
                          const States& states, const std::vector<T*>& outputs) {
  const std::lock_guard lock(mutex_);
  pending_.reset();
  const PlanPointer plan =
      this->plan(batch_shape(training ? Mode::differentiation : Mode::inference, samples, sample_count));
  const BatchRows rows{nullptr, sample_count};
  check(*plan, samples, sample_count, rows);
  const int threads = plan->threads();
  bind({plan.get()}, threads);
  if (sample_count > 0)
    run_team(threads, [&](const Team& team) {
      plan->load(samples, rows, team);
      plan->forward(seed, step, states, team);
      for (size_t i = 0; i < outputs.size(); ++i) plan->copy_output(i, outputs[i], team);
    });
  if (!training) return;
  pending_ = plan;
  pending_threads_ = threads, pending_seed_ = seed, pending_step_ = step, pending_states_ = states;
}

template <class T>
void Executor<T>::backward(const std::vector<const T*>& output_gradients, const std::vector<T*>& input_gradients) {
  const std::lock_guard lock(mutex_);
  const PlanPointer plan = std::move(pending_);
  pending_.reset();
  if (!plan) throw std::invalid_argument("backward: expected a forward pass with training=True before it");
  if (plan->samples() == 0) {
    for (const Parameter& p : program_.parameters)
      if (p.trainable) std::fill_n(gradients_ + p.offset, p.size, T(0));
    return;
  }
  run_team(pending_threads_, [&](const Team& team) {
    plan->load_output_gradients(output_gradients, team);
    plan->backward(pending_seed_, pending_step_, pending_states_, team);
    for (size_t i = 0; i < input_gradients.size(); ++i)
      if (input_gradients[i]) plan->copy_input_gradient(i, input_gradients[i], team);
  });
}

template <class T>
void Executor<T>::apply_gradients(double learning_rate, int64_t step) {
  const std::lock_guard lock(mutex_);
  if (!optimizer_) throw std::invalid_argument("apply_gradients: expected an optimizer in the training description");
  run_team(threads_for(optimizer_->flops()), [&](const Team& team) { optimizer_->apply(learning_rate, step, team); });
}

template <class T>
bool Executor<T>::run_batch(Plan<T>& plan, const Epoch& epoch, int64_t batch, const BatchRows& rows, const Team& team) {
  const uint32_t step = static_cast<uint32_t>(epoch.step + batch);
  plan.load(epoch.samples, rows, team);
  plan.forward(epoch.seed, step, epoch.states, team);
  if (epoch.mode == Mode::inference) {
    for (size_t i = 0; i < epoch.outputs.size(); ++i) {
      const int64_t size = plan.output_size(i) / plan.samples();
      plan.copy_output(i, static_cast<T*>(epoch.outputs[i]) + batch * epoch.batch_size * size, team);
    }
    return true;
  }
  plan.objective().evaluate(team);
  team_barrier(team);
  if (plan.objective().failed()) return false;
  if (epoch.mode == Mode::training) {
    plan.backward(epoch.seed, step, epoch.states, team);
    plan.objective().regularize(team);
    team_barrier(team);
    optimizer_->apply(epoch.learning_rates[batch], epoch.step + batch, team);
  }
  if (team.thread == 0) plan.objective().accumulate(epoch.state);
  return true;
}

template <class T>
int64_t Executor<T>::run(const Epoch& epoch) {
  const std::lock_guard lock(mutex_);
  if (epoch.mode != Mode::inference && !configured_)
    throw std::invalid_argument("executor: expected a call of configure before training or testing");
  if (epoch.mode == Mode::training && !optimizer_)
    throw std::invalid_argument("train: expected an optimizer in the training description");
  const int64_t batches = epoch.batches();
  if (batches == 0) return 0;
  pending_.reset();

  const int64_t last_size = epoch.order.count - (batches - 1) * epoch.batch_size;
  const PlanPointer usual = plan(batch_shape(epoch.mode, epoch.samples, std::min(epoch.batch_size, epoch.order.count)));
  const PlanPointer last = plan(batch_shape(epoch.mode, epoch.samples, last_size));
  check(*usual, epoch.samples, epoch.sample_count, epoch.order);
  if (epoch.mode != Mode::inference) usual->objective().check(epoch.samples, epoch.sample_count, epoch.order);

  // Thread 0 writes these between barriers.
  int64_t done = 0;
  bool stop = false, regroup = false;
  auto polled = Clock::now();
  // Where a batch may turn out to be wrong once its masks are known, the states before it are kept.
  std::string fault;
  const bool keeps = epoch.states.data && epoch.mode != Mode::inference && usual->objective().may_fail();
  T* states = static_cast<T*>(epoch.states.data);
  std::vector<T> kept(keeps ? static_cast<size_t>(epoch.batch_size * state_size(program_)) : 0);
  ++running_;
  while (done < batches && !stop) {
    const int threads = usual->threads();
    regroup = false;
    bind({usual.get(), last.get()}, threads);
    run_team(threads, [&](const Team& team) {
      for (int64_t batch = done; batch < batches && !stop && !regroup; ++batch) {
        const BatchRows rows{epoch.order.order + batch * epoch.batch_size,
                             batch + 1 < batches ? epoch.batch_size : last_size};
        Plan<T>& current = batch + 1 < batches ? *usual : *last;
        if (team.thread == 0 && keeps) std::copy_n(states, kept.size(), kept.begin());
        const bool whole = run_batch(current, epoch, batch, rows, team);
        team_barrier(team);
        if (!whole) {  // all threads know
          if (team.thread == 0) fault = current.objective().take_fault();
          return;
        }
        if (team.thread == 0) {
          done = batch + 1;
          const auto now = Clock::now();
          const bool due = now - polled >= kPollInterval;
          if (epoch.poll.every_batch || due) {
            polled = now;
            stop = epoch.poll.call(epoch.poll.context, done);
            // The call may have run others on this executor, for whom the arena grew.
            bind({usual.get(), last.get()}, threads);
          }
          // Another number of threads may suit by now; results do not depend on it.
          if (due) regroup = contended(team) || usual->threads() != threads;
        }
        team_barrier(team);
      }
    });
    if (fault.empty()) continue;
    --running_;
    if (keeps) std::copy_n(kept.begin(), kept.size(), states);
    throw std::invalid_argument(fault);
  }
  --running_;
  return done;
}

template class Executor<float>;
template class Executor<double>;

}  // namespace rnncore
