// The losses by the names that the Python layer gives them.
#pragma once

#include <string>

#include "core/ops.h"
#include "engine/program.h"

namespace rnncore {

constexpr const char* kCtc = "ctc";  // has kernels of its own

// False when there is no loss of that name.
bool loss_kind(const std::string& name, LossKind& kind);

// What the weighted sum of a batch is divided by: the number of its positions, nothing, or the sum of their weights.
enum class Reduction : uint8_t { sum_over_batch_size, sum, mean_with_sample_weight };

// Throws std::invalid_argument when there is no such reduction.
Reduction reduction_of(const LossDescription& description);

}  // namespace rnncore
