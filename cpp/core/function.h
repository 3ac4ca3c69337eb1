// The elementwise functions of dense, convolution and activation, as plain data.
#pragma once

#include <cstdint>

namespace rnncore {

// The first five are those of the cells, in the same order.
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

// A function of one number, with what it is parametrized by: leaky_relu by slope, limit, threshold, elu by alpha,
// scale.
struct Elementwise {
  Function function = Function::linear;
  double slope = 0, limit = 0, threshold = 0, alpha = 1, scale = 1;
};

// Whether the derivative reads the input; that of the others follows from the output.
constexpr bool needs_input(Function f) {
  return f >= Function::leaky_relu && f != Function::exponential && f != Function::softsign;
}

}  // namespace rnncore
