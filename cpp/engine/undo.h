// What a step changes before it is done: the states, and the weights that its forward pass moves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace rnncore {

template <class T>
class Undo {
 public:
  void add(T* numbers, int64_t count) {
    if (count > 0) places_.push_back({numbers, count});
  }
  void keep() {
    kept_.clear();
    for (const auto& [numbers, count] : places_) kept_.insert(kept_.end(), numbers, numbers + count);
  }
  void forget() { kept_.clear(); }
  void put_back() const {
    if (kept_.empty()) return;
    const T* from = kept_.data();
    for (const auto& [numbers, count] : places_) {
      std::copy_n(from, count, numbers);
      from += count;
    }
  }

 private:
  std::vector<std::pair<T*, int64_t>> places_;
  std::vector<T> kept_;
};

}  // namespace rnncore
