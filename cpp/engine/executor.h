// Runs a Program: single passes for custom training loops, and whole epochs of batches in one parallel region.
#pragma once

#include <initializer_list>
#include <list>
#include <memory>
#include <mutex>

#include "engine/buffer.h"
#include "engine/optimizer.h"
#include "engine/plan.h"
#include "engine/seen_parameters.h"

namespace rnncore {

// Asked after batches; true stops the call. Must not throw.
struct Poll {
  bool (*call)(void* context, int64_t batches_done);
  void* context;
  bool every_batch;  // else every 50 ms
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

  int64_t batches() const { return order.count / batch_size + (order.count % batch_size != 0); }
};

template <class T>
class Executor {
 public:
  // The caller keeps the arrays (P,) alive and shares them.
  Executor(Program program, T* parameters, T* gradients, int64_t size, const Kernels& kernels);

  const Program& program() const { return program_; }
  const Training* training() const { return configured_ ? &training_ : nullptr; }
  const Kernels& kernels() const { return kernels_; }
  size_t arena_bytes() const { return arena_bytes_; }

  // `slots`: (S, P), shared like the parameters. Not from within a call's poll.
  void configure(Training training, T* slots);

  // Shapes of the outputs for a batch or all samples; throws when the inputs do not fit.
  std::vector<Tensor> output_shapes(const std::vector<Array>& inputs) const;

  void forward(Samples samples, int64_t sample_count, bool training, uint64_t seed, uint32_t step, const States& states,
               const std::vector<T*>& outputs);
  // After a forward pass in training. Gradients are by output and input; null: zeros, not wanted.
  void backward(const std::vector<const T*>& output_gradients, const std::vector<T*>& input_gradients);
  // Shapes of the inputs of the forward pass that backward would go through; null when there is none.
  const std::vector<Tensor>* pending_inputs() const { return pending_ ? &pending_->shape().inputs : nullptr; }

  void apply_gradients(double learning_rate, int64_t step);

  // Returns the number of batches done.
  int64_t run(Epoch epoch);

 private:
  using PlanPointer = std::shared_ptr<Plan<T>>;

  BatchShape batch_shape(Mode mode, const Samples& samples, int64_t batch) const;
  PlanPointer plan(const BatchShape& shape);
  // Makes room for plans that take turns.
  void bind(std::initializer_list<Plan<T>*> plans, int threads);
  void check(const Plan<T>& plan, const Samples& samples, int64_t sample_count, const BatchRows& rows) const;
  bool run_batch(Plan<T>& plan, const Epoch& epoch, int64_t batch, const BatchRows& rows, const Team& team);

  const Program program_;
  T* const parameters_;
  T* const gradients_;
  const int64_t size_;
  const Kernels& kernels_;
  Training training_;
  bool configured_ = false;
  std::unique_ptr<Optimizer<T>> optimizer_;

  Buffer arena_;                  // grows when a plan needs more
  size_t arena_bytes_ = 0;        // the most a plan needed
  std::list<PlanPointer> plans_;  // the last few, the most recent first
  PlanPointer pending_;           // of a forward pass that backward may follow
  int pending_threads_ = 1;
  uint64_t pending_seed_ = 0;
  uint32_t pending_step_ = 0;
  States pending_states_;
  SeenParameters<T> pending_parameters_;
  // What output_shapes was last asked, for calls that take less time than to find it out.
  mutable std::mutex shapes_mutex_;
  mutable std::vector<Tensor> shapes_of_, shapes_;
  // One call at a time; a callback may call again from within.
  std::recursive_mutex mutex_;
  int running_ = 0;  // epochs
};

extern template class Executor<float>;
extern template class Executor<double>;

}  // namespace rnncore
