// Penalties on matrices of a Program whose rows or columns are not orthogonal, for a step.
#pragma once

#include "core/kernels.h"
#include "engine/layout.h"
#include "engine/program.h"

namespace rnncore {

template <class T>
class OrthogonalPenalties {
 public:
  explicit OrthogonalPenalties(const Kernels& kernels) : kernels_(op_kernels<T>(kernels)) {}

  void add(const RegularizerDescription& description, const Parameter& matrix, Room& room);

  void bind(std::byte* memory, const T* parameters);

  // Every thread of the team calls these; between the two all have passed a barrier.
  void evaluate(const Team& team) const;
  void backward(T* gradients, const Team& team) const;

  // The sum of the penalties.
  double total() const;

 private:
  struct Penalty {
    bool trainable;
    int64_t offset;  // of the matrix among the parameters
    Orthogonality<T> call{};
    int64_t units_offset = 0, slopes_offset = 0, scales_offset = 0, sums_offset = 0;
  };

  const OpKernels<T>& kernels_;
  std::vector<Penalty> penalties_;
};

extern template class OrthogonalPenalties<float>;
extern template class OrthogonalPenalties<double>;

}  // namespace rnncore
