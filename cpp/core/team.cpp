#include "core/team.h"

#include <sched.h>
#include <time.h>

namespace rnncore {
namespace {

// Waits for a late thread: yields the processor, which it may need, and counts the time as lost.
void wait_long(Barrier& barrier, const Signal& told, int64_t count) {
  timespec from{}, to{};
  clock_gettime(CLOCK_MONOTONIC, &from);
  while (__atomic_load_n(&told.count, __ATOMIC_ACQUIRE) < count) sched_yield();
  clock_gettime(CLOCK_MONOTONIC, &to);
  const int64_t waited = (to.tv_sec - from.tv_sec) * int64_t{1000000000} + (to.tv_nsec - from.tv_nsec);
  __atomic_add_fetch(&barrier.lost, waited, __ATOMIC_RELAXED);
}

void wait(Barrier& barrier, const Signal& told, int64_t count, const void* next) {
  constexpr int kLines = 256, kLinesOfALook = 8;
  const char* line = static_cast<const char*>(next);
  for (int fetched = 0; next && fetched < kLines && fetched < barrier.spins; fetched += kLinesOfALook) {
    if (__atomic_load_n(&told.count, __ATOMIC_ACQUIRE) >= count) return;
    for (int i = 0; i < kLinesOfALook; ++i, line += 64) __builtin_prefetch(line);
  }
  for (int spins = barrier.spins; spins > 0; --spins) {
    if (__atomic_load_n(&told.count, __ATOMIC_ACQUIRE) >= count) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  wait_long(barrier, told, count);
}

}  // namespace

void team_meet(const Team& team, const void* next) {
  Barrier& barrier = *team.barrier;
  const int lines = barrier_lines(team.threads);
  Signal* mine = barrier.signals + team.thread * lines;
  const int64_t count = ++mine->count;
  for (int round = 1, distance = 1; round < lines; ++round, distance *= 2) {
    const int to = team.thread + distance;
    Signal* other = barrier.signals + (to < team.threads ? to : to - team.threads) * lines;
    __atomic_store_n(&other[round].count, count, __ATOMIC_RELEASE);
    wait(barrier, mine[round], count, next);
    next = nullptr;
  }
}

}  // namespace rnncore
