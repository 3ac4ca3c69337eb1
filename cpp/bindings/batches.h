// What a call that runs batches is given by Python, and how it asks Python between them.
#pragma once

#include "bindings/description.h"
#include "bindings/gil.h"
#include "bindings/signals.h"

namespace rnncore {

namespace py = pybind11;

// Batches of samples, read once: others may change their lists meanwhile, while tuples hold their arrays.
struct Batches {
  explicit Batches(py::handle batches) : samples(member(batches, "samples")) {
    order = member(batches, "order");
    batch_size = read<int64_t>(batches, "batch_size");
    states = member(batches, "states");
    resume = read<bool>(batches, "resume");
    on_batch = member(batches, "on_batch");
    every_batch = read<bool>(batches, "every_batch");
    inputs = py::tuple(member(samples, "inputs"));
    lengths = member(samples, "lengths");
  }

  py::object samples;
  py::object order, states, on_batch, lengths;
  py::tuple inputs;
  int64_t batch_size;
  bool resume, every_batch;
};

// Any integer, modulo 2^64.
inline uint64_t read_seed(const py::object& seed) {
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(seed.ptr()));
  if (!number) throw py::error_already_set();
  return PyLong_AsUnsignedLongLongMask(number.ptr());
}

// Asks Python between batches, from the thread that made the call, whether to stop.
class PythonPoll : public SignalPoll {
 public:
  explicit PythonPoll(py::object on_batch) : on_batch_(std::move(on_batch)) {}

  static bool call(void* self, int64_t batches) { return static_cast<PythonPoll*>(self)->ask(batches); }

 private:
  bool ask(int64_t batches) {
    return keep_error([&] {
      run_signal_handlers();
      if (on_batch_.is_none()) return false;
      const py::int_ number(batches);
      PyObject* answer = nullptr;
      wait_for_python([&] { answer = PyObject_CallOneArg(on_batch_.ptr(), number.ptr()); });
      if (!answer) throw py::error_already_set();
      const int truth = PyObject_IsTrue(py::reinterpret_steal<py::object>(answer).ptr());
      if (truth < 0) throw py::error_already_set();
      return truth != 0;
    });
  }

  py::object on_batch_;
};

}  // namespace rnncore
