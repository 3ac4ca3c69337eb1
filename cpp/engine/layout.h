// Places buffers in one arena so that buffers alive at the same time do not overlap.
#pragma once

#include <cstdint>
#include <vector>

namespace rnncore {

struct Block {
  int64_t bytes;
  int first, last;  // positions in the schedule of a step between which it is alive
  int64_t offset = 0;
};

constexpr int64_t kLine = 64;

// Offsets of buffers that lie one behind another.
struct Room {
  int64_t bytes = 0;

  int64_t take(int64_t size) {
    const int64_t offset = bytes;
    bytes += (size + kLine - 1) / kLine * kLine;
    return offset;
  }
};

// Sets the offsets, multiples of a cache line; returns the bytes of the arena.
int64_t place(std::vector<Block>& blocks);

}  // namespace rnncore
