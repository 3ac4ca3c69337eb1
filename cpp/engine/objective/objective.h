// What a step minimises and measures: losses, metrics and regularizers for one shape of batch.
#pragma once

#include "engine/objective/metrics.h"
#include "engine/objective/penalties.h"

namespace rnncore {

template <class T>
class Objective {
 public:
  // `values`: the shapes of the Program's values.
  Objective(const Training& training, const Program& program, const std::vector<Tensor>& values, const Kernels& kernels,
            Fault& fault);

  // Throws std::invalid_argument when targets or weights do not fit; looks at the labels of the given rows.
  void check(const Samples& samples, int64_t sample_count, const BatchRows& rows) const;

  // Memory that stays alive during a step.
  int64_t bytes() const { return room_.bytes; }
  void bind(const ObjectiveBuffers<T>& buffers);

  // Every thread of the team calls these; results are there after a barrier of the caller's. Labels that turn out not
  // to fit are a fault: of the caller's arrays in `load`, of masks of the Program's own in `evaluate`.
  void load(const Samples& samples, const BatchRows& rows, const Team& team);
  void evaluate(const Team& team);
  // Whether an output's gradient may lie where the output does: its one loss goes row by row and is its last reader.
  bool may_overwrite(size_t output) const;
  void regularize(const Team& team) const { penalties_.regularize(team); }

  // Adds losses and metrics of this batch to the caller's state; one thread.
  void accumulate(double* state) const;

 private:
  using Losses = typename Metrics<T>::Losses;

  static Losses make_losses(const Training& training, const Program& program, const std::vector<Tensor>& outputs,
                            const OpKernels<T>& kernels, Targets<T>& targets, Fault& fault, Room& room);

  Room room_;
  const int64_t divisors_at_;  // in the state, or 0
  const std::vector<Tensor> outputs_;
  Targets<T> targets_;
  Losses losses_;
  Metrics<T> metrics_;
  Penalties<T> penalties_;
};

extern template class Objective<float>;
extern template class Objective<double>;

}  // namespace rnncore
