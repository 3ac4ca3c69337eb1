// Applies gradients: clipping, weight decay and the update rule, in one pass over the flat vectors, then constraints.
#pragma once

#include "core/kernels.h"
#include "engine/constraints.h"

namespace rnncore {

// The state vectors of the parameters; std::invalid_argument for an unknown kind.
int slot_count(const OptimizerDescription& description);

template <class T>
class Optimizer {
 public:
  // `slots`: (S, P), `size`: P.
  Optimizer(const Training& training, const Program& program, const Kernels& kernels, T* parameters, const T* gradients,
            T* slots, int64_t size);

  double flops() const { return 20.0 * static_cast<double>(size_); }

  // Step number `step` (from 0). Every thread of the team calls it; results are there after a barrier.
  void apply(double learning_rate, int64_t step, const Team& team);

 private:
  // A run of trainable parameters that share one clipping scale.
  struct Window {
    int64_t offset, size;
    int64_t first_chunk;  // of its chunks among all
  };

  double scale(const Window& window) const;
  void move(const Update<T>& update, const Team& team) const;
  void constrain(const Team& team) const;
  double norm(int64_t first_chunk, int64_t chunks) const;

  const OpKernels<T>& kernels_;
  Update<T> update_{};
  double weight_decay_, beta_1_, beta_2_;
  int64_t accumulation_ = 1;  // steps whose gradients are averaged before an update
  T* accumulated_ = nullptr;  // (P,), or null for one step
  double average_momentum_;
  int64_t overwrite_every_;              // updates, or 0
  double clip_norm_, global_clip_norm_;  // 0: none
  Constraints<T> constraints_;
  std::vector<Window> windows_;
  std::vector<double> sums_;  // of each chunk of each window: Σ|g|, Σ g²
  int64_t size_ = 0;
};

extern template class Optimizer<float>;
extern template class Optimizer<double>;

}  // namespace rnncore
