// The shapes of a Program's values, and the order in which its nodes run.
#pragma once

#include "engine/op.h"

namespace rnncore {

// Shapes of all values of a Program for the given inputs; throws std::invalid_argument when they do not fit.
std::vector<Tensor> infer_shapes(const Program& program, const std::vector<Tensor>& inputs);

// Where a node runs, by the shapes of the values; nothing wanted yet.
Site make_site(const Program& program, size_t index, const std::vector<Tensor>& tensors);

// Whether two nodes that follow each other are of one kind and size, and the second does not read the first.
bool may_pair(const Site& first, const Site& next);

// The order in which nodes run. Two of one kind and size where neither reads what the other makes, such as the
// directions of a bidirectional layer, come together: the first one moves behind what lies between them.
std::vector<size_t> paired_order(const Program& program, const std::vector<Tensor>& tensors);

}  // namespace rnncore
