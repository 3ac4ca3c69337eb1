// What Python describes with plain objects: a Program, a Training, and the parts of a call.
#pragma once

#include <pybind11/pybind11.h>

#include "engine/program.h"

namespace rnncore {

// TypeError where the object has no such attribute.
pybind11::object member(pybind11::handle object, const char* attribute);

// ValueError for an integer that is too large, TypeError for what is of another type.
template <class A>
A cast(pybind11::handle value, const std::string& name) {
  namespace py = pybind11;
  try {
    return value.cast<A>();
  } catch (const py::cast_error&) {
    const std::string message = name + ": got " + std::string(py::repr(value));
    if (py::isinstance<py::int_>(value)) throw py::value_error(message + ", which is too large");
    throw py::type_error(message);
  }
}

template <class A>
A read(pybind11::handle object, const char* attribute) {
  return cast<A>(member(object, attribute), attribute);
}

Attributes read_attributes(pybind11::dict attributes);
Program read_program(pybind11::handle program);
Training read_training(pybind11::handle training);
OptimizerDescription read_optimizer(pybind11::handle optimizer);

}  // namespace rnncore
