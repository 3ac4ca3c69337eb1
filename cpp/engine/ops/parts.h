// Hands out consecutive parts of a buffer; from null it only counts.
#pragma once

#include <cstdint>

namespace rnncore {

template <class T>
struct Parts {
  T* next;
  int64_t used = 0;

  T* take(int64_t size) {
    T* part = next ? next + used : nullptr;
    used += (size + 15) / 16 * 16;
    return part;
  }

  template <class Integer>
  Integer* take_integers(int64_t count) {
    constexpr int64_t integer = sizeof(Integer), number = sizeof(T);
    return reinterpret_cast<Integer*>(take((count * integer + number - 1) / number));
  }
};

}  // namespace rnncore
