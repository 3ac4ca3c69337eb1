#include "engine/buffer.h"

#include <chrono>
#include <cstdint>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace rnncore {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kHugePage = size_t{2} << 20;
constexpr std::align_val_t kAlignment{64};

// Size classes: multiples of 64 bytes, of 128 KiB when large.
size_t rounded(size_t size) {
  const size_t unit = size >= kHugePage ? kHugePage / 16 : 64;
  return (size + unit - 1) / unit * unit;
}

// Large blocks come from the system itself and go back to it at once; those of malloc may stay with the process.
#if defined(__linux__)
void* map_pages(size_t size) {
  const size_t whole = size + kHugePage;
  void* found = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(found);
  const size_t before = kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage;  // a huge page at most
  munmap(begin, before);
  if (before < kHugePage) munmap(begin + before + size, kHugePage - before);
  madvise(begin + before, size, MADV_HUGEPAGE);
  return begin + before;
}
#endif

void* allocate(size_t size) {
#if defined(__linux__)
  if (size >= kHugePage) return map_pages(size);
#endif
  return ::operator new(size, kAlignment);
}

void deallocate(void* data, [[maybe_unused]] size_t size) {
#if defined(__linux__)
  if (size >= kHugePage) {
    munmap(data, size);
    return;
  }
#endif
  ::operator delete(data, kAlignment);
}

struct Block {
  void* data;
  size_t size;
  Clock::time_point since;
};

// Freed blocks wait here for the next request of their size class; the oldest ones come first.
class Pool {
 public:
  void* take(size_t size) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (int i = count_ - 1; i >= 0; --i)
      if (blocks_[i].size == size) return remove(i);
    return nullptr;
  }

  // Keeps the block, and gives up those that nobody wants any more or that are beyond the limits.
  void give(void* data, size_t size) {
    if (size > kMostBytes) return deallocate(data, size);
    const Clock::time_point now = Clock::now();
    std::lock_guard<std::mutex> lock(mutex_);
    while (count_ == kMostBlocks || held_ + size > kMostBytes || (count_ > 0 && now - blocks_[0].since > kLongest))
      drop_oldest();
    blocks_[count_++] = {data, size, now};
    held_ += size;
  }

  void clear() {
    std::lock_guard<std::mutex> lock(mutex_);
    while (count_ > 0) drop_oldest();
  }

  // Held while the process forks, so that the child's pool is whole.
  std::mutex& mutex() { return mutex_; }

 private:
  void* remove(int index) {
    const Block block = blocks_[index];
    held_ -= block.size;
    for (int k = index + 1; k < count_; ++k) blocks_[k - 1] = blocks_[k];
    --count_;
    return block.data;
  }

  void drop_oldest() {
    const size_t size = blocks_[0].size;
    deallocate(remove(0), size);
  }

  static constexpr int kMostBlocks = 64;
  static constexpr size_t kMostBytes = size_t{256} << 20;
  static constexpr auto kLongest = std::chrono::seconds(5);
  std::mutex mutex_;
  Block blocks_[kMostBlocks];
  int count_ = 0;
  size_t held_ = 0;
};

Pool& pool() {
  static Pool* instance = new Pool;  // outlives arrays that Python frees at exit
  return *instance;
}

#if defined(__unix__) || defined(__APPLE__)
[[maybe_unused]] const int at_fork =
    pthread_atfork([] { pool().mutex().lock(); }, [] { pool().mutex().unlock(); }, [] { pool().mutex().unlock(); });
#endif

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

  void clear() {
    while (count_ > 0) --count_, pool().give(blocks_[count_].data, blocks_[count_].size);
  }

  void end() {
    ended_ = true;
    clear();
  }

 private:
  struct Block {
    void* data;
    size_t size;
  };
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

}  // namespace

Buffer::Buffer(size_t size, Reuse reuse) : size_(rounded(size)), reuse_(reuse) {
  if (size_ == 0) return;
  if (reuse_ == Reuse::soon) {
    data_ = recent.take(size_);
    if (!data_) data_ = pool().take(size_);
  }
  if (!data_) data_ = allocate(size_);
}

Buffer::~Buffer() {
  if (!data_) return;
  if (reuse_ == Reuse::never)
    deallocate(data_, size_);
  else if (!recent.give(data_, size_))
    pool().give(data_, size_);
}

void release_buffers() {
  recent.clear();
  pool().clear();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace rnncore
