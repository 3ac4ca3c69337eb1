#include "engine/layout.h"

#include <algorithm>
#include <numeric>

namespace rnncore {

// Largest first, each at the lowest place where nothing alive at the same time is.
int64_t place(std::vector<Block>& blocks) {
  std::vector<size_t> by_size(blocks.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  const auto rounded = [](const Block& b) { return (b.bytes + kLine - 1) / kLine * kLine; };
  std::vector<const Block*> placed;  // by offset
  int64_t total = 0;
  for (const size_t i : by_size) {
    Block& block = blocks[i];
    if (block.bytes == 0) continue;
    int64_t offset = 0;
    for (const Block* other : placed) {
      if (other->last < block.first || block.last < other->first) continue;
      if (offset + rounded(block) <= other->offset) break;
      offset = std::max(offset, other->offset + rounded(*other));
    }
    block.offset = offset;
    total = std::max(total, offset + rounded(block));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &block,
                                   [](const Block* a, const Block* b) { return a->offset < b->offset; }),
                  &block);
  }
  return total;
}

}  // namespace rnncore
