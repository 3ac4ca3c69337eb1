// NumPy arrays as views of the engine, with the checks that executors make: dtype, rank, sizes, layout.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "engine/tensor.h"

namespace rnncore {

template <class E>
using NumpyArray = pybind11::array_t<E, pybind11::array::c_style>;

inline Shape shape_of(const pybind11::array& array) { return Shape(array.shape(), array.shape() + array.ndim()); }

// `value` as it is: a C-contiguous NumPy array of E in native byte order; TypeError otherwise.
template <class E>
NumpyArray<E> expect_array(pybind11::handle value, const std::string& name) {
  namespace py = pybind11;
  if (py::isinstance<NumpyArray<E>>(value)) return py::reinterpret_borrow<NumpyArray<E>>(value);
  std::string given = py::str(py::type::of(value).attr("__name__"));
  if (py::isinstance<py::array>(value)) {
    const auto array = py::reinterpret_borrow<py::array>(value);
    given = "an array of " + std::string(py::str(array.dtype()));
    if (array.dtype().is(py::dtype::of<E>())) given += " that is not C-contiguous";
  }
  throw py::type_error(name + ": expected a C-contiguous array of " + std::string(py::str(py::dtype::of<E>())) +
                       ", got " + given);
}

// The same for an array that is written to.
template <class E>
NumpyArray<E> expect_writable(pybind11::handle value, const std::string& name) {
  NumpyArray<E> array = expect_array<E>(value, name);
  if (!array.writeable()) throw pybind11::value_error(name + ": expected a writable array, got a read-only one");
  return array;
}

// Sizes that are kUnknown fit anything.
inline void expect_shape(const Shape& given, const Shape& expected, const std::string& name) {
  bool fits = given.size() == expected.size();
  for (size_t i = 0; fits && i < given.size(); ++i) fits = expected[i] == kUnknown || expected[i] == given[i];
  if (!fits)
    throw pybind11::value_error(name + ": expected shape " + to_string(expected) + ", got " + to_string(given));
}

}  // namespace rnncore
