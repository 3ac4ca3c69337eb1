// Who has what only one thread can use at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "engine/threads.h"

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

// Threads that are somewhere, as often as they are there, in the order in which they came. The entries lie on their
// stacks. Whoever changes it has a lock for that; each change is a single store, so that a forked child finds it whole.
class ThreadList {
 public:
  struct Entry {
    const std::thread::id thread = std::this_thread::get_id();
    bool away = false;  // passed over by first()
    std::atomic<Entry*> next{nullptr};
  };

  void add(Entry& entry);
  void remove(Entry& entry);
  bool empty() const { return !entries_.load(); }
  const Entry* first() const;  // null: all are away

  // Frees it of threads that are not in a forked child.
  void in_child();

 private:
  std::atomic<Entry*> entries_{nullptr};
};

// A lock that threads get in the order in which they ask. A thread that has it may take it again.
class Turns {
 public:
  // Throws Stopped, without it, when the interrupt says so. While that is asked, others do not wait for this thread.
  void take(const Interrupt& interrupt);
  // Whether it was free, or this thread's.
  bool try_take();
  void give();
  bool mine() const { return holder_ == std::this_thread::get_id(); }

  // Frees it of threads that are not in a forked child.
  void in_child();

 private:
  std::mutex mutex_;  // of who has it and who waits
  std::condition_variable changed_;
  ThreadList waiting_;
  std::atomic<std::thread::id> holder_{};
  int depth_ = 0;
};

class Turn {
 public:
  Turn(Turns& turns, const Interrupt& interrupt) : turns_(turns), interrupt_(interrupt) { take(); }
  Turn(Turns& turns, std::adopt_lock_t) : turns_(turns), interrupt_{}, has_(true) {}
  ~Turn() {
    if (has_) turns_.give();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool has() const { return has_; }

  // Lets those who wait have theirs first. Where f, asked meanwhile whether to stop, says yes, the turn is over.
  template <class F>
  bool stop_between(F f) {
    has_ = false;
    turns_.give();
    if (f()) return true;
    take();
    return false;
  }

 private:
  void take() {
    turns_.take(interrupt_);
    has_ = true;
  }

  Turns& turns_;
  const Interrupt interrupt_;
  bool has_ = false;
};

// Turns with weights, which several executors may share.
class SharedTurns final : public ForkObserver {
 public:
  Turns turns;
  std::atomic<uint64_t> written{0};  // how often executors may have written to the weights

 private:
  void in_child() override { turns.in_child(); }
};

// Those with the weights at an address, as long as someone has them.
std::shared_ptr<SharedTurns> turns_with(const void* weights);

}  // namespace rnncore
