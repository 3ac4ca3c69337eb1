// One function for each area of the module.
#pragma once

#include <pybind11/pybind11.h>

namespace rnncore {

void bind_runtime(pybind11::module_& m);
void bind_functional(pybind11::module_& m);
void bind_layer(pybind11::module_& m);
void bind_math(pybind11::module_& m);
void bind_executor(pybind11::module_& m);
void bind_host(pybind11::module_& m);

}  // namespace rnncore
