// Reads functions from attributes.
#pragma once

#include <optional>
#include <string>

#include "core/function.h"
#include "engine/program.h"

namespace rnncore {

// The function that an attribute names, with its options, which are attributes too; those of "recurrent_activation"
// begin with "recurrent_". None where there is no such function.
std::optional<Elementwise> find_elementwise(const Attributes& attributes, const std::string& attribute,
                                            const std::string& otherwise);

}  // namespace rnncore
