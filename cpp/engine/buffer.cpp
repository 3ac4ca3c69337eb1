#include "engine/buffer.h"

#include <cstdlib>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace rnncore {
namespace {

struct Block {
  void* data;
  size_t size;
};

// Freed blocks wait here for the next request of their size class.
class Pool {
 public:
  void* take(size_t size) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (int i = count_ - 1; i >= 0; --i)
      if (blocks_[i].size == size) {
        void* data = blocks_[i].data;
        held_ -= size;
        for (int k = i + 1; k < count_; ++k) blocks_[k - 1] = blocks_[k];
        --count_;
        return data;
      }
    return nullptr;
  }

  // Keeps the block and gives up the oldest ones beyond the limits.
  void give(void* data, size_t size) {
    if (size > kMostBytes) return std::free(data);
    std::lock_guard<std::mutex> lock(mutex_);
    while (count_ == kMostBlocks || held_ + size > kMostBytes) {
      std::free(blocks_[0].data);
      held_ -= blocks_[0].size;
      for (int k = 1; k < count_; ++k) blocks_[k - 1] = blocks_[k];
      --count_;
    }
    blocks_[count_++] = {data, size};
    held_ += size;
  }

 private:
  static constexpr int kMostBlocks = 64;
  static constexpr size_t kMostBytes = size_t{512} << 20;
  std::mutex mutex_;
  Block blocks_[kMostBlocks];
  int count_ = 0;
  size_t held_ = 0;
};

Pool& pool() {
  static Pool* instance = new Pool;  // outlives arrays that Python frees at exit
  return *instance;
}

// Small blocks that this thread gave up last, for its next requests: these need no lock. Without a constructor or a
// destructor, whose guards cost as much as the search.
class Recent {
 public:
  void* take(size_t size) {
    if (size > kMostBytes) return nullptr;
    for (int i = count_ - 1; i >= 0; --i)
      if (blocks_[i].size == size) {
        void* data = blocks_[i].data;
        blocks_[i] = blocks_[--count_];
        return data;
      }
    return nullptr;
  }

  bool give(void* data, size_t size);

  void end() {
    ended_ = true;
    while (count_ > 0) --count_, pool().give(blocks_[count_].data, blocks_[count_].size);
  }

 private:
  static constexpr size_t kMostBytes = size_t{64} << 10;  // of a block
  static constexpr int kMostBlocks = 8;
  Block blocks_[kMostBlocks];
  int count_;
  bool used_, ended_;
};

constinit thread_local Recent recent{};

// Gives the blocks of a thread that ends to the others.
struct AtThreadEnd {
  bool armed = true;
  ~AtThreadEnd() { recent.end(); }
};
thread_local AtThreadEnd at_thread_end;

bool Recent::give(void* data, size_t size) {
  if (size > kMostBytes || ended_ || count_ == kMostBlocks) return false;
  if (!used_) used_ = at_thread_end.armed;  // its first use, which asks for its destructor
  blocks_[count_++] = {data, size};
  return true;
}

constexpr size_t kHugePage = size_t{2} << 20;

// Size classes: multiples of 64 bytes, of 128 KiB when large.
size_t rounded(size_t size) {
  const size_t unit = size >= kHugePage ? kHugePage / 16 : 64;
  return (size + unit - 1) / unit * unit;
}

}  // namespace

Buffer::Buffer(size_t size) : size_(rounded(size)) {
  if (size_ == 0) return;
  data_ = recent.take(size_);
  if (!data_) data_ = pool().take(size_);
  if (data_) return;
  if (posix_memalign(&data_, size_ >= kHugePage ? kHugePage : 64, size_) != 0) throw std::bad_alloc();
#if defined(__linux__)
  if (size_ >= kHugePage) madvise(data_, size_, MADV_HUGEPAGE);
#endif
}

Buffer::~Buffer() {
  if (!data_ || recent.give(data_, size_)) return;
  pool().give(data_, size_);
}

}  // namespace rnncore
