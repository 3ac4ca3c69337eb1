// Table of contents of rnncore._core.
#include "bindings/module.h"

PYBIND11_MODULE(rnncore_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Compiled core of rnncore.";
  rnncore::bind_runtime(m);
  rnncore::bind_functional(m);
  rnncore::bind_layer(m);
  rnncore::bind_math(m);
  rnncore::bind_executor(m);
  rnncore::bind_host(m);
}

// What pybind11 does before it asks whether a module supports other interpreters waits there for the GIL for ever.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return PyInit_rnncore_core();
  PyErr_SetString(PyExc_ImportError, "rnncore works in the main interpreter only, not in a second one of the process");
  return nullptr;
}
