// Python functions with a direct way into the core: calls whose arguments are right already skip Python's own code,
// which takes a good part of a small call's time. All others run it: it checks, converts or raises.
#pragma once

#include <pybind11/pybind11.h>

namespace rnncore {

// Takes the arguments in the order of the function's parameters, defaults filled in. None declines.
using DirectBody = PyObject* (*)(PyObject* const* arguments);

struct DirectWay {
  const char* name;  // of the Python function
  int parameters;
  DirectBody body;
};

// Adds the decorator `direct` to the module, for functions of these names. They must last as long as the process.
void bind_direct_functions(pybind11::module_& m, const DirectWay* ways, size_t count);

}  // namespace rnncore
