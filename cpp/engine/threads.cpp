#include "engine/threads.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#else
#include <thread>
#endif

namespace rnncore {
namespace {

// A region costs about half a microsecond; a thread must bring several times that.
constexpr double kFlopsPerThread = 400e3;

std::atomic<int> chosen{0};
std::atomic<bool> serial{false};
std::atomic<bool> whatever_the_work{false};

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

int default_threads() {
  for (const char* name : {"RNNCORE_NUM_THREADS", "OMP_NUM_THREADS"})
    if (const int n = environment(name); n > 0) return n;
  return available_processors();
}

}  // namespace

int num_threads() {
  if (serial) return 1;
  int n = chosen;
  if (n == 0) chosen = n = default_threads();
  return n;
}

void set_num_threads(int threads, bool always) {
  chosen = threads;
  whatever_the_work = always;
}

void serial_after_fork() { serial = true; }

#if defined(__unix__) || defined(__APPLE__)
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, serial_after_fork);
#endif

bool built_with_openmp() {
#if defined(_OPENMP)
  return true;
#else
  return false;
#endif
}

int threads_for(double flops) {
  const double worth = flops / kFlopsPerThread;
  const int limit = num_threads();
  return worth >= limit || whatever_the_work ? limit : std::max(1, static_cast<int>(worth));
}

void run_team(int threads, void (*fn)(const Team&, void*), void* context) {
  Barrier barrier{};
#if defined(_OPENMP)
  if (threads > 1) {
#pragma omp parallel num_threads(threads)
    {
      // The runtime may give fewer threads than asked for.
      fn(Team{omp_get_thread_num(), omp_get_num_threads(), &barrier}, context);
    }
    return;
  }
#endif
  fn(Team{0, 1, &barrier}, context);
}

}  // namespace rnncore
