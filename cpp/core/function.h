// The elementwise functions of cells, dense, convolution and activation, as plain data.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rnncore {

// The first `kCommonFunctions` have no options. From `leaky_relu` on a derivative reads the input; that of those before
// follows from the output.
enum class Function : uint8_t {
  linear,
  relu,
  sigmoid,
  tanh,
  hard_sigmoid,
  affine,
  clipped_affine,  // hard_sigmoid with options
  exponential,
  softsign,
  leaky_relu,  // and relu with options
  threshold,
  scaled_tanh,
  elu,  // and selu
  celu,
  softplus,
  silu,
  gelu,
  gelu_tanh,  // approximate
  mish
};
constexpr size_t kCommonFunctions = 5;

constexpr bool is_common(Function f) { return static_cast<size_t>(f) < kCommonFunctions; }
constexpr bool needs_input(Function f) { return f >= Function::leaky_relu; }

// A function of one number with its options. Of leaky_relu: slope, limit (NaN: none), threshold; of elu: alpha, scale.
struct Elementwise {
  Function function = Function::linear;
  double alpha = 1, beta = 0, slope = 0, limit = __builtin_nan(""), threshold = 0, otherwise = 0, scale = 1;
};

struct NamedFunction {
  const char* name;
  Elementwise function;  // with the options it has unless told others
};
constexpr NamedFunction kNamedFunctions[] = {
    {"linear", {Function::linear}},
    {"relu", {Function::relu}},
    {"sigmoid", {Function::sigmoid}},
    {"tanh", {Function::tanh}},
    {"hard_sigmoid", {.function = Function::hard_sigmoid, .alpha = 1.0 / 6, .beta = 0.5}},
    {"affine", {Function::affine}},
    {"leaky_relu", {.function = Function::leaky_relu, .slope = 0.2}},
    {"threshold", {Function::threshold}},
    {"scaled_tanh", {.function = Function::scaled_tanh, .beta = 1}},
    {"elu", {Function::elu}},
    {"celu", {Function::celu}},
    {"selu", {.function = Function::elu, .alpha = 1.67326324235437728481, .scale = 1.05070098735548049342}},
    {"exponential", {Function::exponential}},
    {"softsign", {Function::softsign}},
    {"softplus", {Function::softplus}},
    {"silu", {Function::silu}},
    {"gelu", {Function::gelu}},
    {"mish", {Function::mish}},
};

}  // namespace rnncore
