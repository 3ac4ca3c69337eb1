// Table of contents of rnncore._core.
#include "bindings/module.h"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Compiled core of rnncore.";
  rnncore::bind_runtime(m);
  rnncore::bind_functional(m);
  rnncore::bind_math(m);
  rnncore::bind_executor(m);
}
