// Aligned memory that is used again: training calls of one shape allocate the same sizes over and over, and
// fresh pages cost more than the arithmetic of a small call.
#pragma once

#include <cstddef>
#include <utility>

namespace rnncore {

// Whether others will soon want as much memory again, once it is free.
enum class Reuse { soon, never };

// Owns `size` bytes on a 64-byte boundary (large ones on a huge page), not initialised.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size, Reuse reuse = Reuse::soon);
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), reuse_(other.reuse_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(reuse_, other.reuse_);
    return *this;
  }
  ~Buffer();

  void* data() const { return data_; }
  size_t size() const { return size_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
  Reuse reuse_ = Reuse::soon;
};

// Gives the memory that waits to be used again back to the system.
void release_buffers();

}  // namespace rnncore
