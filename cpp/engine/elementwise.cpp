#include "engine/elementwise.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace rnncore {
namespace {

struct Option {
  const char* name;
  double Elementwise::* field;
};
constexpr Option kOptions[] = {{"alpha", &Elementwise::alpha},          {"beta", &Elementwise::beta},
                               {"negative_slope", &Elementwise::slope}, {"max_value", &Elementwise::limit},
                               {"threshold", &Elementwise::threshold},  {"default_value", &Elementwise::otherwise}};

}  // namespace

std::optional<Elementwise> find_elementwise(const Attributes& attributes, const std::string& attribute,
                                            const std::string& otherwise) {
  const std::string name = attributes.get(attribute, otherwise);
  const auto* named = std::find_if(std::begin(kNamedFunctions), std::end(kNamedFunctions),
                                   [&](const NamedFunction& f) { return name == f.name; });
  if (named == std::end(kNamedFunctions)) return std::nullopt;
  const Elementwise& usual = named->function;
  const std::string prefix = attribute == "recurrent_activation" ? "recurrent_" : "";
  Elementwise e = usual;
  for (const Option& option : kOptions) e.*option.field = attributes.get(prefix + option.name, usual.*option.field);
  if (e.function == Function::relu && (e.slope != 0 || !std::isnan(e.limit) || e.threshold != 0))
    e.function = Function::leaky_relu;
  if (e.function == Function::hard_sigmoid && (e.alpha != usual.alpha || e.beta != usual.beta))
    e.function = Function::clipped_affine;
  if (e.function == Function::gelu && attributes.get(prefix + "approximate", false)) e.function = Function::gelu_tanh;
  return e;
}

}  // namespace rnncore
