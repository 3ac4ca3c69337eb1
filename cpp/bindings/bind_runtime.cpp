// Build information, instruction set levels, threads.
#include <pybind11/stl.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/gil.h"
#include "bindings/module.h"
#include "bindings/signals.h"
#include "core/kernels.h"
#include "engine/buffer.h"
#include "engine/names.h"
#include "engine/threads.h"

namespace py = pybind11;

namespace rnncore {
namespace {

std::vector<std::string> built_levels() {
  return {
#define RNNCORE_LEVEL(level) #level,
      RNNCORE_LEVELS
#undef RNNCORE_LEVEL
  };
}

std::vector<std::string> supported_levels() {
  std::vector<std::string> names;
  for (int i = 0; i < kernel_level_count(); ++i) names.emplace_back(kernel_level(i).name);
  return names;
}

std::string level_names() {
  std::string names;
  for (const auto& name : supported_levels()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

py::dict build_info() {
  py::dict info;
  info["version"] = RNNCORE_VERSION;
  info["compiler"] = RNNCORE_COMPILER;
  info["build_type"] = RNNCORE_BUILD_TYPE;
  info["openmp"] = built_with_openmp();
  info["isa_built"] = built_levels();
  return info;
}

// The cells by name, in the order of their enumeration.
py::dict cells() {
  py::dict found;
  for (const CellFacts& cell : kCells)
    found[cell.name] =
        py::dict(py::arg("gates") = cell.gates, py::arg("states") = cell.states, py::arg("bias_rows") = cell.bias_rows,
                 py::arg("normalization_rows") = cell.normalization_rows);
  return found;
}

Cell cell_of(const std::string& name) {
  if (const auto cell = find_cell(name)) return *cell;
  std::string known;
  for (const CellFacts& cell : kCells) known += (known.empty() ? "" : ", ") + std::string(cell.name);
  throw py::value_error("cell: expected one of " + known + ", got '" + name + "'");
}

// How the kernels share a call of a cell with `threads` to choose from.
py::dict sequence_sharing(const std::string& cell, int64_t rows, int64_t steps, int64_t inputs, int64_t units,
                          int threads) {
  SequenceShape shape{};
  if (rows < 1 || steps < 1 || inputs < 1 || units < 1 || threads < 1)
    throw py::value_error("rows, steps, inputs, units and threads must be at least 1");
  shape.cell = cell_of(cell);
  shape.activation.function = Function::tanh;
  shape.recurrent_activation.function = Function::sigmoid;
  shape.rows = rows, shape.steps = steps, shape.inputs = inputs, shape.units = units;
  shape.cache_bytes = second_level_cache();
  const SequenceSharing sharing = sequence_kernels<float>(kernels()).sharing(shape, threads);
  py::dict found;
  found["threads"] = sharing.threads;
  found["forward"] = sharing.forward_by_units ? "units" : "rows";
  found["backward"] = sharing.backward_by_units ? "units" : "rows";
  found["chunked"] = sharing.chunked;
  return found;
}

void check_environment() {
  const char* wanted = std::getenv("RNNCORE_ISA");
  if (wanted && !find_kernels(wanted)) {
    throw py::import_error("RNNCORE_ISA must be one of the levels this build and processor have (" + level_names() +
                           "), got '" + wanted + "'");
  }
}

}  // namespace

void bind_runtime(py::module_& m) {
  check_environment();
  know_main_thread();
  // What these find out once is found out now: a forked child would wait for a thread that was at it.
  threads_for(1e9), second_level_cache();
  m.def("build_info", &build_info, "Facts of the build: version, compiler, build type, OpenMP, levels.");
  m.def("isa_levels", &supported_levels, "Instruction set levels built in and supported here, best first.");
  m.def(
      "set_isa",
      [](const std::string& level) {
        if (!choose_kernels(level.c_str()))
          throw py::value_error("level must be one of " + level_names() + ", got '" + level + "'");
      },
      py::arg("level"), "Uses another level from now on; models made before keep theirs.");
  m.def("isa", [] { return std::string(kernels().name); }, "The level in use.");
  m.def("cells", &cells,
        "Of each recurrent cell: its gates, its states, and the rows of its bias and its normalization.");
  m.def("sequence_sharing", &sequence_sharing, py::arg("cell"), py::arg("rows"), py::arg("steps"), py::arg("inputs"),
        py::arg("units"), py::arg("threads"),
        "How the float32 kernels share a call: the threads of those that finish it first, and whether each then takes "
        "'rows' or 'units' of the steps forward and backward, and whether input products are made some steps ahead.");
  m.def("get_num_threads", &num_threads, "Threads a call may use.");
  m.def(
      "set_num_threads",
      [](int threads, bool always) {
        if (threads < 1) throw py::value_error("threads must be at least 1, got " + std::to_string(threads));
        set_num_threads(threads, always);
      },
      py::arg("threads"), py::arg("always") = false,
      "Sets the number of threads a call may use; with `always` even calls too small to gain use them.");
  m.def("release_memory", &release_buffers, py::call_guard<GilReleased>(),
        "Gives memory that waits to be used again back to the system.");
}

}  // namespace rnncore
