#include "engine/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <unistd.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#else
#include <thread>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace rnncore {
namespace {

// A region costs about half a microsecond; a thread must bring several times that.
constexpr double kFlopsPerThread = 400e3;

std::atomic<int> chosen{0};
std::atomic<bool> serial{false};
std::atomic<bool> whatever_the_work{false};

using Clock = std::chrono::steady_clock;

int64_t now() { return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count(); }

// Until when regions stay serial because the last ones were contended.
std::atomic<int64_t> serial_until{0};
std::atomic<int64_t> serial_time{0};
constexpr int64_t kShortestSerialTime = 10'000'000, kLongestSerialTime = 640'000'000;
constexpr int64_t kNegligibleLoss = 200'000;
constexpr int kSpins = 4096;  // some microseconds

// The OpenMP runtime is not instrumented, so the thread sanitizer is told that what comes before `publish` in one
// thread comes before what follows `observe` in another.
#if defined(__SANITIZE_THREAD__)
void publish(void* place) { __tsan_release(place); }
void observe(void* place) { __tsan_acquire(place); }
#else
[[maybe_unused]] void publish(void*) {}
[[maybe_unused]] void observe(void*) {}
#endif

#if defined(_OPENMP)
// Whether a team lost more time to waiting for its own threads than it gained from them, as happens when others want
// the processors.
bool contended(const Barrier* barriers, int threads, int64_t begin) {
  if (threads == 1 || whatever_the_work) return false;
  int64_t lost = 0;
  for (int i = 0; i < kTeamBarriers; ++i) lost += barriers[i].lost;
  lost /= threads - 1;
  return lost > kNegligibleLoss && 2 * lost > now() - begin;
}

// Notes how a region went. Only a second contended one within a few tells: a first may have met a thread that the
// system took its processor from for once.
void learn(bool was_contended) {
  const int64_t before = serial_time;
  if (!was_contended) {
    if (before > 0) serial_time = before > kShortestSerialTime / 8 ? before / 2 : 0;
    return;
  }
  const int64_t time = std::clamp(2 * before, kShortestSerialTime, kLongestSerialTime);
  serial_time = before > 0 ? time : kShortestSerialTime / 2;
  if (before > 0) serial_until = now() + time;
}
#endif

int environment(const char* name) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : 0;
}

// Processors granted by the control group's quota ("max 100000" means no limit), or 0.
int cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::ceil(std::atof(quota.c_str()) / period)));
}

int available_processors() {
  int count = 1;
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) count = CPU_COUNT(&set);
#elif defined(_OPENMP)
  count = omp_get_num_procs();
#else
  count = static_cast<int>(std::thread::hardware_concurrency());
#endif
  const int quota = cgroup_quota();
  return std::max(1, quota > 0 ? std::min(count, quota) : count);
}

int processors() {
  static const int count = available_processors();
  return count;
}

// What others grant this thread through OpenMP, as threadpoolctl does: fewer than OpenMP begins with is a limit.
int granted_threads() {
#if defined(_OPENMP)
  static const int usual = [] {
    const int n = environment("OMP_NUM_THREADS");
    return n > 0 ? n : omp_get_num_procs();
  }();
  const int n = omp_get_max_threads();
  if (n < usual) return n;
#endif
  return std::numeric_limits<int>::max();
}

int default_threads() {
  for (const char* name : {"RNNCORE_NUM_THREADS", "OMP_NUM_THREADS"})
    if (const int n = environment(name); n > 0) return n;
  return processors();
}

}  // namespace

int num_threads() {
  if (serial) return 1;
  int n = chosen;
  if (n == 0) chosen = n = default_threads();
  return std::min(n, granted_threads());
}

void set_num_threads(int threads, bool always) {
  if (threads != chosen || always != whatever_the_work) serial_time = serial_until = 0;  // a new choice is tried
  chosen = threads;
  whatever_the_work = always;
}

bool uses_all_threads() { return whatever_the_work; }

#if defined(__unix__) || defined(__APPLE__)
// In a forked child the OpenMP pool of the parent is gone: run serially from then on.
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] { serial = true; });
#endif

bool built_with_openmp() {
#if defined(_OPENMP)
  return true;
#else
  return false;
#endif
}

int64_t second_level_cache() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const int64_t size = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (size > 0) return size;
#endif
  return int64_t{1} << 20;
}

int threads_for(double flops) {
  if (whatever_the_work) return num_threads();
  const int limit = std::min(num_threads(), processors());
  const double worth = flops / kFlopsPerThread;
  if (limit == 1 || worth < 2) return 1;
  if (serial_until != 0 && now() < serial_until) return 1;
  return worth >= limit ? limit : static_cast<int>(worth);
}

void run_team(int threads, const Interrupt& interrupt, void (*fn)(const Team&, void*), void* context) {
  Stop stop{interrupt.ask, interrupt.context};
#if defined(_OPENMP)
  // A region within a region of the same thread, as of a signal handler that computes, has this thread only: the
  // signals are those of the outer team, which waits on them.
  thread_local bool inside = false;
  if (threads > 1 && !inside && !serial) {  // a tape may come from before a fork
    // Signals of the team, then of each half.
    const int all = threads * barrier_lines(threads), half = threads / 2 * barrier_lines(threads / 2);
    thread_local std::vector<Signal> signals;
    signals.assign(static_cast<size_t>(all + 2 * half), {});
    const int spins = threads > processors() ? 0 : kSpins;
    Barrier barriers[kTeamBarriers] = {
        {spins, signals.data(), 0}, {spins, signals.data() + all, 0}, {spins, signals.data() + all + half, 0}};
    const int64_t begin = now();
    int team_size = 1;
    inside = true;
    publish(&stop);
#pragma omp parallel num_threads(threads)
    {
      observe(&stop);
      // The runtime may give fewer threads than asked for.
      Watch watch(stop, omp_get_thread_num() == 0);
      const Team team{omp_get_thread_num(), omp_get_num_threads(), barriers, &watch};
      if (team.thread == 0)
        team_size = team.threads;
      else
        __atomic_add_fetch(&barriers[0].lost, now() - begin, __ATOMIC_RELAXED);  // late to start
      try {
        fn(team, context);
        team_barrier(team);       // so that waiting for the slowest is counted
      } catch (const Stopped&) {  // all do
      }
      publish(&stop);
    }
    observe(&stop);
    inside = false;
    if (stop.said) throw Stopped{};
    learn(contended(barriers, team_size, begin));
    return;
  }
#endif
  Watch watch(stop, true);
  fn(Team{0, 1, nullptr, &watch}, context);
}

}  // namespace rnncore
