// Steps of one value that a stream reads again: those of windows that are not whole, or all there were.
#pragma once

#include <cstdint>

#include "engine/buffer.h"

namespace rnncore {

// When the steps of a sequence are known: one after `first` steps of the input, then one every `stride` of them.
struct Ticks {
  int64_t first = 1;
  int64_t stride = 1;  // 0: it is no sequence

  bool timed() const { return stride > 0; }
  // How many there are after so many steps of the input.
  int64_t count(int64_t steps) const {
    return steps < first ? 0 : (stride == 1 ? steps - first : (steps - first) / stride) + 1;  // divisions are slow
  }
  bool operator==(const Ticks&) const = default;
};

// The steps of all rows, (steps, N, ...), one after the other: the last `span` of them lie in one piece. Numbers count
// from the first step on, those of zeros before it included.
class StreamMemory {
 public:
  // A span of 0 keeps all steps. Others are of windows, one every `stride` steps, the first of which may begin with
  // `padded` steps of zeros.
  StreamMemory(int source, Ticks ticks, int64_t rows, int64_t row_bytes, int64_t span, int64_t stride, int64_t padded);

  int source() const { return source_; }
  bool grows() const { return span_ == 0; }
  int64_t span() const { return span_; }
  int64_t row_bytes() const { return row_bytes_; }

  // After so many steps of the input: how many steps there were, and how many of them are kept.
  int64_t seen(int64_t steps) const { return padded_ + ticks_.count(steps); }
  int64_t kept(int64_t steps) const;

  // Makes room for so many steps, where all are kept; returns the room.
  int64_t reserve(int64_t seen);

  void put(int64_t number, const std::byte* from) { put(number, from, row_bytes_); }
  // The last window after so many steps, or all of them.
  const std::byte* read(int64_t seen) const {
    return memory_.as<std::byte>() + (seen > span_ && span_ > 0 ? (seen - span_) % room_ * step_bytes() : 0);
  }

  // The steps kept, as (N, steps, ...).
  void save(int64_t steps, std::byte* to) const;
  void load(int64_t steps, const std::byte* from);

  static constexpr int64_t kMostSteps = 16;  // that can be taken back

 private:
  int64_t step_bytes() const { return rows_ * row_bytes_; }
  std::byte* place(int64_t number) const {
    return memory_.as<std::byte>() + (span_ > 0 ? number % room_ : number) * step_bytes();
  }
  void put(int64_t number, const std::byte* from, int64_t from_row);

  int source_;
  Ticks ticks_;
  int64_t rows_, row_bytes_, span_, stride_, padded_;
  int64_t room_ = 0;  // of windows: steps with these numbers or so many more share a place
  Buffer memory_;
};

}  // namespace rnncore
