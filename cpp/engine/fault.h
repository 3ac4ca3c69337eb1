// What turns out to be wrong in the middle of a batch.
#pragma once

#include <mutex>
#include <string>
#include <utility>

namespace rnncore {

class Fault {
 public:
  // From any thread of a team; the first one stays.
  void set(std::string message) {
    const std::lock_guard lock(mutex_);
    if (message_.empty()) message_ = std::move(message);
  }

  // For all threads, with a barrier between them and `set`.
  bool failed() const { return !message_.empty(); }

  // For one thread, when no other looks. Empty: nothing was wrong.
  std::string take() { return std::exchange(message_, {}); }

 private:
  std::mutex mutex_;
  std::string message_;
};

}  // namespace rnncore
