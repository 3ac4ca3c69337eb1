// Python code that ops run in the middle of a step: rnncore._own_code knows the functions by their numbers.
#include <optional>

#include <pybind11/stl.h>

#include "bindings/gil.h"
#include "bindings/module.h"
#include "bindings/numpy_arrays.h"
#include "bindings/signals.h"
#include "engine/host.h"

namespace py = pybind11;

namespace rnncore {
namespace {

PyObject* run_function = nullptr;  // held for the life of the process
PyObject* shapes_function = nullptr;
thread_local std::exception_ptr failure;

// A view, batch first, that is good for one call.
py::object view_of(const HostArray& array, bool doubles) {
  if (!array.data) return py::none();
  const Tensor& tensor = array.tensor;
  const auto size = static_cast<Py_intptr_t>(tensor.integer ? sizeof(int32_t)
                                             : doubles      ? sizeof(double)
                                                            : sizeof(float));
  std::vector<Py_intptr_t> shape(tensor.shape.begin(), tensor.shape.end()), strides(shape.size());
  Py_intptr_t stride = size;
  const size_t inner = tensor.time_major() ? 2 : 1;
  for (size_t a = shape.size(); a-- > inner;) strides[a] = stride, stride *= shape[a];
  strides[0] = stride;
  if (tensor.time_major()) strides[1] = stride * shape[0];
  PyObject* dtype = tensor.integer ? dtype_of<int32_t>() : doubles ? dtype_of<double>() : dtype_of<float>();
  return checked(array_from(dtype, static_cast<int>(shape.size()), shape.data(), strides.data(), array.data));
}

py::list views_of(const std::vector<HostArray>& arrays, bool doubles) {
  py::list views;
  for (const HostArray& array : arrays) views.append(view_of(array, doubles));
  return views;
}

// A parameter's gradient lies in plain order.
py::list plain_views_of(const std::vector<HostArray>& arrays, bool doubles) {
  py::list views;
  for (HostArray array : arrays) {
    array.tensor.shape = {element_count(array.tensor.shape)};
    views.append(view_of(array, doubles));
  }
  return views;
}

py::object called(PyObject* function, const py::tuple& arguments) {
  PyObject* result = nullptr;
  wait_for_python([&] { result = PyObject_Call(function, arguments.ptr(), nullptr); });
  return checked(result);
}

bool run(const HostCall& call) {
  const GilTaken gil;
  try {
    const bool doubles = call.doubles;
    called(run_function,
           py::make_tuple(call.function, call.training, view_of(call.mask, doubles), views_of(call.inputs, doubles),
                          views_of(call.outputs, doubles), views_of(call.output_gradients, doubles),
                          views_of(call.input_gradients, doubles), plain_views_of(call.parameter_gradients, doubles)));
    return true;
  } catch (...) {
    failure = std::current_exception();
    return false;
  }
}

std::vector<Tensor> shapes(int64_t function, const std::vector<Tensor>& inputs) {
  std::optional<GilTaken> gil;
  if (!PyGILState_Check()) gil.emplace();
  std::string problem;
  try {
    std::vector<Shape> given;
    for (const Tensor& tensor : inputs) given.push_back(tensor.shape);
    std::vector<Tensor> found;
    for (Shape& shape : called(shapes_function, py::make_tuple(function, given)).cast<std::vector<Shape>>())
      found.push_back({std::move(shape), false});
    return found;
  } catch (const std::exception& error) {
    problem = error.what();
  }
  throw std::invalid_argument(problem);
}

}  // namespace

void rethrow_failure() {
  if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
}

void bind_host(py::module_& m) {  // NOLINT(misc-const-correctness): one signature for every area
  m.def(
      "set_host",
      [](const py::object& run_given, const py::object& shapes_given) {
        run_function = run_given.inc_ref().ptr();
        shapes_function = shapes_given.inc_ref().ptr();
        host = {run, shapes};
      },
      py::arg("run"), py::arg("shapes"), py::pos_only(), "Say what runs the functions of ops called own_code.");
}

}  // namespace rnncore
