#include "core/team.h"

#include <chrono>
#include <thread>

namespace rnncore {
namespace {

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Waits for a late thread: yields the processor, which it may need, and counts the time as lost.
void wait_long(const Team& team, const Signal& told, int64_t count) {
  const int64_t from = now();
  while (__atomic_load_n(&told.count, __ATOMIC_ACQUIRE) < count) {
    look(*team.watch);  // the others may have all the work
    std::this_thread::yield();
  }
  __atomic_add_fetch(&team.barrier->lost, now() - from, __ATOMIC_RELAXED);
}

void wait(const Team& team, const Signal& told, int64_t count, const void* next) {
  constexpr int kLines = 256, kLinesOfALook = 8;
  const char* line = static_cast<const char*>(next);
  for (int fetched = 0; next && fetched < kLines && fetched < team.barrier->spins; fetched += kLinesOfALook) {
    if (__atomic_load_n(&told.count, __ATOMIC_ACQUIRE) >= count) return;
    for (int i = 0; i < kLinesOfALook; ++i, line += 64) __builtin_prefetch(line);
  }
  for (int spins = team.barrier->spins; spins > 0; --spins) {
    if (__atomic_load_n(&told.count, __ATOMIC_ACQUIRE) >= count) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  wait_long(team, told, count);
}

}  // namespace

void look(Watch& watch) {
  watch.left = kOperationsOfALook;
  Stop& stop = *watch.stop;
  if (watch.asks && stop.ask) {
    const int64_t time = now();
    if (stop.asked == 0) stop.asked = time;
    if (time - stop.asked >= kAskInterval) {
      if (stop.ask(stop.context)) __atomic_store_n(&stop.said, true, __ATOMIC_RELAXED);
      stop.asked = now();
    }
  }
  if (__atomic_load_n(&stop.said, __ATOMIC_RELAXED)) throw Stopped{};
}

void team_meet(const Team& team, const void* next) {
  Barrier& barrier = *team.barrier;
  const int lines = barrier_lines(team.threads);
  Signal* mine = barrier.signals + team.thread * lines;
  const int64_t count = ++mine->count;
  for (int round = 1, distance = 1; round < lines; ++round, distance *= 2) {
    const int to = team.thread + distance;
    Signal* other = barrier.signals + (to < team.threads ? to : to - team.threads) * lines;
    __atomic_store_n(&other[round].count, count, __ATOMIC_RELEASE);
    wait(team, mine[round], count, next);
    next = nullptr;
  }
}

}  // namespace rnncore
