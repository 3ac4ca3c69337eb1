// Fused multiply-adds on registers: what the processor can do at most, at this moment.
#include <omp.h>
#include <algorithm>
#include <chrono>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr int lanes = 16, accumulators = 16;
typedef float Vector __attribute__((vector_size(4 * lanes)));

// GFLOP/s of one thread over about `seconds`.
double thread_peak(double seconds) {
  Vector sums[accumulators] = {};
  Vector a = Vector{} + 0.999f, b = Vector{} + 1e-3f;
  constexpr int batch = 4096;
  long batches = 0;
  const auto start = Clock::now();
  double elapsed = 0;
  while (elapsed < seconds) {
    for (int k = 0; k < batch; ++k)
      for (auto& sum : sums) sum = sum * a + b;
    ++batches;
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  for (auto& sum : sums) __asm__ volatile("" : : "m"(sum));  // keep the work
  return 2.0 * lanes * accumulators * batch * batches / elapsed * 1e-9;
}

}  // namespace

extern "C" double fma_peak(int threads, int milliseconds) {
  std::vector<double> rates(threads);
#pragma omp parallel num_threads(threads)
  {
#pragma omp barrier
    rates[omp_get_thread_num()] = thread_peak(milliseconds * 1e-3);
  }
  return threads * *std::min_element(rates.begin(), rates.end());
}
