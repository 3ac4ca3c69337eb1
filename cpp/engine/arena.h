// Memory that lives across calls and grows when a plan needs more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "engine/layout.h"

namespace rnncore {

class Arena {
 public:
  // At least `bytes`. What was handed out before is gone when it has to grow.
  std::byte* reserve(int64_t bytes) {
    if (bytes > bytes_) {
      memory_.reset();
      bytes_ = 0;
      memory_.reset(static_cast<std::byte*>(::operator new(static_cast<size_t>(bytes), std::align_val_t{kLine})));
      bytes_ = bytes;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{kLine}); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  int64_t bytes_ = 0;
};

}  // namespace rnncore
