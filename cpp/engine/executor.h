// Runs a Program: single passes for custom training loops, and whole epochs of batches in one parallel region.
#pragma once

#include <initializer_list>
#include <list>
#include <memory>
#include <mutex>

#include "engine/buffer.h"
#include "engine/host.h"
#include "engine/optimizer.h"
#include "engine/plan.h"
#include "engine/seen_parameters.h"
#include "engine/threads.h"
#include "engine/turns.h"
#include "engine/undo.h"

namespace rnncore {

// Asked after batches; true stops the call. Must not throw.
struct Poll {
  bool (*call)(void* context, int64_t batches_done);
  void* context;
  bool every_batch;  // else every 50 ms
};

extern const Training kNoTraining;  // for plans that do not measure

// What a call of configure set.
template <class T>
struct Setup {
  Training training;
  std::unique_ptr<Optimizer<T>> optimizer;  // null without one
};

// A forward pass in training that backward may go through. It has memory of its own, so that other calls leave it
// alone.
template <class T>
struct Pass {
  std::shared_ptr<Plan<T>> plan;
  Buffer arena;
  int threads;
  uint64_t seed;
  uint32_t step;
  States states;
  SeenParameters<T> parameters;

  const std::vector<Tensor>& inputs() const { return plan->shape().inputs; }
};

// One train, test or predict call.
struct Epoch {
  Mode mode;
  Samples samples;
  int64_t sample_count;
  BatchRows order;
  int64_t batch_size;
  const double* learning_rates = nullptr;  // one per batch, training only
  int64_t step = 0;
  uint64_t seed = 0;
  double* state = nullptr;     // what losses and metrics add to
  std::vector<void*> outputs;  // batch-first, inference only
  States states{};
  Poll poll{};
  Interrupt interrupt{};  // what comes of a batch within which it says so is undone

  int64_t batches() const { return order.count / batch_size + (order.count % batch_size != 0); }
};

template <class T>
class Stream;

// Threads take turns: a call, or a batch of those that run many.
template <class T>
class Executor : ForkObserver {
 public:
  // The caller keeps the arrays (P,) alive and shares them, and `watch`, which tells when the parameters change; null:
  // they may at any time.
  Executor(Program program, T* parameters, T* gradients, int64_t size, const Kernels& kernels,
           const WeightWatch* watch = nullptr);

  const Program& program() const { return program_; }
  // Null before the first call of configure.
  std::shared_ptr<const Setup<T>> setup() const;
  const Kernels& kernels() const { return kernels_; }
  size_t arena_bytes() const { return arena_bytes_; }
  const std::shared_ptr<SharedTurns>& turns() const { return turns_; }

  // The interrupt of this and of what follows ends a wait for the turn, too; then nothing has changed.
  // `slots`: (S, P), shared like the parameters. Not while train, test or predict run, nor from within an interrupt.
  void configure(Training training, T* slots, const Interrupt& interrupt);

  // Whether some steps of an output may not count, for these samples.
  bool has_mask(size_t output, const Samples& samples) const {
    return as_run(is_ragged(samples)).mask_of(output) != kAbsent;
  }

  // Shapes of the outputs for a batch or all samples; throws when the inputs do not fit.
  std::vector<Tensor> output_shapes(const std::vector<Array>& inputs) const;

  // These two, and `run`, throw Stopped when they are interrupted; weights and states are then those before the batch.
  // Null unless in training. `masks` (N, T) are by output, null where none is wanted; empty: none at all.
  std::unique_ptr<Pass<T>> forward(Samples samples, int64_t sample_count, bool training, uint64_t seed, uint32_t step,
                                   const States& states, const std::vector<T*>& outputs,
                                   const std::vector<int32_t*>& masks, const Interrupt& interrupt);
  // Gradients are by output and input; null: zeros, not wanted. Takes the pass once it has its turn.
  void backward(std::unique_ptr<Pass<T>>& given, const std::vector<const T*>& output_gradients,
                const std::vector<T*>& input_gradients, const Interrupt& interrupt);

  // Weights change whole or not at all.
  void apply_gradients(double learning_rate, int64_t step, const Interrupt& interrupt);

  // Returns the number of batches done. `setup` is what targets and state were made for; inference needs none.
  int64_t run(Epoch epoch, const Setup<T>* setup);

 private:
  using PlanPointer = std::shared_ptr<Plan<T>>;

  // What turns use one after the other.
  struct Work {
    PackedWeights packed;          // for all plans
    Buffer arena;                  // grows when a plan needs more
    std::list<PlanPointer> plans;  // the last few, the most recent first
    Buffer spare;                  // of a pass that is over
  };

  // A turn with the weights, spent at this executor's work.
  class Inside {
   public:
    Inside(Executor& executor, const Interrupt& interrupt)
        : turn_(executor.turns_->turns, interrupt), executor_(executor) {
      ++executor_.inside_;
    }
    // Of who has the turn already, and gives it back by this.
    Inside(Executor& executor, std::adopt_lock_t had) : turn_(executor.turns_->turns, had), executor_(executor) {
      ++executor_.inside_;
    }
    ~Inside() {
      if (turn_.has()) --executor_.inside_;
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

    // As that of Turn.
    template <class F>
    bool stop_between(F f) {
      --executor_.inside_;
      if (turn_.stop_between(f)) return true;
      ++executor_.inside_;
      return false;
    }

   private:
    Turn turn_;
    Executor& executor_;
  };

  // Asks the interrupt of a call within a batch, or runs code of the host's there. Calls on this executor from there
  // find other places to work at.
  struct Asking {
    Executor& executor;
    const Interrupt& interrupt;
    static bool ask(void* self);
    static void aside(void* self, void (*run)(void*), void* argument);
    operator Interrupt() { return {interrupt.ask ? ask : nullptr, this}; }
  };
  // For its life code of the host's that this thread meets runs aside.
  struct Hosting {
    explicit Hosting(Asking& asking) : scope{Asking::aside, &asking, host_scope} { host_scope = &scope; }
    ~Hosting() { host_scope = scope.before; }
    Hosting(const Hosting&) = delete;
    Hosting& operator=(const Hosting&) = delete;
    HostScope scope;
  };
  // Throws std::invalid_argument within a batch, which `what` would change.
  void refuse_within_batch(const char* what) const;

  void in_child() override;

  friend class Stream<T>;

  bool is_ragged(const Samples& samples) const { return samples.lengths && program_.lengths != kAbsent; }
  const Program& as_run(bool ragged) const { return ragged ? program_ : unpadded_; }
  BatchShape batch_shape(Mode mode, const Samples& samples, int64_t batch) const;
  // Taken out of those that are kept, where there is one.
  PlanPointer take_plan(const BatchShape& shape);
  void keep_plan(const PlanPointer& plan);
  PlanPointer plan(const BatchShape& shape);
  // Before packed weights are used, and before weights are written.
  void look_at_weights() { work_.packed.look(turns_->written, watch_); }
  void note_writing() { ++turns_->written; }
  // Makes room in an arena for plans that take turns.
  void bind(Buffer& arena, std::initializer_list<Plan<T>*> plans, int threads);
  Undo<T> undo_of(const States& states, int64_t samples, bool training) const;
  void check(const Plan<T>& plan, const Samples& samples, int64_t sample_count, const BatchRows& rows) const;
  bool run_batch(Plan<T>& plan, const Epoch& epoch, int64_t batch, const BatchRows& rows, const Team& team,
                 const Team& calm);
  int64_t run_batches(const Epoch& epoch, Inside& turn);

  const Program program_;
  Program unpadded_;  // as batches without lengths run it
  T* const parameters_;
  T* const gradients_;
  const int64_t size_;
  const Kernels& kernels_;
  const WeightWatch* const watch_;
  std::vector<const Parameter*> moved_;  // by the forward pass of a training step itself

  const std::shared_ptr<SharedTurns> turns_;  // one after the other, executors of the same weights among them
  int inside_ = 0;                            // turns that are spent here
  Work work_;
  bool within_batch_ = false;            // while an interrupt is asked there
  std::atomic<size_t> arena_bytes_ = 0;  // the most a plan needed
  // What is looked at outside of turns: who runs batches, the setup, and what output_shapes was last asked, for calls
  // that take less time than to find it out.
  mutable std::mutex asked_mutex_;
  ThreadList running_;
  std::shared_ptr<const Setup<T>> setup_;
  mutable std::vector<Tensor> shapes_of_, shapes_;
};

extern template class Executor<float>;
extern template class Executor<double>;

}  // namespace rnncore
