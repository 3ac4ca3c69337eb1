// Build information, instruction set levels, threads.
#include <pybind11/stl.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/module.h"
#include "core/kernels.h"
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
  m.def("get_num_threads", &num_threads, "Threads a call may use.");
  m.def(
      "set_num_threads",
      [](int threads, bool always) {
        if (threads < 1) throw py::value_error("threads must be at least 1, got " + std::to_string(threads));
        set_num_threads(threads, always);
      },
      py::arg("threads"), py::arg("always") = false,
      "Sets the number of threads a call may use; with `always` even calls too small to gain use them.");
}

}  // namespace rnncore
