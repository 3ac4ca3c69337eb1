#include "engine/ops/registry.h"

#include "engine/elementwise.h"

namespace rnncore {

const OpType& op_type(const std::string& name) {
  static const std::vector<OpType> types = [] {
#define X(name) name##_op(),
    std::vector<OpType> all{RNNCORE_OPS(X)};
#undef X
    for (size_t cell = 0; cell < kRecurrentOps; ++cell) all.push_back(recurrent_op(kCells[cell]));
    return all;
  }();
  std::string known;
  for (const OpType& type : types) {
    if (name == type.name) return type;
    known += (known.empty() ? "" : ", ") + std::string(type.name);
  }
  throw std::invalid_argument("program: unknown op '" + name + "'; known: " + known);
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + (shape[i] == kUnknown ? std::string("None") : std::to_string(shape[i]));
  return text + (shape.size() == 1 ? ",)" : ")");
}

void fail(const Site& site, const std::string& message) {
  throw std::invalid_argument(site.node.name + ": " + message);
}

void expect_slots(const Site& site, size_t most_inputs, size_t least_parameters, size_t most_parameters) {
  if (site.inputs.size() > most_inputs)
    fail(site, site.node.op + " takes at most " + std::to_string(most_inputs) + " input(s), got " +
                   std::to_string(site.inputs.size()));
  const size_t parameters = site.parameters.size();
  bool fits = parameters >= least_parameters && parameters <= most_parameters;
  for (size_t slot = 0; fits && slot < least_parameters; ++slot) fits = site.has_parameter(slot);
  if (!fits)
    fail(site, site.node.op + " takes " + std::to_string(least_parameters) + " to " + std::to_string(most_parameters) +
                   " parameters, got " + std::to_string(parameters) + " or absent ones");
}

int64_t expect_size(const Site& site, const char* attribute, int64_t otherwise, int64_t least) {
  const int64_t size = site.node.attributes.get(attribute, otherwise);
  if (size < least || size > kMostElements)
    fail(site,
         std::string(attribute) + ": expected at least " + std::to_string(least) + ", got " + std::to_string(size));
  return size;
}

const Tensor& expect_input(const Site& site, size_t slot, int64_t rank) {
  const Tensor& x = expect_any_input(site, slot, rank);
  if (x.integer) fail(site, site.node.op + " takes floating point values, got integers");
  return x;
}

const Tensor& expect_any_input(const Site& site, size_t slot, int64_t rank) {
  if (!site.has_input(slot)) fail(site, site.node.op + " needs input number " + std::to_string(slot));
  const Tensor& x = *site.inputs[slot];
  if (rank > 0 ? x.rank() != rank : x.rank() < -rank)
    fail(site, "expected an input of " + std::string(rank < 0 ? "at least " : "") +
                   std::to_string(rank < 0 ? -rank : rank) + " axes, got shape " + to_string(x.shape));
  return x;
}

void expect_shape(const Site& site, const char* name, const Shape& shape, const Shape& expected) {
  if (shape != expected)
    fail(site, std::string(name) + ": expected shape " + to_string(expected) + ", got " + to_string(shape));
}

Elementwise elementwise_of(const Site& site, const char* attribute, const char* otherwise) {
  const auto found = find_elementwise(site.node.attributes, attribute, otherwise);
  if (found) return *found;
  const std::string name = site.node.attributes.get(attribute, std::string(otherwise));
  fail(site, std::string(attribute) +
                 (name == "softmax" ? ": expected an elementwise activation, got '" : ": unknown activation '") + name +
                 "'");
}

}  // namespace rnncore
