// query (N, Tq, h·K), value (N, Tv, h·V), key (N, Tv, h·K), masks -> context (N, Tq, h·V), weights.
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

// Slots of a node; parameters: [scale], and a weight where the score has one.
enum : size_t { kQuery, kValue, kKey, kQueryMask, kValueMask, kAttentionMask };

struct AttentionFacts {
  AttentionScore score;
  bool has_heads;  // the weights have an axis for them
  int64_t heads;
  size_t scale, weight;  // parameters; beyond the last where there is none
};

AttentionFacts facts_of(const Site& site) {
  const std::string score = site.node.attributes.get("score", std::string("dot"));
  const auto heads = site.node.attributes.get("heads", int64_t{0});
  const size_t parameters = site.parameters.size();
  const auto facts = [&](AttentionScore kind, size_t scale, size_t weight, size_t least, size_t most) {
    if (parameters < least || parameters > most)
      fail(site, "score " + score + " got " + std::to_string(parameters) + " parameters");
    return AttentionFacts{kind, heads > 0, heads > 0 ? heads : 1, scale, weight};
  };
  constexpr size_t kNone = 9;
  if (score == "dot") return facts(AttentionScore::dot, 0, kNone, 0, 1);
  if (heads > 0) fail(site, "score: expected dot with heads, got " + score);
  if (score == "additive") return facts(AttentionScore::additive, kNone, 0, 0, 1);
  if (score == "concat") return facts(AttentionScore::concat, parameters == 2 ? 0 : kNone, parameters - 1, 1, 2);
  fail(site, "score: expected dot, additive or concat, got '" + score + "'");
}

void expect_mask(const Site& site, size_t slot, const char* name, const Shape& shape) {
  if (!site.has_input(slot)) return;
  expect_shape(site, name, site.inputs[slot]->shape, shape);
  if (!site.inputs[slot]->integer) fail(site, std::string(name) + ": expected integers");
}

std::vector<Tensor> infer_attention(const Site& site) {
  const AttentionFacts facts = facts_of(site);
  expect_slots(site, kAttentionMask + 1, facts.score == AttentionScore::concat ? site.parameters.size() : 0, 2);
  const Tensor &query = expect_input(site, kQuery, 3), &value = expect_input(site, kValue, 3),
               &key = expect_input(site, kKey, 3);
  const int64_t N = query.samples();
  expect_shape(site, "key", key.shape, {N, value.steps(), query.columns()});
  expect_shape(site, "value", value.shape, {N, value.steps(), value.columns()});
  if (query.columns() % facts.heads || value.columns() % facts.heads)
    fail(site, "heads: expected a divisor of the sizes of query and value, got " + std::to_string(facts.heads));
  if (query.steps() < 1 || value.steps() < 1) fail(site, "expected at least one step of query and value");
  expect_mask(site, kQueryMask, "query_mask", {N, query.steps()});
  expect_mask(site, kValueMask, "value_mask", {N, value.steps()});
  expect_mask(site, kAttentionMask, "attention_mask", {N, query.steps(), value.steps()});
  if (site.has_parameter(facts.scale)) expect_shape(site, "scale", site.parameters[facts.scale]->shape, {});
  if (site.has_parameter(facts.weight))
    expect_shape(site, "weight", site.parameters[facts.weight]->shape,
                 facts.score == AttentionScore::concat ? Shape{} : Shape{query.columns()});
  const double rate = site.node.attributes.get("rate", 0.0);
  if (!(rate >= 0 && rate < 1)) fail(site, "rate: expected a number from 0 to below 1, got " + std::to_string(rate));
  Tensor weights{{N, query.steps(), value.steps()}, false};
  if (facts.has_heads) weights.shape.insert(weights.shape.begin() + 1, facts.heads);
  return {Tensor{{N, query.steps(), value.columns()}, false}, weights};
}

template <class T>
class AttentionOp final : public Op<T> {
 public:
  AttentionOp(const Site& site, const Kernels& kernels) : kernels_(op_kernels<T>(kernels)), facts_(facts_of(site)) {
    const Attributes& attributes = site.node.attributes;
    const Tensor &query = *site.inputs[kQuery], &value = *site.inputs[kValue];
    Attention<T>& a = call_;
    a.score = facts_.score;
    a.causal = attributes.get("causal", false);
    a.hides_queries = attributes.get("hides_queries", false);
    a.drops_weights = attributes.get("drops_weights", false);
    a.samples = query.samples(), a.heads = facts_.heads, a.queries = query.steps(), a.keys = value.steps();
    a.key_width = query.columns() / a.heads, a.value_width = value.columns() / a.heads;
    // (Tq, N, Tv), or (heads, N, Tq, Tv)
    a.weights_sample = facts_.has_heads ? a.queries * a.keys : a.keys;
    a.weights_head = a.samples * a.queries * a.keys;
    a.weights_query = facts_.has_heads ? a.keys : a.samples * a.keys;
    a.rate = site.training ? attributes.get("rate", 0.0) : 0.0;
    a.factor = static_cast<T>(attributes.get("factor", 1.0));
    a.random.node = site.index;
    seed_ = static_cast<uint64_t>(attributes.get("seed", int64_t{0}));
    training_ = site.training;
    has_attention_mask_ = site.has_input(kAttentionMask);
    for (size_t i = 0; i < 2; ++i) {
      const size_t slot = kQueryMask + i;
      takes_lengths_[i] =
          site.ragged && slot < site.node.inputs.size() && site.node.inputs[slot] != kAbsent && !site.has_input(slot);
    }
  }

  double flops() const override {
    const double scores = static_cast<double>(call_.samples * call_.heads * call_.queries * call_.keys);
    const bool dot = call_.score == AttentionScore::dot;
    return scores *
           (static_cast<double>(call_.key_width) * (dot ? 2 : 20) + 2.0 * static_cast<double>(call_.value_width));
  }

  size_t timed_input(size_t slot) const override { return slot == kQueryMask ? kQuery : kValue; }

  Needs needs(int threads) const override {
    return {.saved = lengths_size() + (training_ ? probabilities_size() : 0),
            .forward_workspace = kernels_.attention_workspace(call_, false, threads),
            .backward_workspace = kernels_.attention_workspace(call_, true, threads),
            .keeps_inputs = true,
            .keeps_outputs = false};
  }

  void bind(const Buffers<T>& b) override {
    const auto mask = [&](size_t slot) {
      return static_cast<const int32_t*>(slot < b.inputs.size() ? b.inputs[slot] : nullptr);
    };
    Attention<T>& a = call_;
    a.query = b.input(kQuery), a.value = b.input(kValue), a.key = b.input(kKey);
    lengths_ = reinterpret_cast<int32_t*>(b.saved);
    a.query_steps = {mask(kQueryMask), takes_lengths_[0] ? lengths_ : nullptr};
    a.value_steps = {mask(kValueMask), takes_lengths_[1] ? lengths_ : nullptr};
    a.attention_mask = mask(kAttentionMask);
    a.scale = b.parameter(facts_.scale), a.weight = b.parameter(facts_.weight);
    a.probabilities = training_ ? b.saved + lengths_size() : nullptr;
    a.context = b.output(0), a.weights = b.output(1);
    a.dcontext = b.output_gradient(0), a.dweights = b.output_gradient(1);
    a.dquery = b.input_gradient(kQuery), a.dvalue = b.input_gradient(kValue), a.dkey = b.input_gradient(kKey);
    a.dscale = b.parameter_gradient(facts_.scale), a.dweight = b.parameter_gradient(facts_.weight);
    forward_workspace_ = b.forward_workspace, backward_workspace_ = b.backward_workspace;
  }

  void forward(const Step& step, const Team& team) override {
    if (lengths_size() > 0) {
      const RaggedBatch& batch = *step.ragged;
      const Range rows = team_range(call_.samples, team, 1);
      for (int64_t r = rows.begin; r < rows.end; ++r) lengths_[batch.rows[r]] = batch.lengths[r];
      team_barrier(team);
    }
    kernels_.attention_forward(call_for(step, forward_workspace_), team);
  }

  void backward(const Step& step, const Team& team) override {
    kernels_.attention_backward(call_for(step, backward_workspace_), team);
  }

 private:
  int64_t lengths_size() const { return takes_lengths_[0] || takes_lengths_[1] ? (call_.samples + 15) / 16 * 16 : 0; }
  int64_t probabilities_size() const { return call_.samples * call_.heads * call_.queries * call_.keys; }

  Attention<T> call_for(const Step& step, T* workspace) const {
    Attention<T> a = call_;
    if (has_attention_mask_ && !a.attention_mask) a.keys = step.keys;  // all that a stream keeps
    a.random.seed = step.seed + seed_, a.random.step = step.number;
    a.workspace = workspace;
    return a;
  }

  const OpKernels<T>& kernels_;
  AttentionFacts facts_;
  Attention<T> call_{};
  uint64_t seed_;
  bool training_, has_attention_mask_;
  bool takes_lengths_[2];       // query, value
  int32_t* lengths_ = nullptr;  // (N,)
  T *forward_workspace_ = nullptr, *backward_workspace_ = nullptr;
};

}  // namespace

OpType attention_op() { return op_row<AttentionOp>("attention", infer_attention); }

}  // namespace rnncore
