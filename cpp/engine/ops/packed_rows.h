// The rows of the recurrent kernels in a batch some of whose steps are not real, or whose rows are cut: a packed row is
// all real steps of a row, or those of one of the pieces between its cuts.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/ops/parts.h"
#include "engine/ops/recurrent_options.h"

namespace rnncore {

// Those of one batch, longest first. Step k of packed arrays begins at row offsets[k].
struct PackedRows {
  int64_t samples, steps;    // N, T
  bool backwards, reversed;  // the order in which steps are processed, and that of the sequence output
  int64_t count;
  int64_t kernel_rows, kernel_steps;  // rows beyond `count` have no steps
  const int32_t *rows, *lengths;      // (count,) of the batch, of the packed row
  const int64_t* offsets;             // (kernel_steps + 1,)
  const int32_t* times;               // (N, T), of the real steps of each row of the batch; null: they come first
  // Of pieces, else null: real steps of its row that are processed before (count,), whether it begins with the initial
  // state (count,), and how many real steps a row of the batch has (N,).
  const int32_t *firsts, *resumed, *valid;

  int64_t first(int64_t r) const { return firsts ? firsts[r] : 0; }
  int64_t valid_steps(int64_t r) const { return valid ? valid[rows[r]] : lengths[r]; }
  bool resumes(int64_t r) const { return !resumed || resumed[r]; }
  bool begins(int64_t r) const { return first(r) == 0; }
  bool ends(int64_t r) const { return first(r) + lengths[r] == valid_steps(r); }
  bool is_whole(int64_t r) const { return lengths[r] == steps; }

  // Time that step k of packed row r reads; k may go on into the piece that follows.
  int64_t time(int64_t r, int64_t k) const {
    const int64_t place = first(r) + k, n = rows[r], step = backwards ? valid_steps(r) - 1 - place : place;
    return times ? times[n * steps + step] : step;
  }

  // Calls visit(time, place, k, real) for each place of packed row r in a sequence, in processing order: step k is the
  // last one done there, -1 before the first; it is that very place's when `real`.
  template <class Visit>
  void visit_places(int64_t r, const Visit& visit) const {
    const auto processed = [&](int64_t t) { return backwards ? steps - 1 - t : t; };
    const int64_t length = lengths[r];
    const int64_t begin = begins(r) ? 0 : processed(time(r, 0)), end = ends(r) ? steps : processed(time(r, length));
    for (int64_t p = begin, k = -1; p < end; ++p) {
      const int64_t t = processed(p);
      const bool real = k + 1 < length && time(r, k + 1) == t;
      k += real;
      visit(t, (reversed ? p : t) * samples + rows[r], k, real);
    }
  }
};

// Finds them for each batch of a node that takes lengths, a mask (T, N) or resets (T, N).
class RowPacking {
 public:
  RowPacking() = default;
  RowPacking(const Site& site, const RecurrentOptions& options)
      : samples_(options.shape.rows),
        steps_(options.shape.steps),
        backwards_(options.backwards),
        reversed_(options.backwards && !options.aligned),
        ragged_(site.ragged),
        masked_(site.has_input(kMaskInput)),
        cut_(site.has_input(options.resets_slot())) {}

  // Whether the kernels do not see the batch as it is.
  explicit operator bool() const { return ragged_ || masked_ || cut_; }

  int64_t most_rows() const { return cut_ ? samples_ * steps_ : samples_; }

  // All numbers of rows that the kernels may see: what they need of memory does not just grow with it.
  std::vector<int64_t> row_counts() const {
    std::vector<int64_t> counts{samples_};
    while (counts.back() < most_rows()) counts.push_back(std::min(2 * counts.back(), most_rows()));
    return counts;
  }

  template <class T>
  void take_saved(Parts<T>& parts) {
    const auto take = [&](int64_t count) { return parts.template take_integers<int32_t>(count); };
    if (!masked_ && !cut_) return;
    batch_ = {samples_,
              steps_,
              take(most_rows()),
              take(most_rows()),
              parts.template take_integers<int64_t>(steps_ + 1),
              masked_ ? take(samples_ * steps_) : nullptr};
    counts_ = take(samples_);
    if (!cut_) return;
    firsts_ = take(most_rows()), resumed_ = take(most_rows());
    extent_ = parts.template take_integers<int64_t>(3);
  }

  // Each thread of the team calls it before `rows`, when a batch comes.
  void find(const Step& step, const int32_t* mask, const int32_t* resets, const Team& team) const {
    if (!masked_ && !cut_) return;
    if (masked_) {
      batch_.find_times(mask, counts_, team);
      team_barrier(team);
    }
    if (team.thread == 0) {
      for (int64_t r = 0; r < samples_ && !masked_; ++r)
        counts_[ragged_ ? step.ragged->rows[r] : r] = ragged_ ? step.ragged->lengths[r] : static_cast<int32_t>(steps_);
      cut_ ? find_pieces(resets) : batch_.sort(counts_, {nullptr, samples_});
    }
    team_barrier(team);
  }

  PackedRows rows(const Step& step) const {
    const RaggedBatch& batch = masked_ || cut_ ? batch_ : *step.ragged;
    PackedRows found{samples_,   steps_,        backwards_,    reversed_,   samples_, samples_, steps_,
                     batch.rows, batch.lengths, batch.offsets, batch.times, firsts_,  resumed_, nullptr};
    if (cut_) {
      found.count = extent_[0], found.kernel_rows = extent_[1], found.kernel_steps = extent_[2];
      found.valid = counts_;
    }
    return found;
  }

 private:
  // Calls visit(n, first, length, marked) for each piece of each row, in the order of time: real steps [first, first +
  // length) of the row, the first of which is marked or not.
  template <class Visit>
  void each_piece(const int32_t* resets, const Visit& visit) const {
    for (int64_t n = 0; n < samples_; ++n) {
      const auto marked = [&](int64_t k) { return k < counts_[n] && resets[batch_.time(n, k) * samples_ + n] != 0; };
      int64_t first = 0;
      do {
        int64_t end = first + 1;
        while (end < counts_[n] && !marked(end)) ++end;
        end = std::min<int64_t>(end, counts_[n]);
        visit(n, first, end - first, marked(first));
        first = end;
      } while (first < counts_[n]);
    }
  }

  // Sorts stably by counting.
  void find_pieces(const int32_t* resets) const {
    int64_t* offsets = batch_.offsets;
    std::fill_n(offsets, steps_ + 1, 0);
    int64_t count = 0, longest = 1;
    each_piece(resets, [&](int64_t, int64_t, int64_t length, bool) {
      ++offsets[length], ++count;
      longest = std::max(longest, length);
    });
    for (int64_t t = steps_, longer = 0; t >= 0; --t) longer += std::exchange(offsets[t], longer);
    each_piece(resets, [&](int64_t n, int64_t first, int64_t length, bool marked) {
      const int64_t place = offsets[length]++;
      batch_.rows[place] = static_cast<int32_t>(n);
      batch_.lengths[place] = static_cast<int32_t>(length);
      const int64_t before = backwards_ ? counts_[n] - first - length : first;
      firsts_[place] = static_cast<int32_t>(before);
      resumed_[place] = before == 0 && (backwards_ || !marked);
    });
    offsets[0] = 0;  // the others count the pieces of at least so many steps
    for (int64_t t = 1; t <= steps_; ++t) offsets[t] += offsets[t - 1];
    int64_t rows = samples_;
    while (rows < count) rows = std::min(2 * rows, most_rows());
    extent_[0] = count, extent_[1] = rows, extent_[2] = longest;
  }

  int64_t samples_ = 0, steps_ = 0;
  bool backwards_ = false, reversed_ = false, ragged_ = false, masked_ = false, cut_ = false;
  RaggedBatch batch_{};
  int32_t *counts_ = nullptr, *firsts_ = nullptr, *resumed_ = nullptr;
  int64_t* extent_ = nullptr;  // pieces, rows of the kernels, most steps of a piece
};

}  // namespace rnncore
