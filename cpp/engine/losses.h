// The losses by the names that the Python layer gives them.
#pragma once

#include <string>

#include "core/ops.h"

namespace rnncore {

constexpr const char* kCtc = "ctc";  // has kernels of its own

// False when there is no loss of that name.
bool loss_kind(const std::string& name, LossKind& kind);

}  // namespace rnncore
