// What a plan that only predicts does otherwise than its Program says, with the same bits.
#pragma once

#include <memory>

#include "engine/samples.h"

namespace rnncore {

// The Program with recurrent nodes that read ids in place of their embeddings: the products of those with the input
// weights and the bias are made once, as a table. Such a node has the embeddings as its last parameter. Null where
// there is none whose table is small, of numbers of so many bytes.
std::unique_ptr<const Program> with_tables(const Program& program, const BatchShape& shape, int64_t number_bytes);

}  // namespace rnncore
