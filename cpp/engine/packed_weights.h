// Weights as ops pack them for their products, kept from call to call as long as nobody changes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "engine/buffer.h"

namespace rnncore {

// What others do with the memory of weights.
struct WeightWatch {
  std::atomic<uint64_t> lent{0};   // how often they were given it, or said that they wrote to it
  std::atomic<int64_t> held{0};    // who has it now, and may write to it at any time
  std::atomic<bool> moved{false};  // the weights live elsewhere now
};

class PackedWeights {
 public:
  struct Place {
    Buffer memory;
    uint64_t version = 0;  // of the weights there; 0: none yet
  };

  // The one of an op's kernel, by the number of its parameter, with room for `bytes`.
  Place& place(const std::string& op, int kernel, size_t bytes) {
    Place& found = places_[{op, kernel}];
    if (found.memory.size() < bytes) found = {Buffer(bytes, Reuse::never), 0};
    return found;
  }

  uint64_t version() const { return version_; }

  // Says how often the weights may have been written to so far. Who holds them may write again and again.
  void look(uint64_t written, const WeightWatch* watch) {
    const std::pair<uint64_t, uint64_t> now{written, watch ? watch->lent.load() : 0};
    if (watch && watch->held == 0 && now == seen_) return;
    seen_ = now;
    version_ = next_version();
  }

 private:
  // Unlike that of all others, so that nobody takes old places for new ones.
  static uint64_t next_version() {
    static std::atomic<uint64_t> last{0};
    return ++last;
  }

  std::map<std::pair<std::string, int>, Place> places_;
  std::pair<uint64_t, uint64_t> seen_{};
  uint64_t version_ = next_version();
};

}  // namespace rnncore
