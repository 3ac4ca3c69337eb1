// y = function(x) for functions that are no activations, and so in no kernel: plain loops.
#include <cmath>
#include <limits>

#include "core/team.h"
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

enum class PlainFunction { abs, clip, cos, exp, log, power, sin, sqrt, square };

struct NamedPlainFunction {
  const char* name;
  PlainFunction function;
};
constexpr NamedPlainFunction kPlainFunctions[] = {
    {"abs", PlainFunction::abs}, {"clip", PlainFunction::clip}, {"cos", PlainFunction::cos},
    {"exp", PlainFunction::exp}, {"log", PlainFunction::log},   {"power", PlainFunction::power},
    {"sin", PlainFunction::sin}, {"sqrt", PlainFunction::sqrt}, {"square", PlainFunction::square},
};

PlainFunction plain_function(const Site& site) {
  const std::string name = site.node.attributes.get("function", std::string());
  for (const NamedPlainFunction& named : kPlainFunctions)
    if (name == named.name) return named.function;
  fail(site, "function: expected one that elementwise has, got '" + name + "'");
}

std::vector<Tensor> infer_elementwise(const Site& site) {
  expect_slots(site, 1, 0, 0);
  plain_function(site);
  return {expect_input(site, 0, -1)};
}

template <class T>
class ElementwiseOp final : public Op<T> {
 public:
  ElementwiseOp(const Site& site, const Kernels&) : size_(site.inputs[0]->size()), function_(plain_function(site)) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    exponent_ = static_cast<T>(site.node.attributes.get("exponent", 1.0));
    low_ = static_cast<T>(site.node.attributes.get("min_value", -infinity));
    high_ = static_cast<T>(site.node.attributes.get("max_value", infinity));
  }

  double flops() const override { return 20.0 * static_cast<double>(size_); }
  Needs needs(int) const override { return {.keeps_inputs = true}; }
  void bind(const Buffers<T>& b) override { buffers_ = b; }

  void forward(const Step&, const Team& team) override {
    const T* x = buffers_.input(0);
    T* y = buffers_.output(0);
    const auto each = [&](auto f) {
      const Range range = team_range(size_, team, 256);
      for (int64_t i = range.begin; i < range.end; ++i) y[i] = f(x[i]);
    };
    switch (function_) {
      case PlainFunction::abs: return each([](T v) { return std::fabs(v); });
      case PlainFunction::clip: return each([this](T v) { return v < low_ ? low_ : v > high_ ? high_ : v; });
      case PlainFunction::cos: return each([](T v) { return std::cos(v); });
      case PlainFunction::exp: return each([](T v) { return std::exp(v); });
      case PlainFunction::log: return each([](T v) { return std::log(v); });
      case PlainFunction::power: return each([p = exponent_](T v) { return std::pow(v, p); });
      case PlainFunction::sin: return each([](T v) { return std::sin(v); });
      case PlainFunction::sqrt: return each([](T v) { return std::sqrt(v); });
      case PlainFunction::square: return each([](T v) { return v * v; });
    }
  }

  void backward(const Step&, const Team& team) override {
    const T *x = buffers_.input(0), *dy = buffers_.output_gradient(0);
    T* dx = buffers_.input_gradient(0);
    if (!dx) return;
    const auto each = [&](auto derivative) {
      const Range range = team_range(size_, team, 256);
      for (int64_t i = range.begin; i < range.end; ++i) dx[i] = dy[i] * derivative(x[i]);
    };
    switch (function_) {
      case PlainFunction::abs: return each([](T v) { return v != v ? v : T((v > 0) - (v < 0)); });
      case PlainFunction::clip: return each([this](T v) { return v != v ? v : T(v >= low_ && v <= high_); });
      case PlainFunction::cos: return each([](T v) { return -std::sin(v); });
      case PlainFunction::exp: return each([](T v) { return std::exp(v); });
      case PlainFunction::log: return each([](T v) { return T(1) / v; });
      case PlainFunction::power:
        return each([p = exponent_](T v) { return p == 0 ? T(0) : p * std::pow(v, p - T(1)); });
      case PlainFunction::sin: return each([](T v) { return std::cos(v); });
      case PlainFunction::sqrt: return each([](T v) { return T(0.5) / std::sqrt(v); });
      case PlainFunction::square: return each([](T v) { return T(2) * v; });
    }
  }

 private:
  int64_t size_;
  PlainFunction function_;
  T exponent_, low_, high_;
  Buffers<T> buffers_;
};

}  // namespace

OpType elementwise_op() { return op_row<ElementwiseOp>("elementwise", infer_elementwise); }

}  // namespace rnncore
