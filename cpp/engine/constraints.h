// Constraints of a Program's weights, ready to be applied after each update.
#pragma once

#include "core/kernels.h"
#include "engine/program.h"

namespace rnncore {

// Throws std::invalid_argument when a kind is unknown, or a parameter or axis out of range.
void check_constraints(const std::vector<ConstraintDescription>& constraints, const Program& program);

template <class T>
class Constraints {
 public:
  // Constraints on parameters that do not train are left out.
  Constraints(const std::vector<ConstraintDescription>& descriptions, const Program& program, const Kernels& kernels,
              T* parameters);

  bool empty() const { return signs_.empty() && norms_.empty(); }

  // Every thread of the team calls it, after a barrier; weights are there after another.
  void apply(const Team& team) const;

 private:
  struct Signs {
    T* w;
    int64_t size;
  };

  struct Norms {
    NormConstraint<T> call;
    std::vector<int64_t> groups, members;  // offsets of the groups, and of members within a group
  };

  const OpKernels<T>& kernels_;
  std::vector<Signs> signs_;
  std::vector<Norms> norms_;
};

extern template class Constraints<float>;
extern template class Constraints<double>;

}  // namespace rnncore
