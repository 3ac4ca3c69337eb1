// rnncore._core.Executor: arrays in, GIL off, engine, arrays out.
#include <atomic>
#include <memory>

#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/batches.h"
#include "bindings/description.h"
#include "bindings/gil.h"
#include "bindings/held_turn.h"
#include "bindings/module.h"
#include "bindings/signals.h"
#include "bindings/stream.h"
#include "engine/executor.h"
#include "engine/training.h"

namespace py = pybind11;

namespace rnncore {
namespace {

uint64_t next_number() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

// The Python object of a pass.
struct HeldPass {
  explicit HeldPass(uint64_t executor_number) : executor(executor_number) {}
  HeldPass(const HeldPass&) = delete;
  virtual ~HeldPass() = default;

  const uint64_t executor;
};

class BoundExecutor {
 public:
  virtual ~BoundExecutor() = default;
  virtual py::object last_pass() const = 0;
  virtual void set_last_pass(const py::object& pass) = 0;
  virtual std::unique_ptr<StreamBase> stream(const std::vector<BoundExecutor*>& executors,
                                             const std::vector<int64_t>& graph) = 0;
  virtual const WeightWatch* watch() const = 0;
  virtual const char* isa() const = 0;
  virtual size_t arena_bytes() const = 0;
  virtual std::unique_ptr<HeldTurn> turn() const = 0;
  virtual py::list forward(const py::sequence& inputs, const py::object& lengths, bool training, const py::object& seed,
                           int64_t step, const py::object& states, bool resume, bool masks) = 0;
  virtual py::list backward(const py::sequence& output_gradients) = 0;
  virtual void configure(const py::object& training, const py::object& slots) = 0;
  virtual void apply_gradients(double learning_rate, int64_t step) = 0;
  virtual int64_t train(const py::object& batches, const py::object& update, const py::object& state) = 0;
  virtual int64_t test(const py::object& batches, const py::object& state) = 0;
  virtual int64_t predict(const py::object& batches, const py::sequence& outputs) = 0;
};

template <class T>
class TypedExecutor final : public BoundExecutor {
 public:
  TypedExecutor(const py::object& program, const py::object& parameters, const py::object& gradients,
                const py::object& memory, const Kernels& kernels)
      : memory_(memory),
        watch_(watch_of(memory)),
        parameters_(expect_writable<T>(parameters, "parameters")),
        gradients_(expect_writable<T>(gradients, "gradients")),
        slots_(py::none()),
        passes_(py::module_::import("threading").attr("local")()),
        engine_(read_program(program), parameters_.mutable_data(), gradients_.mutable_data(), parameters_.size(),
                kernels, watch_) {
    expect_shape(shape_of(parameters_), {parameters_.size()}, "parameters");
    expect_shape(shape_of(gradients_), {parameters_.size()}, "gradients");
  }

  py::object last_pass() const override { return py::getattr(passes_, kPass, py::none()); }

  void set_last_pass(const py::object& pass) override {
    if (!pass.is_none() && pass.cast<HeldPass&>().executor != number_)
      throw py::value_error("last_pass: expected a pass of this executor, got one of another");
    py::setattr(passes_, kPass, pass);
  }

  std::unique_ptr<StreamBase> stream(const std::vector<BoundExecutor*>& executors,
                                     const std::vector<int64_t>& graph) override {
    std::vector<Executor<T>*> engines;
    for (BoundExecutor* executor : executors) engines.push_back(&dynamic_cast<TypedExecutor&>(*executor).engine_);
    return std::make_unique<Stream<T>>(engines, graph);
  }
  const WeightWatch* watch() const override { return watch_; }

  const char* isa() const override { return engine_.kernels().name; }
  size_t arena_bytes() const override { return engine_.arena_bytes(); }
  std::unique_ptr<HeldTurn> turn() const override { return std::make_unique<HeldTurn>(engine_.turns()); }

  py::list forward(const py::sequence& given, const py::object& lengths, bool training, const py::object& seed,
                   int64_t step, const py::object& states, bool resume, bool masks) override {
    const py::tuple inputs(given);
    Samples samples;
    const int64_t count = read_inputs(inputs, lengths, samples);
    py::list outputs;
    std::vector<T*> pointers;
    std::vector<int32_t*> mask_pointers;
    const std::vector<Tensor> shapes = engine_.output_shapes(samples.inputs);
    for (const Tensor& tensor : shapes) {
      NumpyArray<T> array(tensor.shape);
      pointers.push_back(array.mutable_data());
      outputs.append(array);
    }
    for (size_t i = 0; masks && i < shapes.size(); ++i) {
      mask_pointers.push_back(nullptr);
      if (!engine_.has_mask(i, samples)) {
        outputs.append(py::none());
        continue;
      }
      NumpyArray<int32_t> array({count, shapes[i].steps()});
      mask_pointers.back() = array.mutable_data();
      outputs.append(array);
    }
    const uint64_t bits = read_seed(seed);
    const States kept = read_states(states, resume, count);
    std::unique_ptr<Pass<T>> pass;
    SignalPoll signals;
    run_interruptible(signals, [&](const Interrupt& interrupt) {
      pass = engine_.forward(samples, count, training, bits, static_cast<uint32_t>(step), kept, pointers, mask_pointers,
                             interrupt);
    });
    if (pass) {
      auto held = std::make_unique<Held>(number_);
      held->pass = std::move(pass);
      py::setattr(passes_, kPass, py::cast(std::unique_ptr<HeldPass>(std::move(held))));
    }
    return outputs;
  }

  py::list backward(const py::sequence& given) override {
    const py::tuple output_gradients(given);
    const py::object kept = last_pass();
    if (kept.is_none() || !pass_of(kept))
      throw py::value_error("backward: expected a forward pass with training=True before it");
    const std::vector<Tensor> shapes = pass_of(kept)->inputs();
    const Program& program = engine_.program();
    if (output_gradients.size() != program.outputs.size())
      throw py::value_error("output_gradients: expected " + std::to_string(program.outputs.size()) +
                            " array(s) or None, got " + std::to_string(output_gradients.size()));
    const std::vector<Tensor> expected = infer_shapes(program, shapes);
    std::vector<const T*> from;
    for (size_t i = 0; i < output_gradients.size(); ++i) {
      const std::string name = "output_gradients[" + std::to_string(i) + "]";
      if (output_gradients[i].is_none()) {
        from.push_back(nullptr);
        continue;
      }
      const auto array = expect_array<T>(output_gradients[i], name);
      expect_shape(shape_of(array), expected[static_cast<size_t>(program.outputs[i])].shape, name);
      from.push_back(array.data());
    }
    py::list gradients;
    std::vector<T*> to;
    for (const Tensor& tensor : shapes) {
      if (tensor.integer) {
        gradients.append(py::none());
        to.push_back(nullptr);
        continue;
      }
      NumpyArray<T> array(tensor.shape);
      to.push_back(array.mutable_data());
      gradients.append(array);
    }
    std::unique_ptr<Pass<T>> pass = std::move(pass_of(kept));
    set_last_pass(py::none());
    SignalPoll signals;
    try {
      run_interruptible(signals, [&](const Interrupt& interrupt) { engine_.backward(pass, from, to, interrupt); });
    } catch (...) {
      if (pass) {  // it waited for its turn only
        pass_of(kept) = std::move(pass);
        if (last_pass().is_none()) set_last_pass(kept);
      }
      throw;
    }
    return gradients;
  }

  void configure(const py::object& training, const py::object& slots) override {
    Training description = read_training(training);
    T* data = nullptr;
    py::object kept = py::none();
    if (!description.optimizer.kind.empty()) {
      auto array = expect_writable<T>(slots, "slots");
      expect_shape(shape_of(array), {slot_count(description.optimizer), parameters_.size()}, "slots");
      data = array.mutable_data();
      kept = std::move(array);
    }
    SignalPoll signals;
    run_interruptible(signals,
                      [&](const Interrupt& interrupt) { engine_.configure(std::move(description), data, interrupt); });
    slots_ = std::move(kept);
  }

  void apply_gradients(double learning_rate, int64_t step) override {
    SignalPoll signals;
    run_interruptible(signals,
                      [&](const Interrupt& interrupt) { engine_.apply_gradients(learning_rate, step, interrupt); });
  }

  int64_t train(const py::object& given, const py::object& update, const py::object& state) override {
    const Batches batches(given);
    Epoch epoch = read_epoch(batches, Mode::training);
    const auto setup = engine_.setup();
    const Measured measured = read_measured(batches, state, setup.get(), epoch);
    const auto rates = expect_array<double>(member(update, "rates"), "rates");
    expect_shape(shape_of(rates), {epoch.batches()}, "rates");
    epoch.learning_rates = rates.data();
    epoch.step = read<int64_t>(update, "step");
    epoch.seed = read_seed(member(update, "seed"));
    set_last_pass(py::none());  // the weights change
    return run(epoch, batches, setup.get());
  }

  int64_t test(const py::object& given, const py::object& state) override {
    const Batches batches(given);
    Epoch epoch = read_epoch(batches, Mode::evaluation);
    const auto setup = engine_.setup();
    const Measured measured = read_measured(batches, state, setup.get(), epoch);
    return run(epoch, batches, setup.get());
  }

  int64_t predict(const py::object& given, const py::sequence& given_outputs) override {
    const Batches batches(given);
    const py::tuple outputs(given_outputs);
    Epoch epoch = read_epoch(batches, Mode::inference);
    const std::vector<Tensor> shapes = engine_.output_shapes(epoch.samples.inputs);
    if (outputs.size() != shapes.size())
      throw py::value_error("outputs: expected " + std::to_string(shapes.size()) + " array(s), got " +
                            std::to_string(outputs.size()));
    for (size_t i = 0; i < shapes.size(); ++i) {
      const std::string name = "outputs[" + std::to_string(i) + "]";
      auto array = expect_writable<T>(outputs[i], name);
      Shape expected = shapes[i].shape;
      expected[0] = epoch.order.count;
      expect_shape(shape_of(array), expected, name);
      epoch.outputs.push_back(array.mutable_data());
    }
    return run(epoch, batches, nullptr);
  }

 private:
  struct Held final : HeldPass {
    using HeldPass::HeldPass;
    std::unique_ptr<Pass<T>> pass;  // null once backward has gone through it
  };

  // Of an object that was made or checked here.
  static std::unique_ptr<Pass<T>>& pass_of(const py::object& held) {
    return static_cast<Held&>(held.cast<HeldPass&>()).pass;
  }

  // Views of the inputs; returns the number of samples.
  int64_t read_inputs(const py::tuple& inputs, const py::object& lengths, Samples& samples) const {
    const Program& program = engine_.program();
    if (inputs.size() != program.inputs.size())
      throw py::value_error("inputs: expected " + std::to_string(program.inputs.size()) + " array(s), got " +
                            std::to_string(inputs.size()));
    int64_t count = kUnknown;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Value& value = program.values[static_cast<size_t>(program.inputs[i])];
      const std::string name = "inputs[" + std::to_string(i) + "]";
      samples.inputs.push_back(read_array(inputs[i], name, value.integer));
      Shape expected = value.shape;
      if (!expected.empty()) expected[0] = count;
      expect_shape(samples.inputs.back().shape, expected, name);
      count = samples.inputs.back().shape[0];
    }
    if (!lengths.is_none()) {
      const auto array = expect_array<int32_t>(lengths, "lengths");
      expect_shape(shape_of(array), {count}, "lengths");
      samples.lengths = array.data();
    }
    return count;
  }

  Array read_array(py::handle value, const std::string& name, bool integer) const {
    if (integer) {
      const auto array = expect_array<int32_t>(value, name);
      return {array.data(), shape_of(array), true};
    }
    const auto array = expect_array<T>(value, name);
    return {array.data(), shape_of(array), false};
  }

  Epoch read_epoch(const Batches& batches, Mode mode) const {
    Epoch epoch{};
    epoch.mode = mode;
    epoch.sample_count = read_inputs(batches.inputs, batches.lengths, epoch.samples);
    const auto order = expect_array<int64_t>(batches.order, "order");
    expect_shape(shape_of(order), {kUnknown}, "order");
    epoch.order = {order.data(), order.size()};
    if (batches.batch_size < 1)
      throw py::value_error("batch_size: expected at least 1, got " + std::to_string(batches.batch_size));
    epoch.batch_size = batches.batch_size;
    if (!batches.states.is_none() && epoch.order.count % epoch.batch_size != 0)
      throw py::value_error("states: expected batches of " + std::to_string(epoch.batch_size) +
                            " samples, the last one has " + std::to_string(epoch.order.count % epoch.batch_size));
    epoch.states = read_states(batches.states, batches.resume, epoch.batch_size);
    return epoch;
  }

  States read_states(const py::object& states, bool resume, int64_t samples) const {
    if (states.is_none()) return {};
    auto array = expect_writable<T>(states, "states");
    const int64_t size = element_count({samples, state_size(engine_.program())});
    if (size == kUnknown) throw py::value_error("states: expected a size that fits into memory");
    expect_shape(shape_of(array), {size}, "states");
    return {array.mutable_data(), resume};
  }

  // What the views of targets and weights are of.
  struct Measured {
    py::tuple targets, weights;
  };

  Measured read_measured(const Batches& batches, const py::object& given_state, const Setup<T>* setup,
                         Epoch& epoch) const {
    if (!setup) throw py::value_error("executor: expected a call of configure before training or testing");
    Measured measured{py::tuple(member(batches.samples, "targets")), py::tuple(member(batches.samples, "weights"))};
    const auto& [targets, weights] = measured;
    for (size_t i = 0; i < targets.size(); ++i) {
      const py::handle target = targets[i];
      const bool labels = py::isinstance<py::array_t<int32_t>>(target);
      epoch.samples.targets.push_back(
          target.is_none() ? Array{} : read_array(target, "targets[" + std::to_string(i) + "]", labels));
    }
    const size_t outputs = engine_.program().outputs.size();
    if (weights.size() != 0 && weights.size() != outputs)
      throw py::value_error("sample_weight: expected one entry per output (" + std::to_string(outputs) + "), got " +
                            std::to_string(weights.size()));
    if (weights.size() != 0)
      for (const auto& loss : setup->training.losses) {
        const size_t i = static_cast<size_t>(loss.output);
        epoch.samples.weights.push_back(
            weights[i].is_none() ? Array{} : read_array(weights[i], "sample_weight[" + std::to_string(i) + "]", false));
      }
    auto state = expect_writable<double>(given_state, "state");
    expect_shape(shape_of(state), {state_size(setup->training)}, "state");
    epoch.state = state.mutable_data();
    return measured;
  }

  int64_t run(Epoch& epoch, const Batches& batches, const Setup<T>* setup) {
    PythonPoll poll(batches.on_batch);
    epoch.poll = {PythonPoll::call, &poll, batches.every_batch && !batches.on_batch.is_none()};
    int64_t done = 0;
    run_interruptible(poll, [&](const Interrupt& interrupt) {
      epoch.interrupt = interrupt;
      done = engine_.run(epoch, setup);
    });
    return done;
  }

  static const WeightWatch* watch_of(const py::object& memory) {
    if (memory.is_none()) return nullptr;
    if (Py_TYPE(memory.ptr()) != watched_memory_type) throw py::type_error("memory: expected a WatchedMemory or None");
    return &watched(memory.ptr()).watch;
  }

  py::object memory_;
  const WeightWatch* watch_;
  NumpyArray<T> parameters_, gradients_;
  static constexpr const char* kPass = "last";
  const uint64_t number_ = next_number();
  py::object slots_;
  py::object passes_;  // a threading.local: each thread has its own, which ends with the thread
  Executor<T> engine_;
};

std::unique_ptr<BoundExecutor> make_executor(const py::object& program, const py::object& parameters,
                                             const py::object& gradients, const py::object& memory) {
  if (py::isinstance<py::array_t<float>>(parameters))
    return std::make_unique<TypedExecutor<float>>(program, parameters, gradients, memory, kernels());
  return std::make_unique<TypedExecutor<double>>(program, parameters, gradients, memory, kernels());
}

// Of the graph that engine/stream.h describes, whose parts these executors run.
py::object make_stream(const py::list& executors, const std::vector<int64_t>& graph, bool takes_array,
                       const py::object& input_names, bool gives_array, const py::object& output_names) {
  std::vector<BoundExecutor*> bound;
  for (const py::handle executor : executors) bound.push_back(&executor.cast<BoundExecutor&>());
  return stream_object(std::make_unique<BoundStream>(executors, bound[0]->watch(), bound[0]->stream(bound, graph),
                                                     Grouping{takes_array, input_names},
                                                     Grouping{gives_array, output_names}));
}

}  // namespace

void bind_executor(py::module_& m) {  // NOLINT(misc-const-correctness): one signature for every area
  py::register_local_exception_translator([](std::exception_ptr error) {  // NOLINT(performance-unnecessary-value-param)
    try {
      if (error) std::rethrow_exception(error);
    } catch (const WrongType& wrong) {
      py::set_error(PyExc_TypeError, wrong.what());
    }
  });

  py::detail::npy_api::get();  // gives the GIL away when it is first called, without the care of gil.h
  m.def(
      "slot_count", [](py::handle optimizer) { return slot_count(read_optimizer(optimizer)); }, py::arg("optimizer"),
      py::pos_only(), "The state vectors that a described optimizer keeps.");
  const py::class_<HeldPass> pass(m, "Pass", "A forward pass in training; good for one `backward`.");
  py::class_<HeldTurn>(m, "HeldTurn", "A turn with the weights of an executor.")
      .def("__enter__", &HeldTurn::enter)
      .def("__exit__", [](HeldTurn& turn, const py::args&) { turn.exit(); });
  m.def("stream", &make_stream, py::arg("executors"), py::arg("graph"), py::arg("takes_array"), py::arg("input_names"),
        py::arg("gives_array"), py::arg("output_names"));
  py::class_<BoundExecutor> executor(m, "Executor", "Runs a Program; interchangeable with rnncore.reference.Executor.");
  executor.attr("backend") = "compiled";
  executor
      .def(py::init(&make_executor), py::arg("program"), py::arg("parameters"), py::arg("gradients"),
           py::arg("memory") = py::none())
      .def_property_readonly("arena_bytes", &BoundExecutor::arena_bytes, "Memory for the values of a step, so far.")
      .def_property("last_pass", &BoundExecutor::last_pass, &BoundExecutor::set_last_pass,
                    "What `backward` goes through: this thread's last forward pass in training, or None.")
      .def_property_readonly("isa", &BoundExecutor::isa, "The instruction set level in use.")
      .def("turn", &BoundExecutor::turn, "Around what others must not compute in, or change the weights.")
      .def("forward", &BoundExecutor::forward, py::arg("inputs"), py::arg("lengths") = py::none(), py::kw_only(),
           py::arg("training") = false, py::arg("seed") = 0, py::arg("step") = 0, py::arg("states") = py::none(),
           py::arg("resume") = true, py::arg("masks") = false)
      .def("backward", &BoundExecutor::backward, py::arg("output_gradients"))
      .def("configure", &BoundExecutor::configure, py::arg("training"), py::arg("slots"))
      .def("apply_gradients", &BoundExecutor::apply_gradients, py::arg("learning_rate"), py::arg("step"))
      .def("train", &BoundExecutor::train, py::arg("batches"), py::arg("update"), py::arg("state"))
      .def("test", &BoundExecutor::test, py::arg("batches"), py::arg("state"))
      .def("predict", &BoundExecutor::predict, py::arg("batches"), py::arg("outputs"));
}

}  // namespace rnncore
