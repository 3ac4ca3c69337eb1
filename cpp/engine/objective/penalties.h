// The penalties of a step: on parameters, and on values of the Program.
#pragma once

#include "engine/objective/buffers.h"
#include "engine/objective/orthogonal_penalties.h"
#include "engine/tensor.h"

namespace rnncore {

template <class T>
class Penalties {
 public:
  Penalties(const Training& training, const Program& program, const std::vector<Tensor>& values, const Kernels& kernels,
            Room& room);

  void bind(const ObjectiveBuffers<T>& buffers);
  // Every thread of the team calls these. The gradients of the values belong to the first, once the losses have made
  // theirs, those of the parameters to the second, once the nodes have.
  void evaluate(const Team& team) const;
  void regularize(const Team& team) const;
  void add_to(double& total) const;

 private:
  struct Penalty {
    double l1, l2;
    int64_t size, sums_offset;
    double* sums = nullptr;

    void add_to(double& total) const;
  };

  struct OnParameter : Penalty {
    bool trainable;
    int64_t offset;
  };

  // On a value, divided by the number of samples.
  struct OnValue : Penalty {
    bool adds;  // a loss or an earlier penalty has written the gradient of this value
    const T* value = nullptr;
    T* gradient = nullptr;
  };

  void measure(const Penalty& penalty, const T* x, const Team& team) const;

  const OpKernels<T>& kernels_;
  std::vector<OnParameter> on_parameters_;
  OrthogonalPenalties<T> orthogonal_;
  std::vector<OnValue> on_values_;
  const T* parameters_ = nullptr;
  T* gradients_ = nullptr;
};

extern template class Penalties<float>;
extern template class Penalties<double>;

}  // namespace rnncore
