// The data of a call: arrays over all samples, of which each batch takes some.
#pragma once

#include <cstddef>

#include "engine/tensor.h"

namespace rnncore {

struct Samples {
  std::vector<Array> inputs;
  std::vector<Array> targets;  // one per output of the Program
  std::vector<Array> weights;  // one per loss, or none at all
  const int32_t* lengths = nullptr;
};

// What plans are made for.
enum class Mode : uint8_t {
  inference,
  evaluation,      // outputs, losses and metrics
  training,        // and gradients of the parameters
  differentiation  // outputs, then gradients of parameters and inputs from given output gradients
};

struct BatchShape {
  Mode mode;
  std::vector<Tensor> inputs;
  bool ragged;

  bool differentiates() const { return mode == Mode::training || mode == Mode::differentiation; }
  bool measures() const { return mode == Mode::evaluation || mode == Mode::training; }
  bool operator==(const BatchShape&) const = default;
};

}  // namespace rnncore
