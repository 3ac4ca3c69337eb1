#include "core/team.h"

#include <sched.h>
#include <time.h>

namespace rnncore {

void team_wait(Barrier& barrier, int generation) {
  timespec from{}, to{};
  clock_gettime(CLOCK_MONOTONIC, &from);
  while (__atomic_load_n(&barrier.generation, __ATOMIC_ACQUIRE) == generation) sched_yield();
  clock_gettime(CLOCK_MONOTONIC, &to);
  const int64_t waited = (to.tv_sec - from.tv_sec) * int64_t{1000000000} + (to.tv_nsec - from.tv_nsec);
  __atomic_add_fetch(&barrier.lost, waited, __ATOMIC_RELAXED);
}

}  // namespace rnncore
