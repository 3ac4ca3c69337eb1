// A graph run one step of its sequences after the other: what a step needs is looked for once.
#pragma once

#include <utility>

#include "engine/executor.h"
#include "engine/stream_memory.h"

namespace rnncore {

// What an input of a part reads: a value, a memory, or which keys a query sees, which is all there are.
struct StreamFeed {
  enum class Kind : uint8_t { value, memory, keys } kind;
  int number;  // of the value or the memory
};

// A Program that reads values of earlier parts, and memories.
struct StreamPart {
  Ticks ticks;
  bool has_ends;  // some outputs are known in each step
  std::vector<StreamFeed> feeds;
  std::vector<int> memories;               // that it fills before it runs
  std::vector<int> outputs;                // values, by output of the Program
  std::vector<std::pair<int, int>> masks;  // those of outputs that others read: output, value
};

// A value of the graph; a sequence has one step.
struct StreamValue {
  Ticks ticks;
  Tensor tensor{};
  int64_t row_bytes = 0;
  Buffer own{};                     // unless it is given or told where to go
  const std::byte* from = nullptr;  // in this step

  bool timed() const { return ticks.timed(); }
};

// What does not depend on the type of numbers.
class StreamBase {
 public:
  virtual ~StreamBase() = default;
  StreamBase(const StreamBase&) = delete;
  StreamBase& operator=(const StreamBase&) = delete;

  int64_t rows() const { return values_[0].tensor.samples(); }
  size_t input_count() const { return inputs_; }
  const StreamValue& input(size_t number) const { return values_[number]; }
  size_t output_count() const { return outputs_.size(); }
  const StreamValue& output(size_t number) const { return values_[static_cast<size_t>(outputs_[number])]; }
  // Whether each output sequence has a step for each of the input.
  bool one_to_one() const;
  double flops() const { return flops_; }  // of a step
  static constexpr int64_t kMostSteps = StreamMemory::kMostSteps;

  // Whether `count` steps, up to kMostSteps, were made: they are not where there were not `begin` before, where the
  // weights have others' turn, unless `waits`, nor from within a batch of the executors. Inputs and outputs are
  // batch-first, sequences (N, steps, ...). Throws std::invalid_argument for ids that are out of range, and Stopped;
  // what is remembered is then as before.
  virtual bool advance(const void* const* inputs, void* const* outputs, int64_t begin, int64_t count, bool waits,
                       const Interrupt& interrupt) = 0;

  // What is remembered: states of parts (N·S,), and memories. Not while steps are made.
  int64_t steps() const { return steps_; }
  const std::vector<std::pair<std::byte*, int64_t>>& states() const { return states_; }  // and their numbers
  const std::vector<StreamMemory>& memories() const { return memories_; }
  const Tensor& memory_step(size_t number) const { return value(memories_[number].source()).tensor; }
  virtual void set_steps(int64_t steps) = 0;  // before the next
  void set_memory(size_t number, const std::byte* from) { memories_[number].load(steps_, from); }

  const int64_t number_bytes;

 protected:
  explicit StreamBase(int64_t bytes) : number_bytes(bytes) {}

  StreamValue& value(int number) { return values_[static_cast<size_t>(number)]; }
  const StreamValue& value(int number) const { return values_[static_cast<size_t>(number)]; }
  void place(StreamValue& v, const Tensor& tensor) const;
  Tensor feed_tensor(const StreamFeed& feed, int64_t room) const;
  int64_t room_for(const StreamPart& part, int64_t steps);
  void take_inputs(const void* const* inputs, int64_t number, int64_t count);
  void fill_memories(const StreamPart& part);
  void give_outputs(void* const* outputs, int64_t number, int64_t count) const;

  std::vector<StreamValue> values_;  // the inputs first
  size_t inputs_ = 0;
  std::vector<int> outputs_;
  std::vector<StreamMemory> memories_;
  std::vector<std::pair<std::byte*, int64_t>> states_;
  int64_t steps_ = 0;
  double flops_ = 0;
};

template <class T>
class Stream final : public StreamBase {
 public:
  // The executors of the parts, which share their weights, outlive it. The description is a list of numbers, in which
  // lists begin with their length: inputs (whether they hold integers, shape of a step), the ticks of all values
  // (first, stride), memories (source, span, stride, padded), parts (ticks, has_ends, feeds (kind, number), memories,
  // outputs, masks (output, value)), outputs.
  Stream(const std::vector<Executor<T>*>& executors, const std::vector<int64_t>& description);

  bool advance(const void* const* inputs, void* const* outputs, int64_t begin, int64_t count, bool waits,
               const Interrupt& interrupt) override;
  void set_steps(int64_t steps) override;

 private:
  struct Part : StreamPart {
    Executor<T>* executor;
    std::unique_ptr<Plan<T>> whole, held;  // for a step of its own, and for none
    Samples samples;
    std::vector<T> state;
    std::vector<T*> to;      // its outputs go
    int64_t room = 0;        // for keys
    Plan<T>* now = nullptr;  // what it runs in this step
    bool ticks_now = false, resumes = false;
  };
  // Its turn is spent at all executors' work.
  struct Inside;
  // Asks the interrupt within batches of all executors.
  using Asking = typename Executor<T>::Asking;

  std::unique_ptr<Plan<T>> new_plan(const Part& part, int64_t room, bool held) const;
  void make_plans(Part& part, int64_t room);
  void make_room(int64_t steps);
  void step(const void* const* inputs, void* const* outputs, int64_t number, int64_t count, const Interrupt& asking);
  int choose_plans(void* const* direct);
  void bind(int threads);
  void run_part(Part& part, const Team& team);

  std::vector<Part> parts_;
  bool writes_directly_;           // a step's outputs may go to their places at once
  std::vector<int32_t> no_steps_;  // (N,) zeros
  Undo<T> undo_;
  Buffer arena_;
  std::vector<Asking> asking_;
  std::vector<Interrupt> asked_;
  bool busy_ = false;
};

extern template class Stream<float>;
extern template class Stream<double>;

}  // namespace rnncore
