#include "engine/turns.h"

#include <chrono>
#include <map>
#include <new>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace rnncore {
namespace {

// The observers, linked. Held while the process forks, so that the child's list is whole.
std::mutex& observers_mutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}
ForkObserver* observers = nullptr;

// The turns that someone has. Its mutex is held while the process forks, too, and taken before the other.
struct Shared {
  std::mutex mutex;
  std::map<const void*, std::weak_ptr<SharedTurns>> turns;
};
Shared& shared() {
  static auto* const instance = new Shared;
  return *instance;
}

}  // namespace

std::shared_ptr<SharedTurns> turns_with(const void* weights) {
  const std::lock_guard lock(shared().mutex);
  std::erase_if(shared().turns, [](const auto& entry) { return entry.second.expired(); });
  auto& place = shared().turns[weights];
  auto found = place.lock();
  if (!found) place = found = std::make_shared<SharedTurns>();
  return found;
}

ForkObserver::ForkObserver() {
  const std::lock_guard lock(observers_mutex());
  next_ = observers;
  if (next_) next_->previous_ = this;
  observers = this;
}

ForkObserver::~ForkObserver() {
  const std::lock_guard lock(observers_mutex());
  (previous_ ? previous_->next_ : observers) = next_;
  if (next_) next_->previous_ = previous_;
}

void tell_fork_observers() {
  for (ForkObserver* o = observers; o; o = o->next_) o->in_child();
}

#if defined(__unix__) || defined(__APPLE__)
namespace {

[[maybe_unused]] const int at_fork = pthread_atfork([] { shared().mutex.lock(), observers_mutex().lock(); },
                                                    [] { observers_mutex().unlock(), shared().mutex.unlock(); },
                                                    [] {
                                                      tell_fork_observers();
                                                      observers_mutex().unlock(), shared().mutex.unlock();
                                                    });

}  // namespace
#endif

void ThreadList::add(Entry& entry) {
  auto* place = &entries_;
  while (Entry* other = *place) place = &other->next;
  *place = &entry;
}

void ThreadList::remove(Entry& entry) {
  auto* place = &entries_;
  while (*place != &entry) place = &place->load()->next;
  *place = entry.next.load();
}

const ThreadList::Entry* ThreadList::first() const {
  const Entry* entry = entries_;
  while (entry && entry->away) entry = entry->next;
  return entry;
}

void ThreadList::in_child() {
  auto* place = &entries_;
  while (Entry* entry = *place)
    if (entry->thread == std::this_thread::get_id())
      place = &entry->next;
    else
      *place = entry->next.load();
}

void Turns::take(const Interrupt& interrupt) {
  if (!mine()) {
    std::unique_lock lock(mutex_);
    ThreadList::Entry self;
    waiting_.add(self);
    const auto is_next = [&] { return holder_.load() == std::thread::id{} && waiting_.first() == &self; };
    while (!changed_.wait_for(lock, std::chrono::nanoseconds(kAskInterval), is_next)) {
      if (!interrupt.ask) continue;
      self.away = true;
      lock.unlock();
      const bool stop = interrupt.ask(interrupt.context);
      lock.lock();
      self.away = false;
      if (!stop) continue;
      waiting_.remove(self);
      throw Stopped{};
    }
    waiting_.remove(self);
    holder_ = std::this_thread::get_id();
  }
  ++depth_;
}

bool Turns::try_take() {
  if (!mine()) {
    const std::lock_guard lock(mutex_);
    if (holder_.load() != std::thread::id{} || waiting_.first()) return false;
    holder_ = std::this_thread::get_id();
  }
  ++depth_;
  return true;
}

void Turns::give() {
  if (--depth_ > 0) return;
  {
    const std::lock_guard lock(mutex_);
    holder_ = std::thread::id{};
    if (waiting_.empty()) return;
  }
  changed_.notify_all();
}

void Turns::in_child() {
  new (&mutex_) std::mutex;
  new (&changed_) std::condition_variable;
  waiting_.in_child();
  if (!mine()) holder_ = std::thread::id{}, depth_ = 0;
}

}  // namespace rnncore
