#include "engine/stream_memory.h"

#include <algorithm>
#include <cstring>

namespace rnncore {
namespace {

constexpr int64_t kFirstRoom = 64;

Buffer zeros(int64_t bytes) {
  Buffer buffer(static_cast<size_t>(bytes), Reuse::never);
  std::memset(buffer.data(), 0, buffer.size());
  return buffer;
}

}  // namespace

StreamMemory::StreamMemory(int source, Ticks ticks, int64_t rows, int64_t row_bytes, int64_t span, int64_t stride,
                           int64_t padded)
    : source_(source),
      ticks_(ticks),
      rows_(rows),
      row_bytes_(row_bytes),
      span_(span),
      stride_(stride),
      padded_(padded) {
  if (grows()) {
    reserve(1);
  } else {
    room_ = span_ - 1 + kMostSteps;
    memory_ = zeros((room_ + span_ - 1) * step_bytes());
  }
}

int64_t StreamMemory::kept(int64_t steps) const {
  const int64_t all = seen(steps);
  if (grows()) return all;
  const int64_t next = all < span_ ? 0 : ((all - span_) / stride_ + 1) * stride_;  // where the next window begins
  return std::max<int64_t>(all - next, 0);
}

int64_t StreamMemory::reserve(int64_t seen) {
  if (!grows() || seen <= room_) return room_;
  int64_t room = std::max(room_, kFirstRoom);
  while (room < seen) room *= 2;
  Buffer memory = zeros(room * step_bytes());
  if (room_ > 0) std::memcpy(memory.data(), memory_.data(), static_cast<size_t>(room_ * step_bytes()));
  memory_ = std::move(memory);
  return room_ = room;
}

// Rows are `from_row` bytes apart. What begins a window lies behind the last place, too.
void StreamMemory::put(int64_t number, const std::byte* from, int64_t from_row) {
  std::byte* const to = place(number);
  if (from_row == row_bytes_)
    std::memcpy(to, from, static_cast<size_t>(step_bytes()));
  else
    for (int64_t n = 0; n < rows_; ++n)
      std::memcpy(to + n * row_bytes_, from + n * from_row, static_cast<size_t>(row_bytes_));
  if (span_ > 0 && number % room_ < span_ - 1)
    std::memcpy(to + room_ * step_bytes(), to, static_cast<size_t>(step_bytes()));
}

void StreamMemory::save(int64_t steps, std::byte* to) const {
  const int64_t all = seen(steps), count = kept(steps);
  for (int64_t n = 0; n < rows_; ++n)
    for (int64_t j = all - count; j < all; ++j, to += row_bytes_)
      std::memcpy(to, place(j) + n * row_bytes_, static_cast<size_t>(row_bytes_));
}

void StreamMemory::load(int64_t steps, const std::byte* from) {
  const int64_t all = seen(steps), count = kept(steps);
  for (int64_t j = 0; j < count; ++j) put(all - count + j, from + j * row_bytes_, count * row_bytes_);
}

}  // namespace rnncore
