#include "engine/folding.h"

#include <algorithm>

#include "engine/names.h"

namespace rnncore {
namespace {

constexpr int64_t kFewIds = 256;          // whose table is worth its time, however few of them come
constexpr int64_t kTableBytes = 4 << 20;  // at most: a larger one would be read from far away

bool contains(const std::vector<int>& ids, int id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

// Whether the kernels of tiles serve the node, with weights of all bits.
bool takes_table(const Node& node) {
  const Attributes& a = node.attributes;
  return find_cell(node.op) && a.get("reset_after", true) && !a.get("projected", false) &&
         !a.get("layer_normalization", false) && a.get("products", std::string("exact")) == "exact";
}

}  // namespace

std::unique_ptr<const Program> with_tables(const Program& program, const BatchShape& shape, int64_t number_bytes) {
  if (shape.mode != Mode::inference) return nullptr;
  std::unique_ptr<Program> changed;
  for (size_t i = 0; i < program.nodes.size(); ++i) {
    const Node& node = program.nodes[i];
    if (node.op != "embedding" || node.outputs[0] == kAbsent || contains(program.outputs, node.outputs[0])) continue;
    const auto input = std::find(program.inputs.begin(), program.inputs.end(), node.inputs[0]);
    if (input == program.inputs.end()) continue;
    const Tensor& ids = shape.inputs[static_cast<size_t>(input - program.inputs.begin())];
    const int64_t vocabulary = program.parameters[static_cast<size_t>(node.parameters[0])].shape[0];
    const auto may_read_ids = [&](const Node& reader) {
      const bool elsewhere =
          std::find(reader.inputs.begin() + 1, reader.inputs.end(), node.outputs[0]) != reader.inputs.end();
      if (elsewhere || !takes_table(reader)) return false;
      const Shape& recurrent = program.parameters[static_cast<size_t>(reader.parameters[1])].shape;
      return vocabulary * (recurrent[1] + recurrent[0]) * number_bytes <= kTableBytes;
    };
    std::vector<size_t> readers;
    for (size_t k = 0; k < program.nodes.size(); ++k)
      if (contains(program.nodes[k].inputs, node.outputs[0])) readers.push_back(k);
    if (readers.empty() || ids.rank() != 2 || vocabulary > std::max(kFewIds, ids.size()) ||
        !std::all_of(readers.begin(), readers.end(), [&](size_t k) { return may_read_ids(program.nodes[k]); }))
      continue;
    if (!changed) changed = std::make_unique<Program>(program);
    changed->nodes[i].outputs[0] = kAbsent;
    for (const size_t k : readers) {
      changed->nodes[k].inputs[0] = node.inputs[0];
      changed->nodes[k].parameters.push_back(node.parameters[0]);
    }
  }
  return changed;
}

}  // namespace rnncore
