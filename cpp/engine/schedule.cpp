#include "engine/schedule.h"

#include <algorithm>
#include <numeric>

namespace rnncore {
namespace {

bool fits(const Shape& declared, const Shape& actual) {
  if (declared.size() != actual.size()) return false;
  for (size_t i = 0; i < declared.size(); ++i)
    if (declared[i] != kUnknown && declared[i] != actual[i]) return false;
  return true;
}

// Kernels count on it: nothing but the batch is empty, and sizes do not overflow.
void check_sizes(const std::string& name, const Tensor& tensor) {
  const bool empty = std::find(tensor.shape.begin() + 1, tensor.shape.end(), 0) != tensor.shape.end();
  if (empty || element_count(tensor.shape) == kUnknown)
    throw std::invalid_argument(name + ": expected " + (empty ? "no empty axis" : "a size that fits into memory") +
                                ", got shape " + to_string(tensor.shape));
}

bool reads(const Node& node, const Node& from) {
  return std::any_of(node.inputs.begin(), node.inputs.end(), [&](int id) {
    return id != kAbsent && std::find(from.outputs.begin(), from.outputs.end(), id) != from.outputs.end();
  });
}

bool are_equal(const Site& a, const Site& b) {
  return a.node.op == b.node.op && a.inputs[0]->shape == b.inputs[0]->shape &&
         a.parameters[1]->shape == b.parameters[1]->shape;
}

}  // namespace

Site make_site(const Program& program, size_t index, const std::vector<Tensor>& tensors) {
  const Node& node = program.nodes[index];
  const int64_t batch = tensors[static_cast<size_t>(program.inputs[0])].samples();
  Site site{node, static_cast<uint32_t>(index), batch, false, false, {}, {}, {}, {}, {}};
  const auto tensor = [&](int id) {
    return id == kAbsent || id == program.lengths ? nullptr : &tensors[static_cast<size_t>(id)];
  };
  for (const int id : node.inputs) site.inputs.push_back(tensor(id));
  for (const int id : node.outputs) site.outputs.push_back(tensor(id));
  for (const int id : node.parameters)
    site.parameters.push_back(id == kAbsent ? nullptr : &program.parameters[static_cast<size_t>(id)]);
  return site;
}

bool may_pair(const Site& first, const Site& next) {
  return op_type(first.node.op).pairs && are_equal(first, next) && !reads(next.node, first.node);
}

std::vector<size_t> paired_order(const Program& program, const std::vector<Tensor>& tensors) {
  std::vector<size_t> order(program.nodes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = 0; i < order.size(); ++i) {
    const Site first = make_site(program, i, tensors);
    if (!op_type(first.node.op).pairs) continue;
    for (size_t next = i + 1; next < order.size() && !reads(program.nodes[next], first.node); ++next) {
      if (!are_equal(first, make_site(program, next, tensors))) continue;
      const auto begin = order.begin() + static_cast<std::ptrdiff_t>(i);
      std::rotate(begin, begin + 1, begin + static_cast<std::ptrdiff_t>(next - i));
      i = next;
      break;
    }
  }
  return order;
}

std::vector<Tensor> infer_shapes(const Program& program, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> tensors(program.values.size());
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    check_sizes("inputs[" + std::to_string(i) + "]", inputs[i]);
    tensors[static_cast<size_t>(program.inputs[i])] = inputs[i];
  }
  for (size_t i = 0; i < program.nodes.size(); ++i) {
    const Site site = make_site(program, i, tensors);
    const std::vector<Tensor> outputs = op_type(site.node.op).infer(site);
    for (const Tensor& output : outputs) check_sizes(site.node.name, output);
    for (size_t slot = 0; slot < site.node.outputs.size(); ++slot) {
      const int id = site.node.outputs[slot];
      if (id == kAbsent) continue;
      const Value& value = program.values[static_cast<size_t>(id)];
      if (slot >= outputs.size() || !fits(value.shape, outputs[slot].shape))
        throw std::invalid_argument(site.node.name + ": output " + value.name + " is declared " +
                                    to_string(value.shape) +
                                    (slot < outputs.size() ? ", the op makes " + to_string(outputs[slot].shape) : ""));
      if (value.integer != outputs[slot].integer)
        throw std::invalid_argument(
            site.node.name + ": output " + value.name + " is declared " +
            (value.integer ? "integer, the op makes floating point values" : "floating point, the op makes integers"));
      tensors[static_cast<size_t>(id)] = outputs[slot];
    }
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const Tensor& output = tensors[static_cast<size_t>(program.outputs[i])];
    if (output.samples() != inputs[0].samples())
      throw std::invalid_argument("program: output " + program.values[static_cast<size_t>(program.outputs[i])].name +
                                  " of shape " + to_string(output.shape) + " does not have the samples of the batch");
    const int mask = program.mask_of(i);
    if (mask != kAbsent && mask != program.lengths &&
        tensors[static_cast<size_t>(mask)] != Tensor{{output.samples(), output.steps()}, true})
      throw std::invalid_argument("program: the mask of output " + std::to_string(i) +
                                  " must be integers (N, T) for an output of shape " + to_string(output.shape));
  }
  return tensors;
}

}  // namespace rnncore
