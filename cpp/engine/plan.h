// A Program for one shape of batch: its ops, and where each buffer lies in the arena.
//
// The schedule of a step: position 0 loads the batch, 1 + i runs node i, then comes the objective (or the outputs
// are copied), then the nodes run backward. Each buffer is alive between two positions.
#pragma once

#include <memory>

#include "engine/fault.h"
#include "engine/folding.h"
#include "engine/layout.h"
#include "engine/objective/objective.h"
#include "engine/op.h"
#include "engine/packed_weights.h"
#include "engine/samples.h"
#include "engine/schedule.h"

namespace rnncore {

template <class T>
class Plan {
 public:
  Plan(const Program& program, const Training& training, const Kernels& kernels, const BatchShape& shape);

  const BatchShape& shape() const { return shape_; }
  int threads() const;  // to run a step with
  double flops() const { return flops_; }
  int64_t samples() const { return shape_.inputs[0].samples(); }
  // Least number of steps of the values that lengths apply to, or 0 when there are none.
  int64_t ragged_steps() const { return ragged_steps_; }

  // Lays memory out for teams of up to `threads`; returns the bytes of the arena.
  int64_t reserve(int threads);
  void bind(std::byte* memory, T* parameters, T* gradients, PackedWeights& packed);

  // An input that nobody loads: it lies time-major where the caller says, or nowhere. `lend` comes before `reserve`,
  // `move_input` after `bind`.
  void lend(size_t input);
  void move_input(size_t input, const void* to);
  void read_keys(int64_t keys) { keys_ = keys; }  // how many of them there are

  // A step. Every thread of the team calls these; each ends with a barrier. After `load` it may have failed.
  void pack(const Team& team);  // weights, where they may have changed; before all else
  void load(const Samples& samples, const BatchRows& rows, const Team& team);
  void forward(uint64_t seed, uint32_t step, const States& states, const Team& team);
  void backward(uint64_t seed, uint32_t step, const States& states, const Team& team);
  // Of a plan that measures.
  Objective<T>& objective() { return *objective_; }

  // What the batch turned out to be wrong in, known after `load` and after the objective is evaluated.
  bool failed() const { return fault_.failed(); }
  std::string take_fault() { return fault_.take(); }

  // Throws std::invalid_argument when an id of the given rows is out of range.
  void check_ids(const Samples& samples, const BatchRows& rows) const;

  int64_t output_size(size_t number) const { return output(number).size(); }
  const Tensor& output(size_t number) const { return tensors_[index(program_.outputs[number])]; }
  bool has_mask(size_t output) const { return program_.mask_of(output) != kAbsent; }
  // Copies between outputs and batch-first arrays. A null gradient stands for zeros.
  void copy_output(size_t number, T* to, const Team& team) const;
  // The mask (N, T) of an output that has one; `lengths` are those of the batch.
  void copy_mask(size_t number, const int32_t* lengths, int32_t* to, const Team& team) const;
  void load_output_gradients(const std::vector<const T*>& gradients, const Team& team);
  void copy_input_gradient(size_t number, T* to, const Team& team) const;

 private:
  // Adds a contribution to a gradient that already holds another.
  struct Addition {
    const T* from;
    T* to;
    int64_t size;
  };

  struct PlannedNode {
    explicit PlannedNode(Site s) : site(std::move(s)) {}

    Site site;
    std::unique_ptr<Op<T>> op;  // null when it has outputs and nobody reads them
    int64_t operations = 0;     // forward
    bool runs_backward = false;
    bool beside_next = false;  // its equal, the next node, may run at the same time
    std::vector<int> input_additions,
        parameter_additions;  // blocks, by slot; kAbsent: the gradient is written in place
    std::vector<Addition> additions;
    int saved = kAbsent, forward_workspace = kAbsent, backward_workspace = kAbsent;  // blocks
    PackedWeights::Place* packed = nullptr;
    Buffers<T> buffers;  // of one that reads what is lent
  };

  static size_t index(int id) { return static_cast<size_t>(id); }
  static int64_t bytes_of(int64_t elements) { return elements * static_cast<int64_t>(sizeof(T)); }

  // Equals that may run at the same time share a position.
  int position(size_t node) const { return static_cast<int>(nodes_[node].beside_next ? node + 2 : node + 1); }
  int objective_position() const { return 1 + static_cast<int>(nodes_.size()); }
  int backward_position(size_t node) const { return 2 * objective_position() - position(node); }
  int end_position() const { return 2 + 2 * static_cast<int>(nodes_.size()); }

  std::string id_error(size_t input, int32_t id) const;
  void check_loaded_ids(size_t input, const Team& team);
  bool run_as_halves(size_t first, const Team& team) const;
  void plan_gradients(const Training& training);
  void make_ops(const Kernels& kernels);
  bool may_overwrite(size_t value) const;
  void add_value_blocks();
  int add_block(int64_t bytes, int first, int last);
  Buffers<T> buffers_of(PlannedNode& node, T* parameters);

  template <class E>
  E* at(int block) const {
    return block == kAbsent ? nullptr : reinterpret_cast<E*>(memory_ + blocks_[index(block)].offset);
  }

  std::vector<Tensor> tensors_;            // by value, like some below
  std::unique_ptr<const Program> folded_;  // in place of the one given, or null
  const Program& program_;
  const OpKernels<T>& kernels_;
  BatchShape shape_;
  std::vector<int> penalised_;                       // values with activity regularizers, where the mode measures
  std::vector<bool> needs_gradient_, has_gradient_;  // by value, like the next five
  std::vector<int> first_gradient_;                  // position of the first contribution
  std::vector<int> value_block_, gradient_block_;
  std::vector<const void*> lent_;  // where values are that are lent
  std::vector<bool> is_lent_;
  std::vector<bool> written_;  // by parameter: some op writes its gradient
  std::vector<PlannedNode> nodes_;
  std::vector<Block> blocks_;  // the fixed ones, then those that depend on the threads
  size_t fixed_blocks_ = 0;
  std::vector<int64_t> id_limits_;  // by input: ids must be below; 0: it has none
  Fault fault_;
  std::unique_ptr<Objective<T>> objective_;  // null when the mode does not measure
  int objective_block_ = kAbsent;
  RaggedBatch ragged_{};
  int64_t ragged_steps_ = 0;
  int ragged_block_[3] = {kAbsent, kAbsent, kAbsent};
  double flops_ = 0;
  int64_t keys_ = 0;
  int threads_ = 0;
  int64_t bytes_ = 0;
  std::byte* memory_ = nullptr;
  T* gradients_ = nullptr;
  const PackedWeights* packed_ = nullptr;
};

extern template class Plan<float>;
extern template class Plan<double>;

}  // namespace rnncore
