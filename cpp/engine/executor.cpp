#include "engine/executor.h"

#include <algorithm>
#include <chrono>
#include <new>

#include "engine/training.h"
#include "engine/without_lengths.h"

namespace rnncore {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollInterval = std::chrono::milliseconds(50);

// The batch sizes of an epoch are two: the usual one and that of the last batch. A few more plans serve
// validation and prediction in between.
constexpr size_t kPlans = 8;

}  // namespace

const Training kNoTraining{};

template <class T>
Executor<T>::Executor(Program program, T* parameters, T* gradients, int64_t size, const Kernels& kernels,
                      const WeightWatch* watch)
    : program_(std::move(program)),
      parameters_(parameters),
      gradients_(gradients),
      size_(size),
      kernels_(kernels),
      watch_(watch),
      turns_(turns_with(parameters)) {
  check_program(program_, size);
  unpadded_ = without_lengths(program_);
  for (const Node& node : program_.nodes)
    for (size_t i = 0; i < node.parameters.size(); ++i)
      if (node.parameters.size() - i <= op_type(node.op).moved && node.parameters[i] != kAbsent)
        moved_.push_back(&program_.parameters[static_cast<size_t>(node.parameters[i])]);
}

template <class T>
void Executor<T>::configure(Training training, T* slots, const Interrupt& interrupt) {
  const Inside turn(*this, interrupt);
  if (const std::lock_guard lock(asked_mutex_); !running_.empty())
    throw std::invalid_argument("configure: not possible while the executor trains, tests or predicts");
  refuse_within_batch("configure");
  check_training(training, program_);
  auto setup = std::make_shared<Setup<T>>();
  if (!training.optimizer.kind.empty())
    setup->optimizer =
        std::make_unique<Optimizer<T>>(training, program_, kernels_, parameters_, gradients_, slots, size_);
  setup->training = std::move(training);
  work_.plans.remove_if([](const PlanPointer& p) { return p->shape().measures(); });
  const std::lock_guard lock(asked_mutex_);
  setup_ = std::move(setup);
}

template <class T>
std::shared_ptr<const Setup<T>> Executor<T>::setup() const {
  const std::lock_guard lock(asked_mutex_);
  return setup_;
}

// What other threads were at stays as it is, for nobody knows how far they were.
template <class T>
void Executor<T>::in_child() {
  if (inside_ > 0 && !turns_->turns.mine()) new (&work_) Work, inside_ = 0;
  if (!asked_mutex_.try_lock()) new (&shapes_of_) std::vector<Tensor>, new (&shapes_) std::vector<Tensor>;
  new (&asked_mutex_) std::mutex;
  running_.in_child();
}

template <class T>
std::vector<Tensor> Executor<T>::output_shapes(const std::vector<Array>& inputs) const {
  std::vector<Tensor> tensors;
  tensors.reserve(inputs.size());
  for (const Array& array : inputs) tensors.push_back({array.shape, array.integer});
  const std::lock_guard lock(asked_mutex_);
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
  BatchShape shape{mode, {}, is_ragged(samples)};
  for (const Array& array : samples.inputs) {
    shape.inputs.push_back({array.shape, array.integer});
    shape.inputs.back().shape[0] = batch;
  }
  return shape;
}

template <class T>
auto Executor<T>::take_plan(const BatchShape& shape) -> PlanPointer {
  auto& plans = work_.plans;
  const auto found =
      std::find_if(plans.begin(), plans.end(), [&](const PlanPointer& p) { return p->shape() == shape; });
  if (found == plans.end()) {
    return std::make_shared<Plan<T>>(as_run(shape.ragged), setup_ ? setup_->training : kNoTraining, kernels_, shape);
  }
  PlanPointer plan = std::move(*found);
  plans.erase(found);
  return plan;
}

template <class T>
void Executor<T>::keep_plan(const PlanPointer& plan) {
  work_.plans.push_front(plan);
  if (work_.plans.size() > kPlans) work_.plans.pop_back();
}

template <class T>
auto Executor<T>::plan(const BatchShape& shape) -> PlanPointer {
  const PlanPointer plan = take_plan(shape);
  keep_plan(plan);
  return plan;
}

template <class T>
void Executor<T>::bind(Buffer& arena, std::initializer_list<Plan<T>*> plans, int threads) {
  size_t bytes = 0;
  for (Plan<T>* plan : plans) bytes = std::max(bytes, static_cast<size_t>(plan->reserve(threads)));
  if (bytes > arena_bytes_) arena_bytes_ = bytes;
  if (bytes > arena.size()) arena = Buffer(bytes, Reuse::never);
  for (Plan<T>* plan : plans) plan->bind(arena.as<std::byte>(), parameters_, gradients_, work_.packed);
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
bool Executor<T>::Asking::ask(void* self) {
  struct Question {
    const Interrupt& interrupt;
    bool stop;
  } question{static_cast<Asking*>(self)->interrupt, false};
  aside(
      self,
      [](void* given) {
        auto& [interrupt, stop] = *static_cast<Question*>(given);
        stop = interrupt.ask(interrupt.context);
      },
      &question);
  return question.stop;
}

template <class T>
void Executor<T>::Asking::aside(void* self, void (*run)(void*), void* argument) {
  Executor& executor = static_cast<Asking*>(self)->executor;
  Work work = std::exchange(executor.work_, Work{});
  const bool within_batch = std::exchange(executor.within_batch_, true);
  run(argument);
  executor.work_ = std::move(work);
  executor.within_batch_ = within_batch;
}

template <class T>
void Executor<T>::refuse_within_batch(const char* what) const {
  if (within_batch_)
    throw std::invalid_argument(
        std::string(what) + ": not possible from a signal handler or a layer's own code while the executor computes");
}

template <class T>
Undo<T> Executor<T>::undo_of(const States& states, int64_t samples, bool training) const {
  Undo<T> undo;
  if (states.data) undo.add(static_cast<T*>(states.data), samples * state_size(program_));
  for (const Parameter* p : moved_)
    if (training) undo.add(parameters_ + p->offset, p->size);
  return undo;
}

template <class T>
std::unique_ptr<Pass<T>> Executor<T>::forward(Samples samples, int64_t sample_count, bool training, uint64_t seed,
                                              uint32_t step, const States& states, const std::vector<T*>& outputs,
                                              const std::vector<int32_t*>& masks, const Interrupt& interrupt) {
  const Inside turn(*this, interrupt);
  if (training) refuse_within_batch("forward with training=True");
  const PlanPointer plan =
      take_plan(batch_shape(training ? Mode::differentiation : Mode::inference, samples, sample_count));
  BatchRows rows{nullptr, sample_count};
  const OwnPlaces places(samples, sample_count, rows);
  check(*plan, samples, sample_count, rows);
  const int threads = plan->threads();
  Buffer& arena = training ? work_.spare : work_.arena;
  bind(arena, {plan.get()}, threads);
  training && !moved_.empty() ? note_writing() : look_at_weights();
  if (sample_count > 0) {
    Undo<T> undo = undo_of(states, sample_count, training);
    undo.keep();
    Asking asking{*this, interrupt};
    const Hosting hosting(asking);
    try {
      run_team(threads, asking, [&](const Team& team) {
        plan->pack(team);
        plan->load(samples, rows, team);
        if (plan->failed()) return;
        plan->forward(seed, step, states, team);
        for (size_t i = 0; i < outputs.size(); ++i) plan->copy_output(i, outputs[i], team);
        for (size_t i = 0; i < masks.size(); ++i)
          if (masks[i]) plan->copy_mask(i, samples.lengths, masks[i], team);
      });
    } catch (const Stopped&) {
      undo.put_back();
      throw;
    }
  }
  if (plan->failed()) throw std::invalid_argument(plan->take_fault());
  if (!training) {
    keep_plan(plan);
    return nullptr;
  }
  std::unique_ptr<Pass<T>> pass(new Pass<T>{plan, std::move(arena), threads, seed, step, states, {}});
  pass->parameters.keep(program_, parameters_);
  return pass;
}

template <class T>
void Executor<T>::backward(std::unique_ptr<Pass<T>>& given, const std::vector<const T*>& output_gradients,
                           const std::vector<T*>& input_gradients, const Interrupt& interrupt) {
  const Inside turn(*this, interrupt);
  refuse_within_batch("backward");
  const std::unique_ptr<Pass<T>> pass = std::move(given);
  if (!pass->parameters.same(program_, parameters_))
    throw std::invalid_argument("backward: the weights have changed since the forward pass; run it again");
  Plan<T>& plan = *pass->plan;
  if (plan.samples() == 0)
    for (const Parameter& p : program_.parameters)
      if (p.trainable) std::fill_n(gradients_ + p.offset, p.size, T(0));
  Asking asking{*this, interrupt};
  const Hosting hosting(asking);
  if (plan.samples() > 0)
    run_team(pass->threads, asking, [&](const Team& team) {
      plan.load_output_gradients(output_gradients, team);
      plan.backward(pass->seed, pass->step, pass->states, team);
      for (size_t i = 0; i < input_gradients.size(); ++i)
        if (input_gradients[i]) plan.copy_input_gradient(i, input_gradients[i], team);
    });
  keep_plan(pass->plan);
  if (pass->arena.size() > work_.spare.size()) work_.spare = std::move(pass->arena);
}

template <class T>
void Executor<T>::apply_gradients(double learning_rate, int64_t step, const Interrupt& interrupt) {
  const Inside turn(*this, interrupt);
  refuse_within_batch("apply_gradients");
  Optimizer<T>* optimizer = setup_ ? setup_->optimizer.get() : nullptr;
  if (!optimizer) throw std::invalid_argument("apply_gradients: expected an optimizer in the training description");
  note_writing();
  run_team(threads_for(optimizer->flops()), {}, [&](const Team& team) { optimizer->apply(learning_rate, step, team); });
}

// `calm` does not ask: its part, which changes weights and counts the batch, is done by all threads or by none.
template <class T>
bool Executor<T>::run_batch(Plan<T>& plan, const Epoch& epoch, int64_t batch, const BatchRows& rows, const Team& team,
                            const Team& calm) {
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
    plan.objective().regularize(calm);
    team_barrier(calm);
    if (setup_->optimizer) setup_->optimizer->apply(epoch.learning_rates[batch], epoch.step + batch, calm);
  }
  if (team.thread == 0) plan.objective().accumulate(epoch.state);
  return true;
}

template <class T>
int64_t Executor<T>::run(Epoch epoch, const Setup<T>* setup) {
  Inside turn(*this, epoch.interrupt);
  if (epoch.mode == Mode::training) refuse_within_batch("train");
  if (epoch.mode != Mode::inference && setup != setup_.get())
    throw std::invalid_argument("executor: another thread called configure meanwhile");
  if (epoch.batches() == 0) return 0;
  const OwnPlaces places(epoch.samples, epoch.sample_count, epoch.order);
  ThreadList::Entry self;
  const auto note = [&](auto change) {
    const std::lock_guard lock(asked_mutex_);
    (running_.*change)(self);
  };
  note(&ThreadList::add);
  try {
    const int64_t done = run_batches(epoch, turn);
    note(&ThreadList::remove);
    return done;
  } catch (...) {
    note(&ThreadList::remove);
    throw;
  }
}

template <class T>
int64_t Executor<T>::run_batches(const Epoch& epoch, Inside& turn) {
  const int64_t batches = epoch.batches();
  const int64_t last_size = epoch.order.count - (batches - 1) * epoch.batch_size;
  const PlanPointer usual = plan(batch_shape(epoch.mode, epoch.samples, std::min(epoch.batch_size, epoch.order.count)));
  const PlanPointer last = plan(batch_shape(epoch.mode, epoch.samples, last_size));
  check(*usual, epoch.samples, epoch.sample_count, epoch.order);
  if (epoch.mode != Mode::inference) usual->objective().check(epoch.samples, epoch.sample_count, epoch.order);

  // Thread 0 writes these between barriers.
  int64_t done = 0;
  bool pause = false;
  auto polled = Clock::now();
  std::string fault;  // that a batch may show only once its masks are known
  Undo<T> undo = undo_of(epoch.states, epoch.batch_size, epoch.mode == Mode::training);
  Asking asking{*this, epoch.interrupt};
  const Hosting hosting(asking);
  // The team ends before others are asked, who may compute, fork or wait; another number of threads may suit then.
  while (done < batches) {
    const int threads = usual->threads();
    bind(work_.arena, {usual.get(), last.get()}, threads);
    epoch.mode == Mode::training ? note_writing() : look_at_weights();
    pause = false;
    const auto run_them = [&](const Team& team) {
      Watch watch(*team.watch->stop, false);
      const Team calm{team.thread, team.threads, team.barrier, &watch};
      usual->pack(team);
      last->pack(team);
      for (int64_t batch = done; batch < batches && !pause; ++batch) {
        const BatchRows rows{epoch.order.order + batch * epoch.batch_size,
                             batch + 1 < batches ? epoch.batch_size : last_size};
        Plan<T>& current = batch + 1 < batches ? *usual : *last;
        if (team.thread == 0) undo.keep();
        const bool whole = run_batch(current, epoch, batch, rows, team, calm);
        team_barrier(calm);
        if (!whole) {  // all threads know
          if (team.thread == 0) fault = current.take_fault();
          return;
        }
        if (team.thread == 0) {
          done = batch + 1;
          undo.forget();
          pause = epoch.poll.every_batch || Clock::now() - polled >= kPollInterval;
        }
        team_barrier(calm);
      }
    };
    try {
      run_team(threads, asking, run_them);
    } catch (const Stopped&) {
      undo.put_back();
      for (const PlanPointer& stopped : {usual, last}) stopped->take_fault();
      throw;
    }
    if (!fault.empty()) {
      undo.put_back();
      throw std::invalid_argument(fault);
    }
    if (!pause) continue;
    if (turn.stop_between([&] { return epoch.poll.call(epoch.poll.context, done); })) break;
    polled = Clock::now();
  }
  return done;
}

template class Executor<float>;
template class Executor<double>;

}  // namespace rnncore
