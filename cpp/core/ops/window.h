// What convolution and pooling over time share.
#pragma once

#include "core/ops.h"
#include "core/simd.h"

namespace rnncore {
namespace {

// The step that place `tap` of window `j` sees in row n, or -1 where it is missing.
RNNCORE_INLINE int64_t step_seen(const Window& w, const int32_t* real, int64_t j, int64_t n, int64_t tap) {
  const int64_t t = j * w.stride - w.before + tap * w.dilation;
  return t < 0 || t >= w.steps || (real && !real[t * w.samples + n]) ? -1 : t;
}

// What a thread does of (N, C) so that none writes what another does: its samples, or its columns of all samples.
struct Share {
  Range samples, columns;
};

template <class T>
RNNCORE_INLINE Share share_of(int64_t samples, int64_t columns, const Team& team) {
  if (samples >= team.threads) return {team_range(samples, team, 1), {0, columns}};
  return {{0, samples}, team_range(columns, team, 64 / sizeof(T))};
}

}  // namespace
}  // namespace rnncore
