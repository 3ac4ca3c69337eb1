#include "engine/ops/recurrent_options.h"

#include <algorithm>

#include "engine/threads.h"

namespace rnncore {
namespace {

enum Option { zoneout, cell_zoneout, peepholes, projected, layer_normalization, products, reset_after };

// The attributes of these names, and what they are where the option is off.
constexpr const char* kOptions[][2] = {
    {"zoneout", "0.0"},     {"cell_zoneout", "0.0"},          {"peepholes", "False"},
    {"projected", "False"}, {"layer_normalization", "False"}, {"products", "'exact'"},
    {"reset_after", "True"}};

// One that is on, and one that must then be off. As in program.py.
constexpr Option kExcluded[][2] = {{projected, zoneout},
                                   {projected, cell_zoneout},
                                   {projected, peepholes},
                                   {projected, products},
                                   {layer_normalization, zoneout},
                                   {layer_normalization, cell_zoneout},
                                   {layer_normalization, peepholes},
                                   {layer_normalization, projected},
                                   {layer_normalization, products},
                                   {layer_normalization, reset_after},
                                   {products, reset_after}};

bool is_on(const Site& site, Option option) {
  const Attributes& a = site.node.attributes;
  const char* name = kOptions[option][0];
  if (option == products) return a.get(name, std::string("exact")) != "exact";
  if (option == reset_after) return !a.get(name, true);
  return option == zoneout || option == cell_zoneout ? a.get(name, 0.0) > 0 : a.get(name, false);
}

void refuse_excluded(const Site& site) {
  bool on[std::size(kOptions)];
  for (size_t i = 0; i < std::size(kOptions); ++i) on[i] = is_on(site, static_cast<Option>(i));
  for (const auto& [option, other] : kExcluded)
    if (on[option] && on[other])
      fail(site, std::string(kOptions[other][0]) + ": expected " + kOptions[other][1] + " with " + kOptions[option][0]);
}

// An option that comes with weights: which, and their shape.
struct WeightedOption {
  Option option;
  const char* weights;
  Shape shape;
};

// The one that is on, if there is one.
std::optional<WeightedOption> weighted_option(const Site& site, const RecurrentOptions& o) {
  const int64_t hidden = o.sizes[0], units = o.sizes[1];
  for (const WeightedOption& option :
       {WeightedOption{peepholes, "peephole_kernel", {3, units}},
        WeightedOption{projected, "projection_kernel", {units, hidden}},
        WeightedOption{layer_normalization, "normalization_weights", {o.cell.normalization_rows, units}}})
    if (is_on(site, option.option)) return option;
  return std::nullopt;
}

Cell cell_of(const Site& site) {
  const Cell cell = find_cell(site.node.op).value();
  return cell == Cell::gru && is_on(site, reset_after) ? Cell::gru_reset_before : cell;
}

}  // namespace

RecurrentOptions::RecurrentOptions(const Site& site)
    : cell(facts_of(cell_of(site))),
      shape{},
      seed(static_cast<uint64_t>(site.node.attributes.get("seed", int64_t{0}))),
      checkpoint_every(site.node.attributes.get("checkpoint_every", int64_t{0})),
      backwards(site.node.attributes.get("go_backwards", false)),
      aligned(site.node.attributes.get("aligned", false)),
      zero_output(site.node.attributes.get("zero_output_for_mask", false)) {
  const auto rate = [&](const char* name) {
    const double value = site.node.attributes.get(name, 0.0);
    if (!(value >= 0 && value < 1))
      fail(site, std::string(name) + ": expected a number from 0 to below 1, got " + std::to_string(value));
    return value;
  };
  recurrent_dropout = rate("recurrent_dropout");
  this->zoneout[0] = rate("zoneout");
  this->zoneout[1] = rate("cell_zoneout");
  if (cell.states == 1) this->zoneout[1] = 0;

  const Tensor& x = *site.inputs[0];
  const Shape& recurrent = site.parameters[1]->shape;
  shape.projected = is_on(site, projected) && !recurrent.empty() ? recurrent[0] : 0;
  sizes[0] = recurrent.empty() ? 0 : recurrent[0];
  sizes[1] = shape.projected == 0 ? sizes[0] : recurrent.size() == 2 ? recurrent[1] / cell.gates : 0;
  shape.cell = cell_of(site);
  shape.activation = elementwise_of(site, "activation", "tanh");
  shape.recurrent_activation = elementwise_of(site, "recurrent_activation", "sigmoid");
  shape.rows = x.samples(), shape.steps = x.steps(), shape.units = sizes[1];
  shape.inputs = x.integer ? site.parameters[0]->shape[0] : x.columns();
  shape.recurrent_dropout = recurrent_dropout > 0;
  shape.zoneout = this->zoneout[0] > 0 || this->zoneout[1] > 0;
  shape.peepholes = is_on(site, peepholes);
  shape.normalized = is_on(site, layer_normalization);
  const std::string factors = site.node.attributes.get("products", std::string("exact"));
  shape.bfloat16 = factors == "bfloat16";
  shape.weights = factors == "int8"               ? WeightFormat::int8
                  : factors == "bfloat16_weights" ? WeightFormat::bfloat16
                                                  : WeightFormat::full;
  shape.cache_bytes = second_level_cache();
  const bool weighted = weighted_option(site, *this).has_value();
  const size_t others = site.parameters.size() - weighted - x.integer;
  slots = {0, 1, others > 2 ? 2 : kNoSlot, weighted ? others : kNoSlot};
  embeddings_slot = x.integer ? others + weighted : kNoSlot;
  if (x.integer) shape.vocabulary = site.parameters[embeddings_slot]->shape[0];
}

std::vector<Tensor> infer_recurrent(const Site& site) {
  const size_t states = static_cast<size_t>(facts_of(cell_of(site)).states);
  expect_slots(site, kFirstStateInput + states + 1 + states, 2, std::max<size_t>(site.parameters.size(), 2));
  const Tensor& x = expect_input(site, 0, 3);
  const RecurrentOptions o(site);
  if (x.steps() < 1) fail(site, "expected at least one time step, got an input of shape " + to_string(x.shape));
  const std::string factors = site.node.attributes.get("products", std::string("exact"));
  if (factors != "exact" && factors != "bfloat16" && factors != "bfloat16_weights" && factors != "int8")
    fail(site, "products: expected 'exact', 'bfloat16', 'bfloat16_weights' or 'int8', got '" + factors + "'");
  refuse_excluded(site);
  const int64_t columns = o.cell.gates * o.sizes[1];
  expect_shape(site, "recurrent_kernel", site.parameters[1]->shape, {o.sizes[0], columns});
  expect_shape(site, "kernel", site.parameters[0]->shape, {x.columns(), columns});
  const auto weighted = weighted_option(site, o);
  if (weighted && !o.shape.normalized && o.shape.cell != Cell::lstm)
    fail(site, std::string(kOptions[weighted->option][0]) + ": only an lstm can have it");
  const size_t parameters = weighted ? 3 : 2;
  if (site.parameters.size() < parameters || site.parameters.size() > parameters + 1)
    fail(site, "needs kernel, recurrent_kernel, at most one bias" +
                   (weighted ? std::string(" and a ") + weighted->weights : std::string()) + ", got " +
                   std::to_string(site.parameters.size()) + " parameters");
  const auto& [kernel, recurrent_kernel, bias, weights] = o.slots;
  if (site.has_parameter(bias))
    expect_shape(site, "bias", site.parameters[bias]->shape,
                 o.cell.bias_rows > 1 ? Shape{o.cell.bias_rows, columns} : Shape{columns});
  if (weighted && !site.has_parameter(weights)) fail(site, std::string("needs a ") + weighted->weights);
  if (weighted) expect_shape(site, weighted->weights, site.parameters[weights]->shape, weighted->shape);
  if (o.checkpoint_every < 0) fail(site, "checkpoint_every: expected at least 0");
  if (site.has_input(kMaskInput)) {
    const Tensor& mask = *site.inputs[kMaskInput];
    expect_shape(site, "mask", mask.shape, {x.samples(), x.steps()});
    if (!mask.integer) fail(site, "mask: expected integers, got floating point values");
  }
  const size_t resets = o.resets_slot();
  if (site.has_input(resets)) {
    const Tensor& marks = *site.inputs[resets];
    expect_shape(site, "resets", marks.shape, {x.samples(), x.steps()});
    if (!marks.integer) fail(site, "resets: expected integers, got floating point values");
    if (o.checkpoint_every > 0) fail(site, "checkpoint_every: expected 0 with resets");
  }
  std::vector<Tensor> outputs{Tensor{{x.samples(), x.steps(), o.sizes[0]}, false}};
  for (size_t i = 0; i < o.states(); ++i) {
    outputs.push_back(Tensor{{x.samples(), o.sizes[i]}, false});
    if (site.has_input(kFirstStateInput + i))
      expect_shape(site, "initial state", expect_input(site, kFirstStateInput + i, 2).shape, outputs.back().shape);
    if (site.has_input(resets + 1 + i))
      expect_shape(site, "state of resets", expect_input(site, resets + 1 + i, 2).shape, outputs.back().shape);
  }
  return outputs;
}

}  // namespace rnncore
