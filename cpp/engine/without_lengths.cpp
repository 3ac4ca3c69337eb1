#include "engine/without_lengths.h"

#include <algorithm>
#include <numeric>

namespace rnncore {
namespace {

// Whether both pairs of a `merge_masks` are of one value, so that its mask has the shape of theirs.
bool is_of_one_value(const Node& node) { return node.inputs.size() == 4 && node.inputs[0] == node.inputs[2]; }

// What the mask that a node makes in output `slot` comes to; `own` where it must be made.
int rest_of_mask(const Node& node, size_t slot) {
  std::vector<int> given;
  for (size_t i = 1; i < node.inputs.size(); i += 2)
    if (node.inputs[i] != kAbsent) given.push_back(node.inputs[i]);
  if (given.empty()) return kAbsent;
  if (node.op == "merge_masks" && given.size() == 1 && is_of_one_value(node) &&
      node.attributes.get("kind", std::string()) == "and")
    return given[0];
  return node.outputs[slot];
}

}  // namespace

Program without_lengths(const Program& program) {
  Program result = program;
  std::vector<int> now(program.values.size());
  std::iota(now.begin(), now.end(), 0);
  if (program.lengths != kAbsent) now[static_cast<size_t>(program.lengths)] = kAbsent;
  const auto replace = [&](std::vector<int>& ids) {
    for (int& id : ids)
      if (id != kAbsent) id = now[static_cast<size_t>(id)];
  };
  for (Node& node : result.nodes) {
    replace(node.inputs);
    const bool has_windows = node.op == "conv1d" || node.op == "pool1d" || node.op == "slice";
    const size_t slot = has_windows ? 1 : 0;
    if ((!has_windows && node.op != "merge_masks") || slot >= node.outputs.size()) continue;
    int& made = node.outputs[slot];
    const bool is_output = std::find(program.outputs.begin(), program.outputs.end(), made) != program.outputs.end();
    if (made == kAbsent || is_output || rest_of_mask(node, slot) == made) continue;
    now[static_cast<size_t>(made)] = rest_of_mask(node, slot);
    made = kAbsent;
  }
  replace(result.masks);
  result.lengths = kAbsent;
  return result;
}

}  // namespace rnncore
