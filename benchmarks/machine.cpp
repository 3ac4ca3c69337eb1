// What a model of many cores needs to know of the machine: how fast caches and memory are read, what threads cost.
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "core/team.h"

namespace {

using Clock = std::chrono::steady_clock;
typedef float Vector __attribute__((vector_size(64)));

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

// Bytes a second of the slowest of `threads` threads, each of which reads its own `bytes` again and again.
extern "C" double read_rate(int threads, int64_t bytes, int milliseconds) {
  std::vector<double> rates(threads);
#pragma omp parallel num_threads(threads)
  {
    std::vector<Vector> data(bytes / sizeof(Vector), Vector{} + 1.0f);
    Vector sums[8] = {};
    const auto once = [&] {
      for (size_t k = 0; k + 8 <= data.size(); k += 8)
        for (int i = 0; i < 8; ++i) sums[i] += data[k + i];
    };
    once();
#pragma omp barrier
    int64_t rounds = 0;
    const auto start = Clock::now();
    for (; since(start) < milliseconds * 1e-3; ++rounds) once();
    rates[omp_get_thread_num()] = static_cast<double>(bytes) * rounds / since(start);
    for (auto& sum : sums) __asm__ volatile("" : : "m"(sum));  // keep the work
  }
  return *std::min_element(rates.begin(), rates.end());
}

// Seconds of one barrier of rnncore's.
extern "C" double barrier_seconds(int threads, int count) {
  std::vector<rnncore::Signal> signals(static_cast<size_t>(threads * rnncore::barrier_lines(threads)));
  rnncore::Barrier barrier{1 << 12, signals.data(), 0};
  double seconds = 0;
#pragma omp parallel num_threads(threads)
  {
    const rnncore::Team team{omp_get_thread_num(), omp_get_num_threads(), &barrier};
    rnncore::team_barrier(team);
    const auto start = Clock::now();
    for (int i = 0; i < count; ++i) rnncore::team_barrier(team);
    if (team.thread == 0) seconds = since(start) / count;
  }
  return seconds;
}

// Seconds to open and close a parallel region.
extern "C" double region_seconds(int threads, int count) {
  const auto start = Clock::now();
  for (int i = 0; i < count; ++i) {
#pragma omp parallel num_threads(threads)
    __asm__ volatile("" : : : "memory");
  }
  return since(start) / count;
}
