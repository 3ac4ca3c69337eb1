// A layer of PyTorch's modules, in one or both directions, on arrays in its layouts: one call each way.
#include <algorithm>
#include <cstring>

#include "bindings/module.h"
#include "bindings/packed_sequence.h"
#include "bindings/tape.h"
#include "engine/names.h"

namespace rnncore {
namespace {

// The arguments of `layer` behind cell and activation, and those of `layer_backward`.
enum { kLayerX, kBatchSizes, kLayerWeights, kLayerState, kLayerLengths, kLayerResets, kLayerTraining, kLayerArguments };
enum { kTapes, kOutputGradient, kStateGradients, kWantsX, kWantsState, kLayerBackwardArguments };

// A sequence (T, N, C), or its packed rows (Σ, C) where there are batch sizes.
template <class T>
bool time_major(PyObject* array, bool packed, BatchView<const T>& view) {
  if (!packed) {
    if (!strided<T>(array, view)) return false;
    std::swap(view.row, view.step);
    return true;
  }
  if (!has_dtype<T>(array) || !aligned<T>(array) || fields(array).nd != 2) return false;
  constexpr py::ssize_t size = sizeof(T);
  const auto& a = fields(array);
  const py::ssize_t row = a.dimensions[0] > 1 ? a.strides[0] : a.dimensions[1] * size;
  if ((a.dimensions[1] > 1 && a.strides[1] != size) || row % size) return false;
  view = {reinterpret_cast<const T*>(a.data), row / size, 0};
  return true;
}

// The arrays (D, N, H) of a tuple of one for each state of the cell, any of which may be None; or of an empty one.
template <class T>
bool layer_states(PyObject* states, Cell cell, int64_t directions, int64_t rows, int64_t units, const T* (&data)[2]) {
  data[0] = data[1] = nullptr;
  if (!PyTuple_Check(states) || (PyTuple_GET_SIZE(states) != states_of(cell) && PyTuple_GET_SIZE(states) != 0))
    return false;
  for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(states); ++k)
    if (!plain<T>(PyTuple_GET_ITEM(states, k), {directions, rows, units}, data[k])) return false;
  return true;
}

// The weights of one direction: packed ones, or a tuple of two matrices and maybe two biases.
template <class T>
bool layer_weights(PyObject* given, bool training, SequenceInputs<T>& in, const Kernels*& level) {
  if (Py_TYPE(given) == packed_type) {
    const PackedSequence& packed = packed_of(given);
    const auto* weights = packed.as<T>();
    if (training || !weights || packed.cell != in.cell || packed.inputs != in.inputs) return false;
    in.units = packed.units;
    level = &weights->kernels();
    weights->give(in);
    return true;
  }
  if (!PyTuple_Check(given) || (PyTuple_GET_SIZE(given) != 2 && PyTuple_GET_SIZE(given) != 4)) return false;
  PyObject* const recurrent = PyTuple_GET_ITEM(given, 1);
  if (!has_dtype<T>(recurrent) || fields(recurrent).nd != 2) return false;
  in.units = fields(recurrent).dimensions[1];
  in.torch = true;
  const int64_t columns = gates_of(in.cell) * in.units;
  if (!plain<T>(PyTuple_GET_ITEM(given, 0), {columns, in.inputs}, in.kernel) || !in.kernel) return false;
  if (!plain<T>(recurrent, {columns, in.units}, in.recurrent_kernel) || !in.recurrent_kernel) return false;
  if (PyTuple_GET_SIZE(given) == 2) return true;
  return plain<T>(PyTuple_GET_ITEM(given, 2), {columns}, in.bias) && in.bias &&
         plain<T>(PyTuple_GET_ITEM(given, 3), {columns}, in.second_bias) && in.second_bias;
}

// Output (T, N, D·H), or packed rows (Σ, D·H), a tuple of last states (D, N, H), and a tuple of tapes or None. None
// where an argument does not fit.
template <class T>
py::object layer_typed(Cell cell, const Elementwise& activation, const Elementwise& recurrent_activation,
                       PyObject* const* a) {
  SequenceInputs<T> in{};
  in.cell = cell;
  in.activation = activation;
  in.recurrent_activation = recurrent_activation;
  const bool packed = a[kBatchSizes] != Py_None, training = a[kLayerTraining] == Py_True;
  if (!time_major<T>(a[kLayerX], packed, in.x)) return py::none();
  const auto* shape = fields(a[kLayerX]).dimensions;
  if (packed) {
    if (!has_dtype<int64_t>(a[kBatchSizes]) || fields(a[kBatchSizes]).nd != 1) return py::none();
    in.steps = fields(a[kBatchSizes]).dimensions[0];
    if (in.steps == 0 || !plain<int64_t>(a[kBatchSizes], {in.steps}, in.batch_sizes)) return py::none();
    in.rows = in.batch_sizes[0];
    int64_t total = 0;
    for (int64_t t = 0; t < in.steps; total += in.batch_sizes[t++])
      if (in.batch_sizes[t] < 1 || (t > 0 && in.batch_sizes[t] > in.batch_sizes[t - 1])) return py::none();
    if (total != shape[0]) return py::none();
  } else {
    in.steps = shape[0], in.rows = shape[1];
  }
  in.inputs = shape[packed ? 1 : 2];
  const int64_t D = PyTuple_GET_SIZE(a[kLayerWeights]), N = in.rows, S = in.steps;
  if (D < 1 || D > 2 || S == 0 || in.inputs == 0) return py::none();
  SequenceInputs<T> calls[2] = {in, in};
  const Kernels* levels[2] = {&kernels(), &kernels()};
  for (int64_t d = 0; d < D; ++d) {
    auto& call = calls[d];
    if (!layer_weights<T>(PyTuple_GET_ITEM(a[kLayerWeights], d), training, call, levels[d])) return py::none();
    if (call.units == 0 || call.units != calls[0].units) return py::none();
  }
  const int64_t H = calls[0].units;
  if (element_count({N, S, std::max(in.inputs, gates_of(cell) * H), D}) == kUnknown) throw std::bad_alloc();
  const T* initial[2];
  const int32_t* lengths;
  const bool* resets;
  if (!layer_states<T>(a[kLayerState], cell, D, N, H, initial) || !plain<int32_t>(a[kLayerLengths], {N}, lengths) ||
      !plain<bool>(a[kLayerResets], {N, S}, resets) || (packed && (lengths || resets)))
    return py::none();
  for (int64_t n = 0; lengths && n < N; ++n)
    if (lengths[n] < 0 || lengths[n] > S) return py::none();

  using Arrays = NewArrays<T>;
  const int64_t total = packed ? shape[0] : S * N, of_states = states_of(cell);
  Arrays arrays(Arrays::room({total, D * H}) + of_states * Arrays::room({D, N, H}));
  T *output, *state[2] = {nullptr, nullptr};
  py::object output_array = packed ? arrays.take({total, D * H}, output) : arrays.take({S, N, D * H}, output);
  py::tuple states(static_cast<size_t>(of_states));
  for (int64_t k = 0; k < of_states; ++k)
    PyTuple_SET_ITEM(states.ptr(), k, arrays.take({D, N, H}, state[k]).release().ptr());
  const py::object read =
      training ? py::make_tuple(output_array, py::handle(a[kLayerX]), py::handle(a[kLayerState])) : py::object();
  py::object tapes = py::none();
  if (training) tapes = py::tuple(static_cast<size_t>(D));
  std::optional<SequenceCall<T>> without[2];
  SequenceCall<T>* runs[2];
  double flops = 0;
  for (int64_t d = 0; d < D; ++d) {
    auto& call = calls[d];
    call.reverse = d == 1;
    call.stays = true;
    call.lengths = lengths, call.resets = resets;
    call.output = {output + d * H, D * H, N * D * H};
    for (int k = 0; k < 2; ++k) call.initial_state[k] = initial[k] ? initial[k] + d * N * H : nullptr;
    if (training) {
      py::object object;
      TypedTape<T>& tape = make_tape(object, call);
      tape.keep(read);
      PyTuple_SET_ITEM(tapes.ptr(), d, object.release().ptr());
      runs[d] = &tape.call();
    } else {
      runs[d] = &without[d].emplace(call, false, *levels[d]);
    }
    flops += runs[d]->flops();
  }
  run_call(flops, [&](const Interrupt& interrupt) {
    for (int64_t d = 0; d < D; ++d) {
      T* const last[] = {state[0] + d * N * H, state[1] ? state[1] + d * N * H : nullptr};
      runs[d]->forward(output, last, interrupt);
    }
  });
  return py::make_tuple(output_array, states, tapes);
}

}  // namespace

// dx as x is, or None, gradients of the initial states (D, N, H), or none of them, and of the weights of one direction
// after the other: (G·H, I), (G·H, H) and, with biases, (2, G·H). Uses the tapes up.
template <class T>
py::object backward_typed(PyObject* const* a) {
  const int64_t D = PyTuple_GET_SIZE(a[kTapes]);
  TypedTape<T>* tapes[2];
  for (int64_t d = 0; d < D; ++d) {
    tapes[d] = static_cast<TypedTape<T>*>(&tape_of(PyTuple_GET_ITEM(a[kTapes], d)));
    tapes[d]->expect_unused();
  }
  const SequenceInputs<T>& in = tapes[0]->inputs();
  const bool packed = in.batch_sizes, wants_x = a[kWantsX] == Py_True, wants_state = a[kWantsState] == Py_True;
  const int64_t N = in.rows, S = in.steps, H = in.units, I = in.inputs, G = gates_of(in.cell), GH = G * H;
  const int states = states_of(in.cell);
  BatchView<const T> doutput{};
  const T* dstate[2];
  if (!layer_states<T>(a[kStateGradients], in.cell, D, N, H, dstate)) return py::none();
  const int64_t total = packed ? tapes[0]->call().rows_in_all() : S * N;
  if (a[kOutputGradient] != Py_None) {
    if (!time_major<T>(a[kOutputGradient], packed, doutput)) return py::none();
    const auto* shape = fields(a[kOutputGradient]).dimensions;
    if (packed ? shape[0] != total || shape[1] != D * H : shape[0] != S || shape[1] != N || shape[2] != D * H)
      return py::none();
  }
  for (int64_t d = 0; d < D; ++d) tapes[d]->use();  // before other threads may run

  using Arrays = NewArrays<T>;
  Arrays arrays(D * (Arrays::room({GH, I}) + Arrays::room({GH, H}) + Arrays::room({2, GH})) +
                states * Arrays::room({D, N, H}) + D * Arrays::room({total, I}));
  // dx lies in memory as x does, so that neither is strided for nothing.
  const bool batch_major = !packed && in.x.row > in.x.step;
  constexpr Py_intptr_t size = sizeof(T);
  const Py_intptr_t strides[] = {batch_major ? I * size : N * I * size, batch_major ? S * I * size : I * size, size};
  py::object dx = py::none(), other = py::none();
  BatchView<T> views[2] = {};
  for (int64_t d = 0; d < D; ++d) {
    BatchView<T>& view = views[d];
    if (wants_x) {
      (d == 0 ? dx : other) = packed ? arrays.take({total, I}, view.data) : arrays.take({S, N, I}, view.data, strides);
      view.row = strides[1] / size, view.step = strides[0] / size;
    }
  }
  py::tuple dinitial(wants_state ? static_cast<size_t>(states) : 0);
  T* initial[2] = {nullptr, nullptr};
  for (int k = 0; k < states && wants_state; ++k)
    PyTuple_SET_ITEM(dinitial.ptr(), k, arrays.take({D, N, H}, initial[k]).release().ptr());
  const Py_ssize_t each = in.bias ? 3 : 2;
  py::tuple gradients(static_cast<size_t>(D * each));
  T* places[2][3] = {};
  double flops = 0;
  for (int64_t d = 0; d < D; ++d) {
    const auto put = [&](Py_ssize_t i, std::initializer_list<Py_intptr_t> shape) {
      PyTuple_SET_ITEM(gradients.ptr(), d * each + i, arrays.take(shape, places[d][i]).release().ptr());
    };
    put(0, {GH, I}), put(1, {GH, H});
    if (in.bias) put(2, {2, GH});
    flops += tapes[d]->call().flops();
  }
  run_call(flops, [&](const Interrupt& interrupt) {
    for (int64_t d = 0; d < D; ++d) {
      const int64_t first = d * N * H;
      const T* const last[] = {dstate[0] ? dstate[0] + first : nullptr, dstate[1] ? dstate[1] + first : nullptr};
      T* const begin[] = {initial[0] ? initial[0] + first : nullptr, initial[1] ? initial[1] + first : nullptr};
      BatchView<const T> dy = doutput;
      if (dy.data) dy.data += d * H;
      T* const* const to = places[d];
      tapes[d]->call().backward(dy, last, views[d], to[0], to[1], to[2], begin, interrupt);
      if (d > 0 && wants_x)
        run_team(threads_for(static_cast<double>(total * I)), interrupt, [&](const Team& team) {
          op_kernels<T>(kernels()).add(total * I, views[d].data, views[0].data, team);
        });
    }
  });
  for (int64_t d = 0; d < D; ++d) tapes[d]->release();
  return py::make_tuple(dx, dinitial, gradients);
}

template py::object backward_typed<float>(PyObject* const*);
template py::object backward_typed<double>(PyObject* const*);

namespace {

std::optional<Elementwise> find_function(std::string_view name) {
  for (const auto& named : kNamedFunctions)
    if (name == named.name) return named.function;
  return std::nullopt;
}

// layer(cell, activation, x, ..., training)
PyObject* layer(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    if (count != 2 + kLayerArguments) throw py::type_error("layer: expected 9 arguments");
    const auto cell = find_cell(py::cast<std::string_view>(arguments[0]));
    PyObject* const* a = arguments + 2;
    const auto f = find_function(py::cast<std::string_view>(arguments[1])), g = find_function("sigmoid");
    if (!cell || !f || !g) throw py::value_error("layer: unknown cell");
    if (!PyTuple_Check(a[kLayerWeights])) throw py::type_error("layer: expected a tuple of weights");
    return has_dtype<float>(a[kLayerX]) ? layer_typed<float>(*cell, *f, *g, a) : layer_typed<double>(*cell, *f, *g, a);
  });
}

// layer_backward(tapes, doutput, dstates, wants_x, wants_state)
PyObject* layer_backward(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    PyObject* const tapes = count == kLayerBackwardArguments ? arguments[kTapes] : Py_None;
    if (!PyTuple_Check(tapes) || PyTuple_GET_SIZE(tapes) == 0) throw py::type_error("layer_backward: expected tapes");
    for (Py_ssize_t d = 0; d < PyTuple_GET_SIZE(tapes); ++d)
      if (d > 1 || Py_TYPE(PyTuple_GET_ITEM(tapes, d)) != tape_type)
        throw py::type_error("layer_backward: expected tapes");
    return tape_of(PyTuple_GET_ITEM(tapes, 0)).backward_layer(arguments);
  });
}

// Whether arrays have the bytes of those in a second tuple.
PyObject* same_bytes(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  if (count != 2 || PyTuple_GET_SIZE(arguments[0]) != PyTuple_GET_SIZE(arguments[1])) Py_RETURN_FALSE;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments[0]); ++i) {
    PyObject *const one = PyTuple_GET_ITEM(arguments[0], i), *const other = PyTuple_GET_ITEM(arguments[1], i);
    const auto &a = fields(one), &b = fields(other);
    const bool plain = a.flags & b.flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_;
    py::ssize_t bytes =
        a.descr == b.descr && a.nd == b.nd && plain ? py::reinterpret_borrow<py::dtype>(a.descr).itemsize() : 0;
    for (int k = 0; k < a.nd && bytes; ++k) bytes = a.dimensions[k] == b.dimensions[k] ? bytes * a.dimensions[k] : 0;
    if (bytes == 0 || std::memcmp(a.data, b.data, static_cast<size_t>(bytes)) != 0) Py_RETURN_FALSE;
  }
  Py_RETURN_TRUE;
}

PyMethodDef layer_methods[] = {
    {"layer", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(layer)), METH_FASTCALL,
     "layer(cell, activation, x, batch_sizes, weights, state, lengths, resets, training, /)\n--\n\nOutput, states and "
     "tapes of a layer of PyTorch's, or None when an argument needs converting."},
    {"layer_backward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(layer_backward)), METH_FASTCALL,
     "layer_backward(tapes, doutput, dstates, wants_x, wants_state, /)\n--\n\nGradients of x, states and weights, or "
     "None "
     "when an argument needs converting."},
    {"same_bytes", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(same_bytes)), METH_FASTCALL,
     "same_bytes(arrays, others, /)\n--\n\nWhether tuples hold plain arrays of the same types, shapes and bytes."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void bind_layer(py::module_& m) {
  if (PyModule_AddFunctions(m.ptr(), layer_methods) < 0) throw py::error_already_set();
}

}  // namespace rnncore
