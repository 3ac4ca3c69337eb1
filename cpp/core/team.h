// A team of threads that runs one kernel together, and its barrier.
#pragma once

#include <cstdint>

namespace rnncore {

// How often a thread was told something, on a line of its own.
struct alignas(64) Signal {
  int64_t count;
};

// Whether a region is to end before its work is done.
struct Stop {
  bool (*ask)(void* context);  // asked now and then by the region's caller; null: never
  void* context;
  int64_t asked = 0;  // when that was, in nanoseconds
  bool said = false;  // yes
};

constexpr int64_t kAskInterval = 50'000'000;  // nanoseconds between two questions

// A millisecond's work, about: the clock costs little beside it.
constexpr int64_t kOperationsOfALook = 1 << 22;

// What a thread of a region has left to do, in operations, before it looks at `stop` again.
struct Watch {
  int64_t left;
  Stop* stop;
  bool asks;

  Watch(Stop& s, bool is_caller) : left(s.ask ? kOperationsOfALook : INT64_MAX), stop(&s), asks(is_caller) {}
};

// Leaves a region that is to stop, through the kernels: they own nothing. Whoever opened the region catches it.
struct Stopped {};

// One per team: a dissemination barrier (Hensgen, Finkel, Manber 1988). In round k thread i tells thread i + 2^k that
// it and all it has heard of are here, so that no word has two writers and the rounds grow with the team's logarithm.
struct Barrier {
  int spins;  // looks before a waiting thread yields its processor; none where the team has more threads than those
  Signal* signals;  // [threads][barrier_lines]: barriers that the thread came to; those it was told of, by round
  alignas(64) int64_t lost;  // nanoseconds that threads waited for others beyond the usual
};

constexpr int barrier_rounds(int threads) {
  int rounds = 0;
  for (int distance = 1; distance < threads; distance *= 2) ++rounds;
  return rounds;
}
constexpr int barrier_lines(int threads) { return 1 + barrier_rounds(threads); }

struct Team {
  int thread;
  int threads;
  Barrier* barrier;  // its own, then one for each half
  Watch* watch = nullptr;
};

static constexpr int kTeamBarriers = 3;

struct Range {
  int64_t begin;
  int64_t end;
};

#define RNNCORE_INLINE inline __attribute__((always_inline))

// Waits until every thread of the team is here: spins for a while, then yields. The first lines of `next`, if any, are
// fetched meanwhile. Throws Stopped where some will not come.
void team_meet(const Team& team, const void* next);

static RNNCORE_INLINE void team_barrier(const Team& team, const void* next = nullptr) {
  if (team.threads > 1) team_meet(team, next);
}

// Throws Stopped where the region is to stop.
void look(Watch& watch);

// What may run for long says this now and then, with the operations that lie between two calls.
static RNNCORE_INLINE void may_stop(const Team& team, int64_t operations) {
  if (team.watch && (team.watch->left -= operations) < 0) look(*team.watch);
}

static RNNCORE_INLINE bool in_second_half(const Team& team) { return 2 * team.thread >= team.threads; }

// The half of an even team that this thread is in: a team of its own, without halves.
static RNNCORE_INLINE Team half_of(const Team& team) {
  const int size = team.threads / 2;
  return {team.thread % size, size, team.barrier + 1 + in_second_half(team), team.watch};
}

// This thread as a team of its own.
static RNNCORE_INLINE Team alone_of(const Team& team) { return {0, 1, nullptr, team.watch}; }

// Part number `thread` of [0, n) cut into `threads` near-equal parts at multiples of `grain`.
static RNNCORE_INLINE Range team_range(int64_t n, int thread, int threads, int64_t grain) {
  if (threads == 1) return {0, n};  // spares a small call its divisions
  const int64_t pieces = (n + grain - 1) / grain;
  const int64_t begin = pieces * thread / threads * grain;
  const int64_t end = pieces * (thread + 1) / threads * grain;
  return {begin < n ? begin : n, end < n ? end : n};
}

static RNNCORE_INLINE Range team_range(int64_t n, const Team& team, int64_t grain) {
  return team_range(n, team.thread, team.threads, grain);
}

}  // namespace rnncore
