// The recurrent functions on NumPy arrays. They take arrays that are right already and return None otherwise; the
// Python layer then checks, converts or raises, and calls again. A small call takes microseconds, so they use CPython's
// and NumPy's C interfaces directly.
#include <pybind11/numpy.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

#include "bindings/direct_function.h"
#include "bindings/gil.h"
#include "bindings/module.h"
#include "bindings/signals.h"
#include "engine/names.h"
#include "engine/program.h"
#include "engine/sequence_call.h"

namespace py = pybind11;

namespace rnncore {
namespace {

const py::detail::npy_api& numpy() { return py::detail::npy_api::get(); }

// A reference to NumPy's dtype of T, held for the life of the process.
template <class T>
PyObject* dtype_of() {
  static PyObject* const descr = py::dtype::of<T>().release().ptr();
  return descr;
}

const py::detail::PyArray_Proxy& fields(PyObject* array) { return *py::detail::array_proxy(array); }

template <class T>
bool has_dtype(PyObject* object) {
  if (!numpy().PyArray_Check_(object)) return false;
  PyObject* descr = fields(object).descr;
  return descr == dtype_of<T>() || numpy().PyArray_EquivTypes_(descr, dtype_of<T>());
}

template <class T>
bool aligned(PyObject* array) {
  return reinterpret_cast<uintptr_t>(fields(array).data) % alignof(T) == 0;
}

// Fills `data` when the object is a C-contiguous array of T of this shape; null when it is None.
template <class T>
bool plain(PyObject* object, std::initializer_list<int64_t> shape, const T*& data) {
  data = nullptr;
  if (object == Py_None) return true;
  if (!has_dtype<T>(object) || !aligned<T>(object)) return false;
  const auto& a = fields(object);
  if (a.nd != static_cast<int>(shape.size()) || !(a.flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_)) return false;
  int i = 0;
  for (int64_t n : shape)
    if (a.dimensions[i++] != n) return false;
  data = reinterpret_cast<const T*>(a.data);
  return true;
}

// A (N, T, C) array whose last axis is contiguous; the other strides are free, and that of an axis of one element says
// nothing.
template <class T>
bool strided(PyObject* object, BatchView<const T>& view) {
  if (!has_dtype<T>(object) || !aligned<T>(object)) return false;
  const auto& a = fields(object);
  constexpr py::ssize_t size = sizeof(T);
  if (a.nd != 3) return false;
  const bool empty = a.dimensions[0] == 0 || a.dimensions[1] == 0 || a.dimensions[2] == 0;
  if (a.strides[2] != size && a.dimensions[2] > 1 && !empty) return false;
  const py::ssize_t step = a.dimensions[1] > 1 ? a.strides[1] : a.dimensions[2] * size;
  const py::ssize_t row = a.dimensions[0] > 1 ? a.strides[0] : a.dimensions[1] * step;
  if (step % size || row % size) return false;
  view = {reinterpret_cast<const T*>(a.data), row / size, step / size};
  return true;
}

py::object checked(PyObject* result) {
  if (!result) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

PyObject* array_from(PyObject* descr, int axes, const Py_intptr_t* shape, const Py_intptr_t* strides, void* data) {
  Py_INCREF(descr);
  // Without data, flags would ask for Fortran order.
  const int flags = data ? py::detail::npy_api::NPY_ARRAY_WRITEABLE_ : 0;
  return numpy().PyArray_NewFromDescr_(numpy().PyArray_Type_, descr, axes, shape, strides, data, flags, nullptr);
}

// The Python object that owns pooled memory. A type of its own, as that of tapes: a small call makes and frees it in a
// good part of its time.
struct MemoryObject {
  PyObject ob_base;
  Buffer buffer;
};

PyTypeObject* memory_type = nullptr;

py::object memory_object(Buffer buffer) {
  py::object object = checked(reinterpret_cast<PyObject*>(PyObject_New(MemoryObject, memory_type)));
  new (&reinterpret_cast<MemoryObject*>(object.ptr())->buffer) Buffer(std::move(buffer));
  return object;
}

void delete_memory(PyObject* self) {
  reinterpret_cast<MemoryObject*>(self)->buffer.~Buffer();
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyType_Slot memory_slots[] = {{Py_tp_doc, const_cast<char*>("Memory of arrays.")},
                              {Py_tp_dealloc, reinterpret_cast<void*>(delete_memory)},
                              {0, nullptr}};

PyType_Spec memory_spec{"rnncore._core.Memory", sizeof(MemoryObject), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, memory_slots};

int64_t count_of(std::initializer_list<Py_intptr_t> shape) {
  int64_t count = 1;
  for (Py_intptr_t n : shape) count *= n;
  return count;
}

// A new C-contiguous array and its memory, which is NumPy's.
template <class T>
py::object new_array(std::initializer_list<Py_intptr_t> shape, T*& data) {
  py::object array =
      checked(array_from(dtype_of<T>(), static_cast<int>(shape.size()), shape.begin(), nullptr, nullptr));
  data = reinterpret_cast<T*>(fields(array.ptr()).data);
  return array;
}

// An array over part of some memory, which lives as long. C-contiguous where there are no strides.
template <class T>
py::object array_over(const py::object& memory, std::initializer_list<Py_intptr_t> shape, const Py_intptr_t* strides,
                      T* first) {
  if (!first) return new_array<T>(shape, first);  // no elements
  py::object array = checked(array_from(dtype_of<T>(), static_cast<int>(shape.size()), shape.begin(), strides, first));
  if (numpy().PyArray_SetBaseObject_(array.ptr(), py::object(memory).release().ptr()) < 0)
    throw py::error_already_set();
  return array;
}

// New arrays of one call. Small ones share one memory; of large ones, each of which may be kept for long, each has its
// own.
template <class T>
class NewArrays {
 public:
  explicit NewArrays(int64_t most) {
    if (most <= kSharedNumbers) {
      Buffer buffer(static_cast<size_t>(most) * sizeof(T));
      next_ = buffer.as<T>();
      shared_ = memory_object(std::move(buffer));
    }
  }

  // What a C-contiguous array takes of `most`.
  static int64_t room(std::initializer_list<Py_intptr_t> shape) {
    return (count_of(shape) + kLine - 1) / kLine * kLine;
  }

  // `data` is where the array's memory begins; its first element lies `first` numbers behind.
  py::object take(std::initializer_list<Py_intptr_t> shape, T*& data, const Py_intptr_t* strides = nullptr,
                  Py_intptr_t first = 0) {
    if (!shared_) {
      Buffer buffer(static_cast<size_t>(count_of(shape)) * sizeof(T));
      data = buffer.as<T>();
      return array_over<T>(memory_object(std::move(buffer)), shape, strides, data + first);
    }
    data = count_of(shape) > 0 ? next_ : nullptr;
    next_ += room(shape);
    return array_over<T>(shared_, shape, strides, data + first);
  }

 private:
  static constexpr int64_t kSharedNumbers = (1 << 14), kLine = 64 / static_cast<int64_t>(sizeof(T));
  py::object shared_;
  T* next_ = nullptr;
};

// The GIL is handed over, and signals are answered, only when the call is long enough for others to gain from it.
template <class Compute>
void run_call(double flops, Compute compute) {
  if (flops <= 1e6) return compute(Interrupt{});
  SignalPoll signals;
  run_interruptible(signals, compute);
}

// Instances of the Python layer's result types (named tuples).
PyObject* result_type = nullptr;
PyObject* gradients_type = nullptr;

// As tuple.__new__ makes them, without the tuples of arguments.
template <class... Objects>
py::object named_tuple(PyObject* type, Objects... values) {
  auto* tuple_type = reinterpret_cast<PyTypeObject*>(type);
  py::object tuple = checked(tuple_type->tp_alloc(tuple_type, sizeof...(values)));
  Py_ssize_t i = 0;
  (..., PyTuple_SET_ITEM(tuple.ptr(), i++, values.release().ptr()));
  return tuple;
}

// False for what is not a known name.
bool find_activation(PyObject* name, Function& found) {
  static PyObject** const names = [] {
    static PyObject* interned[kCellFunctions];
    for (size_t i = 0; i < kCellFunctions; ++i) interned[i] = PyUnicode_InternFromString(kFunctionNames[i]);
    return interned;
  }();
  const auto is = [&](auto same) {
    for (size_t i = 0; i < kCellFunctions; ++i)
      if (same(names[i])) {
        found = static_cast<Function>(i);
        return true;
      }
    return false;
  };
  return is([&](PyObject* known) { return name == known; }) ||
         (PyUnicode_Check(name) && is([&](PyObject* known) { return PyUnicode_Compare(name, known) == 0; }));
}

// What backward needs. It owns all of it but the output, which is the caller's and read-only for that.
class Tape {
 public:
  virtual ~Tape() = default;
  virtual py::object backward(PyObject* doutput, PyObject* dstate) = 0;
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

template <class T>
class TypedTape final : public Tape {
 public:
  explicit TypedTape(const SequenceInputs<T>& inputs) : in_(inputs), call_(std::in_place, inputs, true, kernels()) {}

  SequenceCall<T>& call() { return *call_; }
  void keep(py::object output) { output_ = std::move(output); }

  py::tuple shape() const override { return py::make_tuple(in_.rows, in_.steps, in_.units); }
  py::object dtype() const override { return py::reinterpret_borrow<py::object>(dtype_of<T>()); }
  int states() const override { return states_of(in_.cell); }

  py::object backward(PyObject* doutput, PyObject* state) override {
    if (used_) throw py::value_error("tape: backward has already used it; run the forward pass again");
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
    used_ = true;  // before other threads may run
    run_call(call_->flops(), [&](const Interrupt& interrupt) {
      call_->backward(dy, dstate, dx, dkernel, drecurrent, dbias, dinitial, interrupt);
    });
    call_.reset();
    output_ = py::object();
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
  py::object output_;
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

PyTypeObject* tape_type = nullptr;

Tape& tape_of(PyObject* self) { return *reinterpret_cast<TapeObject*>(self)->tape; }

template <class T>
TypedTape<T>& make_tape(py::object& object, const SequenceInputs<T>& inputs) {
  object = checked(reinterpret_cast<PyObject*>(PyObject_New(TapeObject, tape_type)));
  auto* made = reinterpret_cast<TapeObject*>(object.ptr());
  made->tape = nullptr;
  auto* tape = new (made->memory) TypedTape<T>(inputs);
  made->tape = tape;
  return *tape;
}

void delete_tape(PyObject* self) {
  if (auto* tape = reinterpret_cast<TapeObject*>(self)->tape) tape->~Tape();
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

// The arguments that all recurrent functions begin with, in order.
enum { kX, kKernel, kRecurrentKernel, kBias, kState, kLengths, kReverse, kTraining, kArguments };

// Runs a call forward; its output and its last states.
template <class T>
std::pair<py::object, py::tuple> forward_results(SequenceCall<T>& call, const SequenceInputs<T>& in) {
  using Arrays = NewArrays<T>;
  const std::initializer_list<Py_intptr_t> of_output{in.rows, in.steps, in.units}, of_state{in.rows, in.units};
  Arrays arrays(Arrays::room(of_output) + states_of(in.cell) * Arrays::room(of_state));
  constexpr Py_intptr_t size = sizeof(T);
  const OutputLayout layout = call.output_layout();
  const Py_intptr_t strides[] = {layout.row * size, layout.step * size, size};
  T *output, *state[2] = {nullptr, nullptr};
  py::object output_array = arrays.take(of_output, output, strides, layout.first);
  py::tuple states(states_of(in.cell));
  for (int k = 0; k < states_of(in.cell); ++k)
    PyTuple_SET_ITEM(states.ptr(), k, arrays.take(of_state, state[k]).release().ptr());
  run_call(call.flops(), [&](const Interrupt& interrupt) { call.forward(output, state, interrupt); });
  return {std::move(output_array), std::move(states)};
}

template <class T>
py::object run(Cell cell, Function activation, Function recurrent_activation, PyObject* const* a) {
  SequenceInputs<T> in{};
  in.cell = cell;
  in.activation = activation;
  in.recurrent_activation = recurrent_activation;
  if (!strided<T>(a[kX], in.x) || !has_dtype<T>(a[kRecurrentKernel]) || fields(a[kRecurrentKernel]).nd != 2)
    return py::none();
  const auto* shape = fields(a[kX]).dimensions;
  in.rows = shape[0];
  in.steps = shape[1];
  in.inputs = shape[2];
  in.units = fields(a[kRecurrentKernel]).dimensions[0];
  in.reverse = a[kReverse] == Py_True;
  const bool training = a[kTraining] == Py_True;
  const int64_t G = gates_of(cell), N = in.rows, H = in.units;
  if (in.steps == 0 || in.inputs == 0 || H == 0) return py::none();
  if (!plain<T>(a[kRecurrentKernel], {H, G * H}, in.recurrent_kernel) || !in.recurrent_kernel) return py::none();
  if (!plain<T>(a[kKernel], {in.inputs, G * H}, in.kernel) || !in.kernel) return py::none();
  const int64_t biases = facts_of(cell).bias_rows;
  if (!(biases == 1 ? plain<T>(a[kBias], {G * H}, in.bias) : plain<T>(a[kBias], {biases, G * H}, in.bias)))
    return py::none();
  if (!state_arrays<T>(a[kState], cell, N, H, in.initial_state)) return py::none();
  if (!plain<int32_t>(a[kLengths], {N}, in.lengths)) return py::none();
  // Of x without strides there may be more than any memory.
  if (element_count({N, in.steps, std::max(in.inputs, G * H)}) == kUnknown) throw std::bad_alloc();
  if (in.lengths)
    for (int64_t n = 0; n < N; ++n)
      if (in.lengths[n] < 0 || in.lengths[n] > in.steps) return py::none();

  if (!training) {
    SequenceCall<T> call(in, false, kernels());
    auto [output, states] = forward_results(call, in);
    return named_tuple(result_type, std::move(output), std::move(states), py::none());
  }
  py::object object;
  TypedTape<T>& tape = make_tape(object, in);
  auto [output, states] = forward_results(tape.call(), in);
  py::detail::array_proxy(output.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  tape.keep(output);
  return named_tuple(result_type, std::move(output), std::move(states), std::move(object));
}

py::object run(Cell cell, PyObject* activation, PyObject* recurrent_activation, PyObject* const* arguments) {
  Function f{}, g{};
  if (!find_activation(activation, f) || !find_activation(recurrent_activation, g)) return py::none();
  for (int flag : {kReverse, kTraining})
    if (!PyBool_Check(arguments[flag])) return py::none();
  if (has_dtype<float>(arguments[kX])) return run<float>(cell, f, g, arguments);
  if (has_dtype<double>(arguments[kX])) return run<double>(cell, f, g, arguments);
  return py::none();
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
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

// sequence(cell, activation, recurrent_activation, x, kernel, ..., training)
PyObject* sequence(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    constexpr int before = 3;
    if (count != before + kArguments) throw py::type_error("sequence: expected 11 arguments");
    const auto cell = find_cell(py::cast<std::string_view>(arguments[0]));
    if (!cell) throw py::value_error("sequence: unknown cell");
    return run(*cell, arguments[1], arguments[2], arguments + before);
  });
}

PyObject* tape_backward(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    if (count != 2) throw py::type_error("backward: expected 2 arguments");
    return tape_of(self).backward(arguments[0], arguments[1]);
  });
}

PyObject* direct_simple_rnn(PyObject* const* a) {
  static PyObject* const unused = PyUnicode_InternFromString("linear");
  return guarded([&] { return run(Cell::simple_rnn, a[kArguments], unused, a); });
}

PyObject* direct_lstm(PyObject* const* a) {
  return guarded([&] { return run(Cell::lstm, a[kArguments], a[kArguments + 1], a); });
}

PyObject* direct_gru(PyObject* const* a) {
  return guarded([&]() -> py::object {
    PyObject* const reset_after = a[kArguments];
    if (!PyBool_Check(reset_after)) return py::none();
    const Cell cell = reset_after == Py_True ? Cell::gru : Cell::gru_reset_before;
    return run(cell, a[kArguments + 1], a[kArguments + 2], a);
  });
}

PyObject* direct_backward(PyObject* const* a) {
  return guarded([&]() -> py::object {
    if (Py_TYPE(a[0]) != tape_type) return py::none();
    return tape_of(a[0]).backward(a[1], a[2]);
  });
}

constexpr DirectWay direct_ways[] = {{"simple_rnn", kArguments + 1, direct_simple_rnn},
                                     {"lstm", kArguments + 2, direct_lstm},
                                     {"gru", kArguments + 3, direct_gru},
                                     {"backward", 3, direct_backward}};

PyMethodDef tape_methods[] = {
    {"backward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(tape_backward)), METH_FASTCALL,
     "backward($self, doutput, dstate, /)\n--\n\nThe SequenceGradients, or None when an argument needs checking or "
     "converting."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef tape_properties[] = {
    {"shape", [](PyObject* self, void*) { return guarded([&]() -> py::object { return tape_of(self).shape(); }); },
     nullptr, "Shape of the output (N, T, H).", nullptr},
    {"dtype", [](PyObject* self, void*) { return guarded([&] { return tape_of(self).dtype(); }); }, nullptr,
     "dtype of the call's arrays.", nullptr},
    {"states",
     [](PyObject* self, void*) { return guarded([&]() -> py::object { return py::int_(tape_of(self).states()); }); },
     nullptr, "Number of the cell's states.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot tape_slots[] = {
    {Py_tp_doc, const_cast<char*>("What a training call saved for its backward pass; good for one `backward`.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_tape)},
    {Py_tp_methods, tape_methods},
    {Py_tp_getset, tape_properties},
    {0, nullptr}};

PyType_Spec tape_spec{"rnncore._core.Tape", sizeof(TapeObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, tape_slots};

PyMethodDef methods[] = {
    {"sequence", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(sequence)), METH_FASTCALL,
     "sequence(cell, activation, recurrent_activation, x, kernel, recurrent_kernel, bias, state, lengths, reverse, "
     "training, /)\n--\n\nA SequenceResult, or None when an argument needs checking or converting."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void bind_functional(py::module_& m) {
  memory_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&memory_spec)).release().ptr());
  py::object type = checked(PyType_FromSpec(&tape_spec));
  tape_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  m.attr("Tape") = type.release();
  if (PyModule_AddFunctions(m.ptr(), methods) < 0) throw py::error_already_set();
  bind_direct_functions(m, direct_ways, std::size(direct_ways));
  const py::module_ types = py::module_::import("rnncore._sequence_arguments");
  result_type = types.attr("SequenceResult").cast<py::object>().release().ptr();
  gradients_type = types.attr("SequenceGradients").cast<py::object>().release().ptr();
}

}  // namespace rnncore
