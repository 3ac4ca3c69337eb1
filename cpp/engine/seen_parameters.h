// The parameters that a forward pass read, to tell whether backward would read others. Not the averages of batch
// normalization: backward reads none, and other forward passes move them.
#pragma once

#include <cstring>

#include "engine/program.h"

namespace rnncore {

template <class T>
class SeenParameters {
 public:
  void keep(const Program& program, const T* parameters) {
    seen_.clear();
    moved_.assign(program.parameters.size(), false);
    for (const Node& node : program.nodes)
      if (node.op == "batch_normalization")
        for (size_t i = node.parameters.size() - 2; i < node.parameters.size(); ++i)
          moved_[static_cast<size_t>(node.parameters[i])] = true;
    for (size_t i = 0; i < moved_.size(); ++i)
      if (const Parameter& p = program.parameters[i]; !moved_[i])
        seen_.insert(seen_.end(), parameters + p.offset, parameters + p.offset + p.size);
  }

  // To the bit.
  bool same(const Program& program, const T* parameters) const {
    const T* seen = seen_.data();
    for (size_t i = 0; i < moved_.size(); ++i) {
      if (moved_[i]) continue;
      const Parameter& p = program.parameters[i];
      if (p.size > 0 && std::memcmp(seen, parameters + p.offset, static_cast<size_t>(p.size) * sizeof(T)) != 0)
        return false;
      seen += p.size;
    }
    return true;
  }

 private:
  std::vector<T> seen_;      // windows one after another
  std::vector<bool> moved_;  // by parameter: an average
};

}  // namespace rnncore
