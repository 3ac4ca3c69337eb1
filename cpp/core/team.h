// A team of threads that runs one kernel together, and its barrier.
#pragma once

#include <cstdint>

namespace rnncore {

// One per team. The words live on lines of their own.
struct Barrier {
  int spins;  // looks before a waiting thread yields its processor; none where the team has more threads than those
  alignas(64) int arrived;
  alignas(64) int generation;
  alignas(64) int64_t lost;  // nanoseconds that threads waited for others beyond the usual
};

struct Team {
  int thread;
  int threads;
  Barrier* barrier;  // its own, then one for each half
};

static constexpr int kTeamBarriers = 3;

struct Range {
  int64_t begin;
  int64_t end;
};

#define RNNCORE_INLINE inline __attribute__((always_inline))

// Waits for a late thread: yields the processor, which it may need, and counts the time in `lost`.
void team_wait(Barrier& barrier, int generation);

// Waits until every thread of the team is here: spins for a while, then yields. The first lines of `next`, if any, are
// fetched meanwhile.
static RNNCORE_INLINE void team_barrier(const Team& team, const void* next = nullptr) {
  if (team.threads == 1) return;
  Barrier& b = *team.barrier;
  const int generation = __atomic_load_n(&b.generation, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&b.arrived, 1, __ATOMIC_ACQ_REL) == team.threads) {
    __atomic_store_n(&b.arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&b.generation, generation + 1, __ATOMIC_RELEASE);
    return;
  }
  constexpr int kLines = 256, kLinesOfALook = 8;
  const char* line = static_cast<const char*>(next);
  for (int fetched = 0; next && fetched < kLines && fetched < b.spins; fetched += kLinesOfALook) {
    if (__atomic_load_n(&b.generation, __ATOMIC_ACQUIRE) != generation) return;
    for (int i = 0; i < kLinesOfALook; ++i, line += 64) __builtin_prefetch(line);
  }
  for (int spins = b.spins; spins > 0; --spins) {
    if (__atomic_load_n(&b.generation, __ATOMIC_ACQUIRE) != generation) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  team_wait(b, generation);
}

static RNNCORE_INLINE bool in_second_half(const Team& team) { return 2 * team.thread >= team.threads; }

// The half of an even team that this thread is in: a team of its own, without halves.
static RNNCORE_INLINE Team half_of(const Team& team) {
  const int size = team.threads / 2;
  return {team.thread % size, size, team.barrier + 1 + in_second_half(team)};
}

// Part number `thread` of [0, n) cut into `threads` near-equal parts at multiples of `grain`.
static RNNCORE_INLINE Range team_range(int64_t n, int thread, int threads, int64_t grain) {
  const int64_t pieces = (n + grain - 1) / grain;
  const int64_t begin = pieces * thread / threads * grain;
  const int64_t end = pieces * (thread + 1) / threads * grain;
  return {begin < n ? begin : n, end < n ? end : n};
}

static RNNCORE_INLINE Range team_range(int64_t n, const Team& team, int64_t grain) {
  return team_range(n, team.thread, team.threads, grain);
}

}  // namespace rnncore
