// The threads a call may use, and the one parallel region it opens.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/team.h"

namespace rnncore {

// The number of threads a call may use: RNNCORE_NUM_THREADS, else OMP_NUM_THREADS, else the processors this
// process may run on (affinity and cgroup quota counted). Fewer where OpenMP is limited for the calling thread. With
// `always` even small calls use all of them.
int num_threads();
void set_num_threads(int threads, bool always = false);
bool uses_all_threads();  // `always` was said
bool built_with_openmp();

// What may end a call: asked on the calling thread every 50 ms while it computes or waits; true ends it. Must not
// throw.
struct Interrupt {
  bool (*ask)(void* context) = nullptr;  // null: nothing does
  void* context = nullptr;
};

// Runs fn(team) on each thread of a team of at most `threads`; the caller is thread 0. fn must not throw, but for the
// Stopped of an interrupt, which comes out of this function once all threads have left fn. A region that ends after
// much waiting for its own threads, as when others want the processors, makes the next ones serial for some
// milliseconds, longer each time.
void run_team(int threads, const Interrupt& interrupt, void (*fn)(const Team&, void*), void* context);

template <class F>
void run_team(int threads, const Interrupt& interrupt, F&& fn) {
  if (threads <= 1) {
    Stop stop{interrupt.ask, interrupt.context};
    Watch watch(stop, true);
    fn(Team{0, 1, nullptr, &watch});
    return;
  }
  run_team(
      threads, interrupt,
      [](const Team& team, void* context) { (*static_cast<std::remove_reference_t<F>*>(context))(team); },
      const_cast<void*>(static_cast<const void*>(&fn)));
}

// Bytes of a processor's second-level cache; one mebibyte where the system does not say.
int64_t second_level_cache();

// Threads worth using for `flops` floating-point operations in one region: fewer than allowed when the work is
// small, when there are fewer processors, or while others keep the processors busy.
int threads_for(double flops);

// As many of them as useful(number) says, where there is a choice.
template <class F>
int threads_for(double flops, F&& useful) {
  const int threads = threads_for(flops);
  return threads > 2 && !uses_all_threads() ? useful(threads) : threads;
}

}  // namespace rnncore
