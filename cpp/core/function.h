// The elementwise functions of cells, dense, convolution and activation, as plain data.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rnncore {

// The first `kCellFunctions` are those that cells take.
enum class Function : uint8_t {
  linear,
  relu,
  sigmoid,
  tanh,
  hard_sigmoid,
  leaky_relu,
  elu,
  exponential,
  softsign,
  softplus,
  silu,
  gelu,
  mish
};
constexpr const char* kFunctionNames[] = {"linear",     "relu", "sigmoid",     "tanh",     "hard_sigmoid",
                                          "leaky_relu", "elu",  "exponential", "softsign", "softplus",
                                          "silu",       "gelu", "mish"};
constexpr size_t kCellFunctions = 5;

constexpr bool is_cell_function(Function f) { return static_cast<size_t>(f) < kCellFunctions; }

// A function of one number, with what it is parametrized by: leaky_relu by slope, limit, threshold, elu by alpha,
// scale.
struct Elementwise {
  Function function = Function::linear;
  double slope = 0, limit = 0, threshold = 0, alpha = 1, scale = 1;
};

// Whether the derivative reads the input; that of the others follows from the output.
constexpr bool needs_input(Function f) {
  return !is_cell_function(f) && f != Function::exponential && f != Function::softsign;
}

}  // namespace rnncore
