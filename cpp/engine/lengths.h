// Rows of a batch of which only some steps are real, sorted and packed as the recurrent kernels want them.
#pragma once

#include "engine/copy.h"

namespace rnncore {

// Place r of the sorted batch (longest first) is row `rows[r]` of the batch, which has `lengths[r]` real steps.
// Step k of packed arrays begins at row offsets[k]; it is the row's k-th real step.
struct RaggedBatch {
  int64_t samples, steps;
  int32_t* rows;     // (N,)
  int32_t* lengths;  // (N,)
  int64_t* offsets;  // (T + 1,)
  int32_t* times;    // (N, T), of the real steps of each row of the batch; null: they come first

  // Time of step k of row n of the batch.
  int64_t time(int64_t n, int64_t k) const { return times ? times[n * steps + k] : k; }

  // Finds the times of a mask (T, N) and how many each row has (N,); each thread of the team does its rows.
  void find_times(const int32_t* mask, int32_t* counts, const Team& team) const {
    const Range mine = team_range(samples, team, 1);
    for (int64_t n = mine.begin; n < mine.end; ++n) {
      int32_t count = 0;
      for (int64_t t = 0; t < steps; ++t)
        if (mask[t * samples + n]) times[n * steps + count++] = static_cast<int32_t>(t);
      counts[n] = count;
    }
  }

  // Sorts stably by counting; for one thread.
  void sort(const int32_t* all_lengths, const BatchRows& batch) const {
    for (int64_t t = 0; t <= steps; ++t) offsets[t] = 0;
    for (int64_t n = 0; n < samples; ++n) ++offsets[all_lengths[batch.row(n)]];
    // Rows of length t come after all longer ones.
    for (int64_t t = steps, longer = 0; t >= 0; --t) {
      const int64_t same = offsets[t];
      offsets[t] = longer;
      longer += same;
    }
    for (int64_t n = 0; n < samples; ++n) {
      const int32_t length = all_lengths[batch.row(n)];
      const int64_t place = offsets[length]++;
      rows[place] = static_cast<int32_t>(n);
      lengths[place] = length;
    }
    // Now offsets[t] counts the rows of at least t steps, those that take part in step t - 1.
    offsets[0] = 0;
    for (int64_t t = 1; t <= steps; ++t) offsets[t] += offsets[t - 1];
  }
};

}  // namespace rnncore
