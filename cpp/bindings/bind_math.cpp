// The vector functions on NumPy arrays, for tests of their accuracy.
#include <pybind11/numpy.h>

#include "bindings/module.h"
#include "core/kernels.h"

namespace py = pybind11;

namespace rnncore {
namespace {

template <class T>
using MathFunction = void (*MathKernels<T>::*)(int64_t size, const T* x, T* y);

template <class T>
void bind_function(py::module_& m, const char* name, MathFunction<T> function) {
  m.def(
      name,
      [function](const py::array_t<T, py::array::c_style>& x) {
        py::array_t<T> y(std::vector<py::ssize_t>(x.shape(), x.shape() + x.ndim()));
        (math_kernels<T>(kernels()).*function)(x.size(), x.data(), y.mutable_data());
        return y;
      },
      py::arg("x").noconvert(), "Element by element, as the kernels compute it at the level in use.");
}

}  // namespace

void bind_math(py::module_& m) {
  bind_function<float>(m, "exp", &MathKernels<float>::exp);
  bind_function<double>(m, "exp", &MathKernels<double>::exp);
  bind_function<float>(m, "sigmoid", &MathKernels<float>::sigmoid);
  bind_function<double>(m, "sigmoid", &MathKernels<double>::sigmoid);
  bind_function<float>(m, "tanh", &MathKernels<float>::tanh);
  bind_function<double>(m, "tanh", &MathKernels<double>::tanh);
}

}  // namespace rnncore
