// Who has what only one thread can use at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

namespace rnncore {

// Told in a forked child, where the thread that forked is the only one.
class ForkObserver {
 public:
  ForkObserver(const ForkObserver&) = delete;
  ForkObserver& operator=(const ForkObserver&) = delete;
  virtual void in_child() = 0;

 protected:
  ForkObserver();
  virtual ~ForkObserver();

 private:
  friend void tell_fork_observers();
  ForkObserver *next_, *previous_ = nullptr;
};

// A lock that threads get in the order in which they ask. A thread that has it may take it again.
class Turns {
 public:
  void take();
  void give();
  bool mine() const { return holder_ == std::this_thread::get_id(); }

  // Frees it of threads that are not in a forked child.
  void in_child();

 private:
  std::mutex mutex_;  // of the numbers
  std::condition_variable changed_;
  uint64_t next_ = 0;  // the number that who asks next gets
  // That of who has it, or is the next to. Atomic for the thread sanitizer, which does not see into `changed_`.
  std::atomic<uint64_t> served_{0};
  std::atomic<std::thread::id> holder_{};
  int depth_ = 0;
};

class Turn {
 public:
  explicit Turn(Turns& turns) : turns_(turns) { turns_.take(); }
  ~Turn() { turns_.give(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // Lets those who wait have theirs first.
  template <class F>
  auto between(F f) {
    turns_.give();
    const auto result = f();
    turns_.take();
    return result;
  }

 private:
  Turns& turns_;
};

// Turns with weights, which several executors may share.
class SharedTurns final : public ForkObserver {
 public:
  Turns turns;

 private:
  void in_child() override { turns.in_child(); }
};

// Those with the weights at an address, as long as someone has them.
std::shared_ptr<SharedTurns> turns_with(const void* weights);

}  // namespace rnncore
