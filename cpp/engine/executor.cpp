#include "engine/executor.h"

#include <algorithm>
#include <chrono>

#include "engine/threads.h"
#include "engine/training.h"

namespace rnncore {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollInterval = std::chrono::milliseconds(50);

// The batch sizes of an epoch are two: the usual one and that of the last batch. A few more plans serve
// validation and prediction in between.
constexpr size_t kPlans = 8;

}  // namespace

template <class T>
Executor<T>::Executor(Program program, T* parameters, T* gradients, int64_t size, const Kernels& kernels)
    : program_(std::move(program)), parameters_(parameters), gradients_(gradients), size_(size), kernels_(kernels) {
  check_program(program_, size);
}

template <class T>
void Executor<T>::configure(Training training, T* slots) {
  const std::lock_guard lock(mutex_);
  if (running_ > 0) throw std::invalid_argument("configure: not possible while the executor trains, tests or predicts");
  check_training(training, program_);
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

// Order and lengths say where to read and write, so a call has its own: callbacks and other threads may change the
// caller's. Ids and labels are many; those of a batch are looked at once more when it is loaded.
struct OwnPlaces {
  std::vector<int64_t> order;
  std::vector<int32_t> lengths;

  OwnPlaces(Samples& samples, int64_t sample_count, BatchRows& rows) {
    if (samples.lengths) {
      lengths.assign(samples.lengths, samples.lengths + sample_count);
      samples.lengths = lengths.data();
    }
    if (rows.order) {
      order.assign(rows.order, rows.order + rows.count);
      rows.order = order.data();
    }
  }
};

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
void Executor<T>::forward(Samples samples, int64_t sample_count, bool training, uint64_t seed, uint32_t step,
                          const States& states, const std::vector<T*>& outputs) {
  const std::lock_guard lock(mutex_);
  pending_.reset();
  const PlanPointer plan =
      this->plan(batch_shape(training ? Mode::differentiation : Mode::inference, samples, sample_count));
  BatchRows rows{nullptr, sample_count};
  const OwnPlaces places(samples, sample_count, rows);
  check(*plan, samples, sample_count, rows);
  const int threads = plan->threads();
  bind({plan.get()}, threads);
  if (sample_count > 0)
    run_team(threads, [&](const Team& team) {
      plan->load(samples, rows, team);
      if (plan->failed()) return;
      plan->forward(seed, step, states, team);
      for (size_t i = 0; i < outputs.size(); ++i) plan->copy_output(i, outputs[i], team);
    });
  if (plan->failed()) throw std::invalid_argument(plan->take_fault());
  if (!training) return;
  pending_ = plan;
  pending_threads_ = threads, pending_seed_ = seed, pending_step_ = step, pending_states_ = states;
  pending_parameters_.keep(program_, parameters_);
}

template <class T>
void Executor<T>::backward(const std::vector<const T*>& output_gradients, const std::vector<T*>& input_gradients) {
  const std::lock_guard lock(mutex_);
  const PlanPointer plan = std::move(pending_);
  pending_.reset();
  if (!plan) throw std::invalid_argument("backward: expected a forward pass with training=True before it");
  if (!pending_parameters_.same(program_, parameters_))
    throw std::invalid_argument("backward: the weights have changed since the forward pass; run it again");
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
  if (plan.failed()) return false;
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
  if (plan.failed()) return false;
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
int64_t Executor<T>::run(Epoch epoch) {
  const std::lock_guard lock(mutex_);
  if (epoch.mode != Mode::inference && !configured_)
    throw std::invalid_argument("executor: expected a call of configure before training or testing");
  if (epoch.mode == Mode::training && !optimizer_)
    throw std::invalid_argument("train: expected an optimizer in the training description");
  const int64_t batches = epoch.batches();
  if (batches == 0) return 0;
  pending_.reset();
  const OwnPlaces places(epoch.samples, epoch.sample_count, epoch.order);

  const int64_t last_size = epoch.order.count - (batches - 1) * epoch.batch_size;
  const PlanPointer usual = plan(batch_shape(epoch.mode, epoch.samples, std::min(epoch.batch_size, epoch.order.count)));
  const PlanPointer last = plan(batch_shape(epoch.mode, epoch.samples, last_size));
  check(*usual, epoch.samples, epoch.sample_count, epoch.order);
  if (epoch.mode != Mode::inference) usual->objective().check(epoch.samples, epoch.sample_count, epoch.order);

  // Thread 0 writes these between barriers.
  int64_t done = 0;
  bool pause = false;
  auto polled = Clock::now();
  // Where a batch may turn out to be wrong once its masks are known, the states before it are kept.
  std::string fault;
  const bool keeps = epoch.states.data && epoch.mode != Mode::inference && usual->objective().may_fail_in_evaluate();
  T* states = static_cast<T*>(epoch.states.data);
  std::vector<T> kept(keeps ? static_cast<size_t>(epoch.batch_size * state_size(program_)) : 0);
  ++running_;
  // The team ends before others are asked, who may compute, fork or wait; another number of threads may suit then.
  for (bool stop = false; done < batches && !stop;) {
    const int threads = usual->threads();
    bind({usual.get(), last.get()}, threads);
    pause = false;
    run_team(threads, [&](const Team& team) {
      for (int64_t batch = done; batch < batches && !pause; ++batch) {
        const BatchRows rows{epoch.order.order + batch * epoch.batch_size,
                             batch + 1 < batches ? epoch.batch_size : last_size};
        Plan<T>& current = batch + 1 < batches ? *usual : *last;
        if (team.thread == 0 && keeps) std::copy_n(states, kept.size(), kept.begin());
        const bool whole = run_batch(current, epoch, batch, rows, team);
        team_barrier(team);
        if (!whole) {  // all threads know
          if (team.thread == 0) fault = current.take_fault();
          return;
        }
        if (team.thread == 0) {
          done = batch + 1;
          pause = epoch.poll.every_batch || Clock::now() - polled >= kPollInterval;
        }
        team_barrier(team);
      }
    });
    if (!fault.empty()) break;
    if (!pause) continue;
    stop = epoch.poll.call(epoch.poll.context, done);
    polled = Clock::now();
  }
  --running_;
  if (fault.empty()) return done;
  if (keeps) std::copy_n(kept.begin(), kept.size(), states);
  throw std::invalid_argument(fault);
}

template class Executor<float>;
template class Executor<double>;

}  // namespace rnncore
