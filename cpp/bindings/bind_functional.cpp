// The recurrent functions on NumPy arrays. `sequence` takes arrays that are right already and returns None otherwise;
// the Python layer then checks, converts or raises, and calls again.
#include <pybind11/numpy.h>

#include <memory>
#include <stdexcept>

#include "bindings/module.h"
#include "engine/sequence_call.h"

namespace py = pybind11;

namespace rnncore {
namespace {

int64_t gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::simple_rnn ? 1 : 3; }
bool two_biases(Cell cell) { return cell == Cell::gru; }

// An array that owns pooled memory.
template <class T>
py::array_t<T> owning_array(Buffer buffer, std::vector<py::ssize_t> shape, std::vector<py::ssize_t> strides,
                            const T* first) {
  auto* owner = new Buffer(std::move(buffer));
  py::capsule base(owner, [](void* p) { delete static_cast<Buffer*>(p); });
  return py::array_t<T>(std::move(shape), std::move(strides), first, base);
}

template <class T>
py::array_t<T> new_array(std::vector<py::ssize_t> shape) {
  py::ssize_t count = 1;
  for (py::ssize_t n : shape) count *= n;
  Buffer buffer(static_cast<size_t>(count) * sizeof(T));
  const T* data = buffer.as<T>();
  std::vector<py::ssize_t> strides(shape.size());
  py::ssize_t stride = sizeof(T);
  for (size_t i = shape.size(); i-- > 0; stride *= shape[i]) strides[i] = stride;
  return owning_array<T>(std::move(buffer), std::move(shape), std::move(strides), data);
}

template <class T>
bool has_dtype(py::handle array) {
  return py::isinstance<py::array_t<T>>(array);
}

// Fills `data` when the handle is None (null) or a C-contiguous array of T of this shape.
template <class T>
bool plain(py::handle array, std::initializer_list<py::ssize_t> shape, const T*& data) {
  data = nullptr;
  if (array.is_none()) return true;
  if (!has_dtype<T>(array)) return false;
  const auto a = py::reinterpret_borrow<py::array>(array);
  if (a.ndim() != static_cast<py::ssize_t>(shape.size()) || !(a.flags() & py::array::c_style)) return false;
  py::ssize_t i = 0;
  for (py::ssize_t n : shape)
    if (a.shape(i++) != n) return false;
  if (reinterpret_cast<uintptr_t>(a.data()) % alignof(T) != 0) return false;
  data = static_cast<const T*>(a.data());
  return true;
}

// A (N, T, C) array whose last axis is contiguous; the other strides are free.
template <class T>
bool strided(py::handle array, BatchView<const T>& view) {
  if (!has_dtype<T>(array)) return false;
  const auto a = py::reinterpret_borrow<py::array>(array);
  constexpr py::ssize_t size = sizeof(T);
  if (a.ndim() != 3) return false;
  if ((a.strides(2) != size && a.size() > 0) || a.strides(0) % size || a.strides(1) % size) return false;
  if (reinterpret_cast<uintptr_t>(a.data()) % alignof(T) != 0) return false;
  view = {static_cast<const T*>(a.data()), a.strides(0) / size, a.strides(1) / size};
  return true;
}

// What backward needs: the call and everything its pointers point into.
class Tape {
 public:
  virtual ~Tape() = default;
  virtual py::object backward(py::handle doutput, py::handle dh, py::handle dc) = 0;
};

template <class T>
class TypedTape final : public Tape {
 public:
  TypedTape(std::unique_ptr<SequenceCall<T>> call, const SequenceInputs<T>& inputs, py::tuple keep)
      : call_(std::move(call)), in_(inputs), keep_(std::move(keep)) {}

  py::object backward(py::handle doutput, py::handle dh, py::handle dc) override {
    if (!call_) throw py::value_error("tape: backward has already used it; run the forward pass again");
    const int64_t N = in_.rows, S = in_.steps, H = in_.units, I = in_.inputs, G = gates_of(in_.cell);
    BatchView<const T> dy{};
    const T* dstate[2];
    if (!doutput.is_none()) {
      if (!strided<T>(doutput, dy)) return py::none();
      const auto a = py::reinterpret_borrow<py::array>(doutput);
      if (a.shape(0) != N || a.shape(1) != S || a.shape(2) != H) return py::none();
    }
    if (!plain<T>(dh, {N, H}, dstate[0]) || !plain<T>(dc, {N, H}, dstate[1])) return py::none();

    // dx lies in memory as x does when that is dense, so that neither is strided for nothing.
    const bool time_major = N > 1 && in_.x.row == I && in_.x.step == N * I && !in_.lengths;
    BatchView<T> dx = time_major ? BatchView<T>{nullptr, I, N * I} : BatchView<T>{nullptr, S * I, I};
    Buffer dx_buffer(static_cast<size_t>(N * S * I) * sizeof(T));
    dx.data = dx_buffer.as<T>();
    auto dkernel = new_array<T>({I, G * H});
    auto drecurrent = new_array<T>({H, G * H});
    py::object dbias = py::none();
    T* dbias_data = nullptr;
    if (in_.bias) {
      auto array = two_biases(in_.cell) ? new_array<T>({2, G * H}) : new_array<T>({G * H});
      dbias_data = array.mutable_data();
      dbias = array;
    }
    auto dh0 = new_array<T>({N, H});
    py::object dc0 = py::none();
    T* const dinitial[2] = {dh0.mutable_data(), [&]() -> T* {
                              if (in_.cell != Cell::lstm) return nullptr;
                              auto array = new_array<T>({N, H});
                              T* data = array.mutable_data();
                              dc0 = array;
                              return data;
                            }()};
    T* dkernel_data = dkernel.mutable_data();
    T* drecurrent_data = drecurrent.mutable_data();
    {
      py::gil_scoped_release release;
      call_->backward(dy, dstate, dx, dkernel_data, drecurrent_data, dbias_data, dinitial);
    }
    call_.reset();
    keep_ = py::tuple();
    constexpr py::ssize_t size = sizeof(T);
    const T* dx_data = dx.data;
    auto dx_array = owning_array<T>(std::move(dx_buffer), {N, S, I}, {dx.row * size, dx.step * size, size}, dx_data);
    return py::make_tuple(dx_array, dkernel, drecurrent, dbias, dh0, dc0);
  }

 private:
  std::unique_ptr<SequenceCall<T>> call_;
  SequenceInputs<T> in_;
  py::tuple keep_;
};

template <class T>
py::object run(Cell cell, Activation activation, Activation recurrent_activation, py::handle x, py::handle kernel,
               py::handle recurrent_kernel, py::handle bias, py::handle h0, py::handle c0, py::handle lengths,
               bool reverse, bool training, const Kernels& kernels) {
  SequenceInputs<T> in{};
  in.cell = cell;
  in.activation = activation;
  in.recurrent_activation = recurrent_activation;
  if (!strided<T>(x, in.x) || !has_dtype<T>(recurrent_kernel)) return py::none();
  const auto x_array = py::reinterpret_borrow<py::array>(x);
  const auto recurrent_array = py::reinterpret_borrow<py::array>(recurrent_kernel);
  if (recurrent_array.ndim() != 2) return py::none();
  in.rows = x_array.shape(0);
  in.steps = x_array.shape(1);
  in.inputs = x_array.shape(2);
  in.units = recurrent_array.shape(0);
  in.reverse = reverse;
  const int64_t G = gates_of(cell), H = in.units;
  if (in.steps == 0 || in.inputs == 0 || H == 0) return py::none();
  if (!plain<T>(recurrent_kernel, {H, G * H}, in.recurrent_kernel) || !in.recurrent_kernel) return py::none();
  if (!plain<T>(kernel, {in.inputs, G * H}, in.kernel) || !in.kernel) return py::none();
  const bool bias_fits = two_biases(cell) ? plain<T>(bias, {2, G * H}, in.bias) : plain<T>(bias, {G * H}, in.bias);
  if (!bias_fits) return py::none();
  if (!plain<T>(h0, {in.rows, H}, in.initial_state[0]) || !plain<T>(c0, {in.rows, H}, in.initial_state[1]))
    return py::none();
  if (!plain<int32_t>(lengths, {in.rows}, in.lengths)) return py::none();
  if (in.lengths)
    for (int64_t n = 0; n < in.rows; ++n)
      if (in.lengths[n] < 0 || in.lengths[n] > in.steps) return py::none();

  auto call = std::make_unique<SequenceCall<T>>(in, training, kernels);
  auto h = new_array<T>({in.rows, H});
  py::object c = py::none();
  T* state[2] = {h.mutable_data(), nullptr};
  if (cell == Cell::lstm) {
    auto array = new_array<T>({in.rows, H});
    state[1] = array.mutable_data();
    c = array;
  }
  {
    py::gil_scoped_release release;
    call->forward(state);
  }
  constexpr py::ssize_t size = sizeof(T);
  const BatchView<T> out = call->output();
  auto output =
      owning_array<T>(call->take_output(), {in.rows, in.steps, H}, {out.row * size, out.step * size, size}, out.data);
  py::object tape = py::none();
  if (training) {
    py::tuple keep = py::make_tuple(x, kernel, recurrent_kernel, bias, h0, c0, lengths, output);
    tape = py::cast(std::unique_ptr<Tape>(new TypedTape<T>(std::move(call), in, std::move(keep))));
  }
  return py::make_tuple(output, h, c, tape);
}

py::object sequence(int cell, int activation, int recurrent_activation, py::handle x, py::handle kernel,
                    py::handle recurrent_kernel, py::handle bias, py::handle h0, py::handle c0, py::handle lengths,
                    bool reverse, bool training) {
  const auto as_cell = static_cast<Cell>(cell);
  const auto f = static_cast<Activation>(activation), g = static_cast<Activation>(recurrent_activation);
  if (has_dtype<float>(x))
    return run<float>(as_cell, f, g, x, kernel, recurrent_kernel, bias, h0, c0, lengths, reverse, training, kernels());
  if (has_dtype<double>(x))
    return run<double>(as_cell, f, g, x, kernel, recurrent_kernel, bias, h0, c0, lengths, reverse, training, kernels());
  return py::none();
}

}  // namespace

void bind_functional(py::module_& m) {
  py::class_<Tape>(m, "Tape", "What one recurrent call saved for its backward pass.")
      .def("backward", &Tape::backward, py::arg("doutput"), py::arg("dh"), py::arg("dc"),
           "(x, kernel, recurrent_kernel, bias, h, c) gradients, or None when an argument needs converting.");
  m.def("sequence", &sequence, py::arg("cell"), py::arg("activation"), py::arg("recurrent_activation"), py::arg("x"),
        py::arg("kernel"), py::arg("recurrent_kernel"), py::arg("bias"), py::arg("h"), py::arg("c"), py::arg("lengths"),
        py::arg("reverse"), py::arg("training"),
        "(output, h, c, tape), or None when an argument needs checking or converting.");
}

}  // namespace rnncore
