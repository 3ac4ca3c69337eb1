// Whether the labels of a sample fit into its steps.
#pragma once

#include <cstdint>
#include <string>

namespace rnncore {

inline std::string target_name(size_t output) { return "targets[" + std::to_string(output) + "]"; }

// How many labels a sample of ctc has before the padding, and how many steps they need.
struct CtcLabels {
  int64_t count = 0, steps = 0;

  CtcLabels(const int32_t* labels, int64_t width) {
    for (; count < width && labels[count] != 0; ++count) steps += 1 + (count > 0 && labels[count] == labels[count - 1]);
  }

  std::string misfit(size_t output, int64_t row, int64_t real) const {
    return target_name(output) + ": the " + std::to_string(count) + " labels of sample " + std::to_string(row) +
           " need " + std::to_string(steps) + " steps (repeated ones need a blank between them), the output has " +
           std::to_string(real);
  }
};

}  // namespace rnncore
