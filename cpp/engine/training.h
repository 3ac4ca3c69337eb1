// Checks of a training description, and its size.
#pragma once

#include "engine/program.h"

namespace rnncore {

// Throws std::invalid_argument when a kind is unknown or an output, value or parameter number out of range.
void check_training(const Training& training, const Program& program);

// Numbers that losses and metrics add to.
int64_t state_size(const Training& training);

}  // namespace rnncore
