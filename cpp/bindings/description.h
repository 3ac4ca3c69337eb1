// Reads the Python dataclasses Program and Training.
#pragma once

#include <pybind11/pybind11.h>

#include "engine/program.h"

namespace rnncore {

Program read_program(pybind11::handle program);
Training read_training(pybind11::handle training);

}  // namespace rnncore
