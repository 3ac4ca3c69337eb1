// The description an executor runs, as plain data: what program.py says, in C++.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace rnncore {

// Sizes known only at run time (batch, time) are kUnknown.
using Shape = std::vector<int64_t>;
constexpr int64_t kUnknown = -1;
constexpr int kAbsent = -1;

// More than any memory holds; products of a few such sizes and bytes still fit into 64 bits.
constexpr int64_t kMostElements = int64_t{1} << 44;

std::string to_string(const Shape& shape);

// Number of elements, or kUnknown when a size is negative or there are more than kMostElements.
inline int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return kUnknown;
    empty |= size == 0;
    if (size > 0 && __builtin_mul_overflow(count, size, &count)) return kUnknown;
  }
  return empty ? 0 : count > kMostElements ? kUnknown : count;
}

// Errors in what the caller gave: std::invalid_argument for values, this for types.
struct WrongType : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
[[noreturn]] inline void fail(const std::string& message) { throw std::invalid_argument(message); }

struct Value {
  std::string name;
  Shape shape;
  bool integer;
};

struct Parameter {
  std::string name;
  Shape shape;
  int64_t offset;
  int64_t size;
  bool trainable;
};

using Attribute = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<double>>;

// Attributes of a node, loss, metric or optimizer. A missing one, or None, takes the default.
class Attributes {
 public:
  std::map<std::string, Attribute> items;

  bool has(const std::string& name) const {
    const auto found = items.find(name);
    return found != items.end() && !std::holds_alternative<std::monostate>(found->second);
  }

  template <class A>
  A get(const std::string& name, A otherwise) const {
    const auto found = items.find(name);
    if (found == items.end() || std::holds_alternative<std::monostate>(found->second)) return otherwise;
    if (const A* value = std::get_if<A>(&found->second)) return *value;
    if constexpr (std::is_same_v<A, double>)
      if (const int64_t* value = std::get_if<int64_t>(&found->second)) return static_cast<double>(*value);
    throw std::invalid_argument("attribute '" + name + "' has a value of the wrong type");
  }
};

struct Node {
  std::string op;
  std::string name;
  std::vector<int> inputs, outputs, parameters;  // kAbsent marks an absent slot
  Attributes attributes;
};

struct Program {
  std::vector<Value> values;
  std::vector<Parameter> parameters;
  std::vector<Node> nodes;
  std::vector<int> inputs, outputs;
  int lengths = kAbsent;
  std::vector<int> masks;  // by output: the lengths, a mask (N, T), or kAbsent; empty when no output has any

  int mask_of(size_t output) const { return masks.empty() ? kAbsent : masks[output]; }
};

// Throws std::invalid_argument when ids, sizes or windows of the Program make no sense. What depends on the sizes of
// a batch is for the ops to check.
void check_program(const Program& program, int64_t parameter_count);

// Numbers of a sample that read_state and write_state keep: S.
int64_t state_size(const Program& program);

// By value, whether it is an input, the lengths, or made by a node.
std::vector<bool> made_values(const Program& program);

struct LossDescription {
  std::string kind;
  int output;
  double weight;
  Attributes attributes;
};

struct MetricDescription {
  std::string kind;
  int output;
  bool weighted;
  Attributes attributes;
};

struct RegularizerDescription {
  int parameter;
  double l1, l2;
  double orthogonal;  // factor for a matrix whose rows, or columns, should be orthogonal to each other
  bool columns;
};

struct ActivityRegularizerDescription {
  int value;
  double l1, l2;
};

struct ConstraintDescription {
  int parameter;
  std::string kind;
  Attributes attributes;
};

struct OptimizerDescription {
  std::string kind;  // empty: none
  Attributes attributes;
};

struct Training {
  std::vector<LossDescription> losses;
  std::vector<MetricDescription> metrics;
  std::vector<RegularizerDescription> regularizers;
  std::vector<ActivityRegularizerDescription> activity_regularizers;
  std::vector<ConstraintDescription> constraints;
  OptimizerDescription optimizer;
  bool divisors = false;  // whether the state ends with what each loss was divided by
};

}  // namespace rnncore
