// Functions of the host's, which ops run in the middle of a step.
#pragma once

#include <vector>

#include "engine/tensor.h"

namespace rnncore {

// A stored value; null data where it is absent or not wanted.
struct HostArray {
  void* data;
  Tensor tensor;
};

struct HostCall {
  int64_t function;
  bool training, doubles;
  HostArray mask;  // (N, T), 0 where a step is not valid
  std::vector<HostArray> inputs, outputs;
  // Empty in a forward pass; else what outputs, inputs and parameters get. The last two are written.
  std::vector<HostArray> output_gradients, input_gradients, parameter_gradients;
};

struct Host {
  bool (*run)(const HostCall&);  // false where it failed; the binding knows why. Must not throw.
  std::vector<Tensor> (*shapes)(int64_t function, const std::vector<Tensor>& inputs);  // throws std::invalid_argument
};

extern Host host;  // set by the binding

// What the calling thread computes at, so that code of the host's may compute, too, at another place.
struct HostScope {
  void (*aside)(void* context, void (*run)(void*), void* argument);
  void* context;
  HostScope* before;
};
inline thread_local HostScope* host_scope = nullptr;  // the innermost

}  // namespace rnncore
