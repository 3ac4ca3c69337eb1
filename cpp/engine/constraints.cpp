#include "engine/constraints.h"

#include <algorithm>

namespace rnncore {
namespace {

// Offsets of all elements along some axes of a C-order array.
std::vector<int64_t> offsets_along(const Shape& shape, const std::vector<bool>& chosen) {
  std::vector<int64_t> offsets{0};
  int64_t stride = 1;
  for (const int64_t size : shape) stride *= size;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    stride /= std::max(shape[axis], int64_t{1});
    if (!chosen[axis]) continue;
    std::vector<int64_t> longer;
    for (const int64_t offset : offsets)
      for (int64_t i = 0; i < shape[axis]; ++i) longer.push_back(offset + i * stride);
    offsets = std::move(longer);
  }
  return offsets;
}

}  // namespace

void check_constraints(const std::vector<ConstraintDescription>& constraints, const Program& program) {
  for (const auto& c : constraints) {
    if (c.kind != "norm" && c.kind != "non_negative")
      throw std::invalid_argument("training: unknown constraint '" + c.kind + "'; known: non_negative, norm");
    if (c.parameter < 0 || c.parameter >= static_cast<int>(program.parameters.size()))
      throw std::invalid_argument("training: a constraint is on parameter " + std::to_string(c.parameter) +
                                  ", the program has " + std::to_string(program.parameters.size()));
    const double rank = static_cast<double>(program.parameters[static_cast<size_t>(c.parameter)].shape.size());
    for (const double axis : c.attributes.get("axes", std::vector<double>{}))
      if (!(axis >= 0 && axis < rank)) throw std::invalid_argument("training: a constraint has an axis out of range");
  }
}

template <class T>
Constraints<T>::Constraints(const std::vector<ConstraintDescription>& descriptions, const Program& program,
                            const Kernels& kernels, T* parameters)
    : kernels_(op_kernels<T>(kernels)) {
  for (const auto& description : descriptions) {
    const Parameter& p = program.parameters[static_cast<size_t>(description.parameter)];
    if (!p.trainable || p.size == 0) continue;
    T* w = parameters + p.offset;
    if (description.kind == "non_negative") {
      signs_.push_back({w, p.size});
      continue;
    }
    const Attributes& a = description.attributes;
    std::vector<bool> summed(p.shape.size()), kept(p.shape.size(), true);
    for (const double axis : a.get("axes", std::vector<double>{}))
      summed[static_cast<size_t>(axis)] = true, kept[static_cast<size_t>(axis)] = false;
    Norms norms{{}, offsets_along(p.shape, kept), offsets_along(p.shape, summed)};
    norms.call.low = a.get("min_value", 0.0);
    norms.call.high = a.get("max_value", 1.0);
    norms.call.rate = a.get("rate", 1.0);
    norms.call.groups = static_cast<int64_t>(norms.groups.size());
    norms.call.members = static_cast<int64_t>(norms.members.size());
    norms.call.w = w;
    norms_.push_back(std::move(norms));
  }
  for (Norms& norms : norms_) {
    norms.call.group_offset = norms.groups.data();
    norms.call.member_offset = norms.members.data();
  }
}

template <class T>
void Constraints<T>::apply(const Team& team) const {
  for (const Signs& signs : signs_) kernels_.constrain_signs(signs.size, signs.w, team);
  for (const Norms& norms : norms_) kernels_.constrain_norms(norms.call, team);
}

template class Constraints<float>;
template class Constraints<double>;

}  // namespace rnncore
