// The tapes of recurrent calls, and how such calls answer Python.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "bindings/gil.h"
#include "bindings/numpy_arrays.h"
#include "bindings/signals.h"

namespace rnncore {

// The GIL is handed over, and signals are answered, only when the call is long enough for others to gain from it.
template <class Compute>
void run_call(double flops, Compute compute) {
  if (flops <= 1e6) return compute(Interrupt{});
  SignalPoll signals;
  run_interruptible(signals, compute);
}

// The Python layer's result types (named tuples).
inline PyObject* result_type = nullptr;
inline PyObject* gradients_type = nullptr;

// As tuple.__new__ makes them, without the tuples of arguments.
template <class... Objects>
py::object named_tuple(PyObject* type, Objects... values) {
  auto* tuple_type = reinterpret_cast<PyTypeObject*>(type);
  py::object tuple = checked(tuple_type->tp_alloc(tuple_type, sizeof...(values)));
  Py_ssize_t i = 0;
  (..., PyTuple_SET_ITEM(tuple.ptr(), i++, values.release().ptr()));
  return tuple;
}

// Turns C++ exceptions into Python ones, as pybind11 does for the functions it wraps.
template <class Body>
PyObject* guarded(Body body) {
  try {
    return body().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

// What backward needs. It owns all of it but the output, which is the caller's and read-only for that, and what else
// the caller said to leave as it is.
class Tape {
 public:
  virtual ~Tape() = default;
  virtual py::object backward(PyObject* doutput, PyObject* dstate) = 0;
  // Of all directions of a layer, whose tapes these are, as `backward_typed` below.
  virtual py::object backward_layer(PyObject* const* arguments) = 0;
  virtual py::tuple shape() const = 0;  // of the output (N, T, H)
  virtual py::object dtype() const = 0;
  virtual int states() const = 0;
};

// The arrays of a state: None, or a tuple of one array for each state of the cell.
template <class T>
bool state_arrays(PyObject* state, Cell cell, int64_t rows, int64_t units, const T* (&data)[2]) {
  data[0] = data[1] = nullptr;
  if (state == Py_None) return true;
  if (!PyTuple_Check(state) || PyTuple_GET_SIZE(state) != states_of(cell)) return false;
  for (int k = 0; k < states_of(cell); ++k)
    if (!plain<T>(PyTuple_GET_ITEM(state, k), {rows, units}, data[k])) return false;
  return true;
}

// In bind_layer.cpp.
template <class T>
py::object backward_typed(PyObject* const* arguments);

template <class T>
class TypedTape final : public Tape {
 public:
  explicit TypedTape(const SequenceInputs<T>& inputs) : in_(inputs), call_(std::in_place, inputs, true, kernels()) {}

  SequenceCall<T>& call() { return *call_; }
  const SequenceInputs<T>& inputs() const { return in_; }
  void keep(py::object read) { read_ = std::move(read); }
  // Throws after the only time.
  void expect_unused() const {
    if (used_) throw py::value_error("tape: backward has already used it; run the forward pass again");
  }
  void use() {
    expect_unused();
    used_ = true;
  }
  void release() {
    call_.reset();
    read_ = py::object();
  }
  py::object backward_layer(PyObject* const* arguments) override { return backward_typed<T>(arguments); }

  py::tuple shape() const override { return py::make_tuple(in_.rows, in_.steps, in_.units); }
  py::object dtype() const override { return py::reinterpret_borrow<py::object>(dtype_of<T>()); }
  int states() const override { return states_of(in_.cell); }

  py::object backward(PyObject* doutput, PyObject* state) override {
    if (in_.torch) throw py::type_error("tape: expected one of a function, got one of a layer");
    expect_unused();
    const int64_t N = in_.rows, S = in_.steps, H = in_.units, I = in_.inputs, G = gates_of(in_.cell);
    BatchView<const T> dy{};
    const T* dstate[2];
    if (doutput != Py_None) {
      if (!strided<T>(doutput, dy)) return py::none();
      const auto& a = fields(doutput);
      if (a.dimensions[0] != N || a.dimensions[1] != S || a.dimensions[2] != H) return py::none();
    }
    if (!state_arrays<T>(state, in_.cell, N, H, dstate)) return py::none();

    using Arrays = NewArrays<T>;
    const std::initializer_list<Py_intptr_t> of_x{N, S, I}, of_kernel{I, G * H}, of_recurrent{H, G * H}, of_state{N, H};
    const Py_intptr_t biases = facts_of(in_.cell).bias_rows;
    Arrays arrays(Arrays::room(of_x) + Arrays::room(of_kernel) + Arrays::room(of_recurrent) +
                  Arrays::room({biases * G * H}) + states() * Arrays::room(of_state));
    // dx lies in memory as x does when that is dense, so that neither is strided for nothing.
    const bool time_major = N > 1 && in_.x.row == I && in_.x.step == N * I && !in_.lengths;
    BatchView<T> dx = time_major ? BatchView<T>{nullptr, I, N * I} : BatchView<T>{nullptr, S * I, I};
    constexpr Py_intptr_t size = sizeof(T);
    const Py_intptr_t strides[] = {dx.row * size, dx.step * size, size};
    py::object dx_array = arrays.take(of_x, dx.data, strides);
    T *dkernel, *drecurrent, *dbias = nullptr, *dinitial[2] = {nullptr, nullptr};
    py::object kernel = arrays.take(of_kernel, dkernel);
    py::object recurrent_kernel = arrays.take(of_recurrent, drecurrent);
    py::object bias = py::none();
    if (in_.bias) bias = biases == 1 ? arrays.take({G * H}, dbias) : arrays.take({biases, G * H}, dbias);
    py::object dh = arrays.take(of_state, dinitial[0]);
    py::object dc = states() == 2 ? arrays.take(of_state, dinitial[1]) : py::none();
    use();  // before other threads may run
    run_call(call_->flops(), [&](const Interrupt& interrupt) {
      call_->backward(dy, dstate, dx, dkernel, drecurrent, dbias, dinitial, interrupt);
    });
    release();
    py::tuple initial(states());
    initial[0] = dh;
    if (states() == 2) initial[1] = dc;
    return named_tuple(gradients_type, std::move(dx_array), std::move(kernel), std::move(recurrent_kernel),
                       std::move(bias), std::move(initial));
  }

 private:
  SequenceInputs<T> in_;
  std::optional<SequenceCall<T>> call_;
  bool used_ = false;
  py::object read_;
};

// The Python object of a tape, which lies in it. A type of its own, since pybind11's take a good part of a small call's
// time.
struct TapeObject {
  PyObject ob_base;
  Tape* tape;  // in the memory, or null
  alignas(TypedTape<double>) std::byte memory[sizeof(TypedTape<double>)];
};
static_assert(sizeof(TypedTape<float>) <= sizeof(TypedTape<double>));
static_assert(alignof(TypedTape<double>) <= 16);  // what Python's memory is aligned to

inline PyTypeObject* tape_type = nullptr;

inline Tape& tape_of(PyObject* self) { return *reinterpret_cast<TapeObject*>(self)->tape; }

template <class T>
TypedTape<T>& make_tape(py::object& object, const SequenceInputs<T>& inputs) {
  object = checked(reinterpret_cast<PyObject*>(PyObject_New(TapeObject, tape_type)));
  auto* made = reinterpret_cast<TapeObject*>(object.ptr());
  made->tape = nullptr;
  auto* tape = new (made->memory) TypedTape<T>(inputs);
  made->tape = tape;
  return *tape;
}

inline void delete_tape(PyObject* self) {
  if (auto* tape = reinterpret_cast<TapeObject*>(self)->tape) tape->~Tape();
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

inline PyObject* tape_backward(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    if (count != 2) throw py::type_error("backward: expected 2 arguments");
    return tape_of(self).backward(arguments[0], arguments[1]);
  });
}

inline PyMethodDef tape_methods[] = {
    {"backward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(tape_backward)), METH_FASTCALL,
     "backward($self, doutput, dstate, /)\n--\n\nThe SequenceGradients, or None when an argument needs checking or "
     "converting."},
    {nullptr, nullptr, 0, nullptr}};

inline PyGetSetDef tape_properties[] = {
    {"shape", [](PyObject* self, void*) { return guarded([&]() -> py::object { return tape_of(self).shape(); }); },
     nullptr, "Shape of the output (N, T, H).", nullptr},
    {"dtype", [](PyObject* self, void*) { return guarded([&] { return tape_of(self).dtype(); }); }, nullptr,
     "dtype of the call's arrays.", nullptr},
    {"states",
     [](PyObject* self, void*) { return guarded([&]() -> py::object { return py::int_(tape_of(self).states()); }); },
     nullptr, "Number of the cell's states.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

inline PyType_Slot tape_slots[] = {
    {Py_tp_doc, const_cast<char*>("What a training call saved for its backward pass; good for one `backward`.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_tape)},
    {Py_tp_methods, tape_methods},
    {Py_tp_getset, tape_properties},
    {0, nullptr}};

inline PyType_Spec tape_spec{"rnncore._core.Tape", sizeof(TapeObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, tape_slots};

}  // namespace rnncore
