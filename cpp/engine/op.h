// What an op of a Program is to the engine. An op is made for one node and one set of shapes; it says what
// memory it needs, is bound to buffers, and then runs any number of steps without allocating.
#pragma once

#include <memory>

#include "core/kernels.h"
#include "engine/lengths.h"
#include "engine/tensor.h"

namespace rnncore {

// Memory of an op in elements, and what its backward pass reads.
struct Needs {
  int64_t saved = 0;           // kept from forward to backward
  int64_t packed_weights = 0;  // kept from call to call, of a plan that does not differentiate
  int64_t forward_workspace = 0;
  int64_t backward_workspace = 0;
  bool keeps_inputs = false;
  bool keeps_outputs = false;
};

// Where an op runs. Slots are those of the node; null or false where absent.
struct Site {
  const Node& node;
  uint32_t index;  // of the node in the Program
  int64_t batch;   // N
  bool training;
  bool ragged;  // rows end early: the node takes lengths and the batch has them
  std::vector<const Tensor*> inputs, outputs;
  std::vector<const Parameter*> parameters;
  std::vector<bool> input_gradients, parameter_gradients;  // wanted ones

  bool has_input(size_t slot) const { return slot < inputs.size() && inputs[slot]; }
  bool has_output(size_t slot) const { return slot < outputs.size() && outputs[slot]; }
  bool has_parameter(size_t slot) const { return slot < parameters.size() && parameters[slot]; }
};

// The buffers of an op, by slot; null where absent, not wanted, or zero.
template <class T>
struct Buffers {
  std::vector<const void*> inputs;
  std::vector<T*> outputs;
  std::vector<T*> parameters;
  std::vector<const T*> output_gradients;  // null: zero
  std::vector<T*> input_gradients;         // overwritten
  std::vector<T*> parameter_gradients;     // overwritten
  T* saved;
  T* packed_weights;
  T* forward_workspace;
  T* backward_workspace;

  const T* input(size_t slot) const { return slot < inputs.size() ? static_cast<const T*>(inputs[slot]) : nullptr; }
  T* output(size_t slot) const { return slot < outputs.size() ? outputs[slot] : nullptr; }
  const T* parameter(size_t slot) const { return slot < parameters.size() ? parameters[slot] : nullptr; }
  // A parameter that the op itself writes in a training step.
  T* state(size_t slot) const { return slot < parameters.size() ? parameters[slot] : nullptr; }
  const T* output_gradient(size_t slot) const {
    return slot < output_gradients.size() ? output_gradients[slot] : nullptr;
  }
  T* input_gradient(size_t slot) const { return slot < input_gradients.size() ? input_gradients[slot] : nullptr; }
  T* parameter_gradient(size_t slot) const {
    return slot < parameter_gradients.size() ? parameter_gradients[slot] : nullptr;
  }
};

// States that the caller keeps from step to step, (N·S,) of the executor's dtype; null: none are kept.
struct States {
  void* data = nullptr;
  bool resume = false;  // begin with what is there
};

// What changes from step to step.
struct Step {
  uint64_t seed;
  uint32_t number;
  const RaggedBatch* ragged;  // null: every row has all steps
  void* states;               // null: none are kept
  bool resume;
  int64_t keys = 0;  // how many there are so far of those that a stream keeps

  bool resumes() const { return states && resume; }
  template <class T>
  T* state_vector() const {
    return static_cast<T*>(states);
  }
};

template <class T>
class Op {
 public:
  virtual ~Op() = default;

  virtual double flops() const = 0;               // of the forward pass
  virtual int64_t id_limit() const { return 0; }  // ids in input 0 must be from 0 to below this; 0: not ids
  virtual size_t timed_input(size_t /*slot*/) const { return 0; }  // whose steps the lengths in a slot count
  virtual int useful_threads(int limit) const { return limit; }    // how many finish it first
  virtual Needs needs(int threads) const = 0;
  // Whether half of a team of `threads` serves it better, while its equal has the other half.
  virtual bool prefers_half(int /*threads*/) const { return false; }
  virtual void bind(const Buffers<T>& buffers) = 0;
  // Packs the weights anew, by each thread of the team; `forward` takes them from there.
  virtual void pack(const Team& /*team*/) {}
  // Each thread of the team calls these; results are there after a barrier of the caller's.
  virtual void forward(const Step& step, const Team& team) = 0;
  virtual void backward(const Step& step, const Team& team) = 0;
};

// One row of the registry: an op is one file in ops/ and one row in registry.cpp.
struct OpType {
  const char* name;
  bool pairs;    // an equal one may run beside it
  size_t moved;  // how many of its parameters, the last ones, the forward pass of a training step itself changes
  // Shapes of the outputs; throws std::invalid_argument when the inputs do not fit.
  std::vector<Tensor> (*infer)(const Site&);
  std::unique_ptr<Op<float>> (*make_float)(const Site&, const Kernels&);
  std::unique_ptr<Op<double>> (*make_double)(const Site&, const Kernels&);

  template <class T>
  std::unique_ptr<Op<T>> make(const Site& site, const Kernels& kernels) const {
    if constexpr (sizeof(T) == 4)
      return make_float(site, kernels);
    else
      return make_double(site, kernels);
  }
};

const OpType& op_type(const std::string& name);

template <template <class> class OpClass>
OpType op_row(const char* name, std::vector<Tensor> (*infer)(const Site&), bool pairs = false, size_t moved = 0) {
  return {name,
          pairs,
          moved,
          infer,
          [](const Site& s, const Kernels& k) -> std::unique_ptr<Op<float>> {
            return std::make_unique<OpClass<float>>(s, k);
          },
          [](const Site& s, const Kernels& k) -> std::unique_ptr<Op<double>> {
            return std::make_unique<OpClass<double>>(s, k);
          }};
}

}  // namespace rnncore
