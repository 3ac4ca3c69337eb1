// The recurrent functions on NumPy arrays. They take arrays that are right already and return None otherwise; the
// Python layer then checks, converts or raises, and calls again. A small call takes microseconds, so they use CPython's
// and NumPy's C interfaces directly.
#include <algorithm>
#include <iterator>

#include "bindings/description.h"
#include "bindings/direct_function.h"
#include "bindings/module.h"
#include "bindings/packed_sequence.h"
#include "bindings/stream.h"
#include "bindings/tape.h"
#include "engine/elementwise.h"
#include "engine/names.h"

namespace rnncore {
namespace {

// Of a name; false for what is none.
bool find_named(PyObject* activation, Elementwise& found) {
  constexpr size_t count = std::size(kNamedFunctions);
  static PyObject** const names = [] {
    static PyObject* interned[count];
    for (size_t i = 0; i < count; ++i) interned[i] = PyUnicode_InternFromString(kNamedFunctions[i].name);
    return interned;
  }();
  const auto is = [&](auto same) {
    for (size_t i = 0; i < count; ++i)
      if (same(names[i])) {
        found = kNamedFunctions[i].function;
        return true;
      }
    return false;
  };
  if (is([&](PyObject* known) { return activation == known; })) return true;
  return PyUnicode_Check(activation) && is([&](PyObject* known) { return PyUnicode_Compare(activation, known) == 0; });
}

// Of the attributes of a node.
Elementwise described(PyObject* attributes, const char* attribute) {
  const auto found = find_elementwise(read_attributes(cast<py::dict>(attributes, "attributes")), attribute, "linear");
  if (!found) throw py::value_error(std::string("sequence: unknown ") + attribute);
  return *found;
}

// The arguments that all recurrent functions begin with, in order.
enum { kX, kKernel, kRecurrentKernel, kBias, kState, kLengths, kResets, kReverse, kTraining, kArguments };

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
py::object run_typed(Cell cell, const Elementwise& activation, const Elementwise& recurrent_activation,
                     PyObject* const* a) {
  SequenceInputs<T> in{};
  in.cell = cell;
  in.activation = activation;
  in.recurrent_activation = recurrent_activation;
  if (!strided<T>(a[kX], in.x)) return py::none();
  const SequenceWeights<T>* packed = nullptr;
  if (Py_TYPE(a[kKernel]) == packed_type) {
    const PackedSequence& given = packed_of(a[kKernel]);
    packed = given.as<T>();
    if (!packed || given.cell != cell || given.inputs != fields(a[kX]).dimensions[2]) return py::none();
    if (a[kRecurrentKernel] != Py_None || a[kBias] != Py_None || a[kTraining] == Py_True) return py::none();
    in.units = given.units;
    packed->give(in);
  } else if (!has_dtype<T>(a[kRecurrentKernel]) || fields(a[kRecurrentKernel]).nd != 2) {
    return py::none();
  } else {
    in.units = fields(a[kRecurrentKernel]).dimensions[0];
  }
  const auto* shape = fields(a[kX]).dimensions;
  in.rows = shape[0];
  in.steps = shape[1];
  in.inputs = shape[2];
  in.reverse = a[kReverse] == Py_True;
  const bool training = a[kTraining] == Py_True;
  const int64_t G = gates_of(cell), N = in.rows, H = in.units;
  if (in.steps == 0 || in.inputs == 0 || H == 0) return py::none();
  const int64_t biases = facts_of(cell).bias_rows;
  if (!packed && (!plain<T>(a[kRecurrentKernel], {H, G * H}, in.recurrent_kernel) || !in.recurrent_kernel ||
                  !plain<T>(a[kKernel], {in.inputs, G * H}, in.kernel) || !in.kernel ||
                  !(biases == 1 ? plain<T>(a[kBias], {G * H}, in.bias) : plain<T>(a[kBias], {biases, G * H}, in.bias))))
    return py::none();
  if (!state_arrays<T>(a[kState], cell, N, H, in.initial_state)) return py::none();
  if (!plain<int32_t>(a[kLengths], {N}, in.lengths)) return py::none();
  if (!plain<bool>(a[kResets], {N, in.steps}, in.resets)) return py::none();
  // Of x without strides there may be more than any memory.
  if (element_count({N, in.steps, std::max(in.inputs, G * H)}) == kUnknown) throw std::bad_alloc();
  if (in.lengths)
    for (int64_t n = 0; n < N; ++n)
      if (in.lengths[n] < 0 || in.lengths[n] > in.steps) return py::none();

  if (!training) {
    SequenceCall<T> call(in, false, packed ? packed->kernels() : kernels());
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

py::object run(Cell cell, const Elementwise& f, const Elementwise& g, PyObject* const* arguments) {
  for (int flag : {kReverse, kTraining})
    if (!PyBool_Check(arguments[flag])) return py::none();
  if (has_dtype<float>(arguments[kX])) return run_typed<float>(cell, f, g, arguments);
  if (has_dtype<double>(arguments[kX])) return run_typed<double>(cell, f, g, arguments);
  return py::none();
}

// What users give: anything but names of activations is left to the Python layer.
py::object run_named(Cell cell, PyObject* activation, PyObject* recurrent_activation, PyObject* const* arguments) {
  Elementwise f, g;
  if (!find_named(activation, f) || !find_named(recurrent_activation, g)) return py::none();
  return run(cell, f, g, arguments);
}

// sequence(cell, activation, recurrent_activation, x, kernel, ..., training)
PyObject* sequence(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    constexpr int before = 3;
    if (count != before + kArguments) throw py::type_error("sequence: expected 12 arguments");
    const auto cell = find_cell(py::cast<std::string_view>(arguments[0]));
    if (!cell) throw py::value_error("sequence: unknown cell");
    const Elementwise f = described(arguments[1], "activation");
    return run(*cell, f, described(arguments[2], "recurrent_activation"), arguments + before);
  });
}

// pack(cell, kernel, recurrent_kernel, bias)
PyObject* pack(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    if (count != 4) throw py::type_error("pack: expected 4 arguments");
    const auto cell = find_cell(py::cast<std::string_view>(arguments[0]));
    if (!cell) throw py::value_error("pack: unknown cell");
    if (has_dtype<float>(arguments[1])) return pack_typed<float>(*cell, arguments[1], arguments[2], arguments[3]);
    return pack_typed<double>(*cell, arguments[1], arguments[2], arguments[3]);
  });
}

PyObject* direct_simple_rnn(PyObject* const* a) {
  static PyObject* const unused = PyUnicode_InternFromString("linear");
  return guarded([&] { return run_named(Cell::simple_rnn, a[kArguments], unused, a); });
}

PyObject* direct_lstm(PyObject* const* a) {
  return guarded([&] { return run_named(Cell::lstm, a[kArguments], a[kArguments + 1], a); });
}

PyObject* direct_gru(PyObject* const* a) {
  return guarded([&]() -> py::object {
    PyObject* const reset_after = a[kArguments];
    if (!PyBool_Check(reset_after)) return py::none();
    const Cell cell = reset_after == Py_True ? Cell::gru : Cell::gru_reset_before;
    return run_named(cell, a[kArguments + 1], a[kArguments + 2], a);
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
                                     {"backward", 3, direct_backward},
                                     {"step", 3, direct_step},
                                     {"run", 2, direct_run}};

PyMethodDef methods[] = {
    {"sequence", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(sequence)), METH_FASTCALL,
     "sequence(cell, activation, recurrent_activation, x, kernel, recurrent_kernel, bias, state, lengths, resets, "
     "reverse, training, /)\n--\n\nA SequenceResult, or None when an argument needs checking or converting."},
    {"pack", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(pack)), METH_FASTCALL,
     "pack(cell, kernel, recurrent_kernel, bias, /)\n--\n\nThe PackedWeights of arrays that are right already."},
    {nullptr, nullptr, 0, nullptr}};

// Makes a type of the module; the caller keeps it for the life of the process.
PyTypeObject* make_type(py::module_& m, const char* name, PyType_Spec& spec) {
  py::object type = checked(PyType_FromSpec(&spec));
  m.attr(name) = type;
  return reinterpret_cast<PyTypeObject*>(type.release().ptr());
}

}  // namespace

void bind_functional(py::module_& m) {
  make_memory_type();
  tape_type = make_type(m, "Tape", tape_spec);
  packed_type = make_type(m, "PackedWeights", packed_spec);
  stream_type = make_type(m, "Stream", stream_spec);
  watched_memory_type = make_type(m, "WatchedMemory", watched_memory_spec);
  if (PyModule_AddFunctions(m.ptr(), methods) < 0) throw py::error_already_set();
  bind_direct_functions(m, direct_ways, std::size(direct_ways));
  const py::module_ types = py::module_::import("rnncore._sequence_arguments");
  result_type = types.attr("SequenceResult").cast<py::object>().release().ptr();
  gradients_type = types.attr("SequenceGradients").cast<py::object>().release().ptr();
}

}  // namespace rnncore
