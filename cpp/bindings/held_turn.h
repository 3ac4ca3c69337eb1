// A turn with the weights of an executor, spent in Python.
#pragma once

#include <memory>

#include "bindings/signals.h"
#include "engine/turns.h"

namespace rnncore {

// Its two ends, of a `with` block: C functions, so that no handler of a signal runs between one of them and the block.
class HeldTurn {
 public:
  explicit HeldTurn(std::shared_ptr<SharedTurns> turns) : turns_(std::move(turns)) {}

  void enter() {
    SignalPoll signals;
    run_interruptible(signals, [&](const Interrupt& interrupt) { turns_->turns.take(interrupt); });
  }
  void exit() { turns_->turns.give(); }

 private:
  const std::shared_ptr<SharedTurns> turns_;
};

}  // namespace rnncore
