#include "engine/program.h"

#include <algorithm>

#include "engine/op.h"

namespace rnncore {
namespace {

void check_id(const std::string& what, int id, size_t count, bool optional) {
  if (id < (optional ? kAbsent : 0) || id >= static_cast<int>(count))
    fail("program: " + what + " " + std::to_string(id) + " does not exist");
}

void check_values(const Program& program) {
  for (const Value& value : program.values) {
    const auto fits = [](int64_t size) { return size == kUnknown || (size >= 0 && size <= kMostElements); };
    if (value.shape.empty() || !std::all_of(value.shape.begin(), value.shape.end(), fits))
      fail("program: value " + value.name + " cannot have the shape " + to_string(value.shape));
  }
}

void check_parameters(const Program& program, int64_t parameter_count) {
  for (const Parameter& p : program.parameters) {
    if (p.size < 0 || element_count(p.shape) != p.size)
      fail("program: parameter " + p.name + " of " + std::to_string(p.size) + " elements cannot have the shape " +
           to_string(p.shape));
    if (p.offset < 0 || p.offset > kMostElements)
      fail("program: parameter " + p.name + " cannot be at " + std::to_string(p.offset));
    if (p.offset + p.size > parameter_count)
      fail("parameters: expected at least " + std::to_string(p.offset + p.size) + " elements for " + p.name + ", got " +
           std::to_string(parameter_count));
  }
}

void check_nodes(const Program& program) {
  const size_t values = program.values.size();
  for (const Node& node : program.nodes) {
    op_type(node.op);
    for (const int id : node.inputs) check_id("value", id, values, true);
    for (const int id : node.outputs) check_id("value", id, values, true);
    for (const int id : node.parameters) check_id("parameter", id, program.parameters.size(), true);
    if (node.outputs.empty() && node.op != "write_state") fail("program: " + node.name + " has no outputs");
    // Ids of other origin nobody could check.
    if (node.op == "embedding" && !node.inputs.empty() &&
        std::find(program.inputs.begin(), program.inputs.end(), node.inputs[0]) == program.inputs.end())
      fail("program: " + node.name + " reads ids from value " + std::to_string(node.inputs[0]) +
           ", which is no input of the program");
  }
}

void check_masks(const Program& program) {
  if (!program.masks.empty() && program.masks.size() != program.outputs.size())
    fail("program: expected one mask for each of " + std::to_string(program.outputs.size()) + " output(s), got " +
         std::to_string(program.masks.size()));
  for (size_t i = 0; i < program.masks.size(); ++i) {
    check_id("mask value", program.masks[i], program.values.size(), true);
    if (program.masks[i] == kAbsent) continue;
    const size_t output = static_cast<size_t>(program.outputs[i]), mask = static_cast<size_t>(program.masks[i]);
    if (program.values[output].shape.size() < 3)
      fail("program: output " + std::to_string(i) + " has a mask, but no time axis");
    if (program.masks[i] != program.lengths && program.values[mask].shape.size() != 2)
      fail("program: the mask of output " + std::to_string(i) + " must be (N, T), got shape " +
           to_string(program.values[mask].shape));
  }
}

// Nodes are in an order in which each value is made, once, before it is read; so there is no cycle.
void check_order(const Program& program) {
  std::vector<bool> made(program.values.size());
  const auto make = [&](const std::string& maker, int id) {
    if (made[static_cast<size_t>(id)])
      fail("program: " + maker + " makes value " + std::to_string(id) + ", which is there already");
    made[static_cast<size_t>(id)] = true;
  };
  const auto read = [&](const std::string& reader, int id) {
    if (id != kAbsent && !made[static_cast<size_t>(id)])
      fail("program: " + reader + " reads value " + std::to_string(id) + " before it is made");
  };
  for (const int id : program.inputs) make("an input", id);
  if (program.lengths != kAbsent) make("the lengths", program.lengths);
  for (const Node& node : program.nodes) {
    for (const int id : node.inputs) read(node.name, id);
    for (const int id : node.outputs)
      if (id != kAbsent) make(node.name, id);
  }
  for (const int id : program.outputs) read("an output", id);
  for (const int id : program.masks) read("a mask of an output", id);
}

// What write_state writes lies within the states that read_state makes room for.
void check_states(const Program& program) {
  const int64_t size = state_size(program);
  for (const Node& node : program.nodes) {
    if (node.op != "write_state" || node.inputs.empty() || node.inputs[0] == kAbsent) continue;
    const int64_t offset = node.attributes.get("state_offset", int64_t{-1});
    const Shape& shape = program.values[static_cast<size_t>(node.inputs[0])].shape;
    if (shape.size() != 2 || shape[1] == kUnknown || offset < 0 || offset > size || shape[1] > size - offset)
      fail("program: " + node.name + " writes a state of shape " + to_string(shape) + " at " + std::to_string(offset) +
           ", of the " + std::to_string(size) + " numbers that are read");
  }
}

}  // namespace

void check_program(const Program& program, int64_t parameter_count) {
  const size_t values = program.values.size();
  check_values(program);
  check_parameters(program, parameter_count);
  if (program.inputs.empty()) fail("program: expected at least one input");
  if (program.outputs.empty()) fail("program: expected at least one output");
  for (const int id : program.inputs) check_id("input value", id, values, false);
  for (const int id : program.outputs) check_id("output value", id, values, false);
  check_id("lengths value", program.lengths, values, true);
  for (const int id : program.outputs)
    if (id == program.lengths || program.values[static_cast<size_t>(id)].integer)
      fail("program: output value " + std::to_string(id) + " holds integers");
  check_nodes(program);
  check_masks(program);
  check_order(program);
  check_states(program);
}

int64_t state_size(const Program& program) {
  int64_t size = 0;
  for (const Node& node : program.nodes) {
    // A state that is written only says its size where nothing reads it.
    if (node.op != "read_state" && !(node.op == "write_state" && node.attributes.has("units"))) continue;
    const int64_t offset = node.attributes.get("state_offset", int64_t{-1}),
                  units = node.attributes.get("units", int64_t{0});
    if (offset < 0 || units < 1 || offset > kMostElements || units > kMostElements)
      fail("program: " + node.name + " cannot read a state of " + std::to_string(units) + " numbers at " +
           std::to_string(offset));
    size = std::max(size, offset + units);
  }
  return size;
}

std::vector<bool> made_values(const Program& program) {
  std::vector<bool> made(program.values.size());
  const auto make = [&](int id) {
    if (id != kAbsent) made[static_cast<size_t>(id)] = true;
  };
  std::for_each(program.inputs.begin(), program.inputs.end(), make);
  make(program.lengths);
  for (const Node& node : program.nodes) std::for_each(node.outputs.begin(), node.outputs.end(), make);
  return made;
}

}  // namespace rnncore
