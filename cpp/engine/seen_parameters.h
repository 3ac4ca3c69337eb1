// The parameters that a forward pass read, to tell whether backward would read others.
#pragma once

#include <cstring>

#include "engine/program.h"

namespace rnncore {

template <class T>
class SeenParameters {
 public:
  void keep(const Program& program, const T* parameters) {
    seen_.clear();
    for (const Parameter& p : program.parameters)
      seen_.insert(seen_.end(), parameters + p.offset, parameters + p.offset + p.size);
  }

  // To the bit.
  bool same(const Program& program, const T* parameters) const {
    const T* seen = seen_.data();
    for (const Parameter& p : program.parameters) {
      if (p.size > 0 && std::memcmp(seen, parameters + p.offset, static_cast<size_t>(p.size) * sizeof(T)) != 0)
        return false;
      seen += p.size;
    }
    return true;
  }

 private:
  std::vector<T> seen_;  // windows one after another
};

}  // namespace rnncore
