// A Program as a batch without lengths runs it.
#pragma once

#include "engine/program.h"

namespace rnncore {

// The same nodes in the same places, without the lengths, and without the masks that follow from them alone: such masks
// call all steps real, and what would read them takes a faster way.
Program without_lengths(const Program& program);

}  // namespace rnncore
