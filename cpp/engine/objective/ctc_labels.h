// Whether the labels of a sample fit its output.
#pragma once

#include <cstdint>
#include <string>

namespace rnncore {

inline std::string target_name(size_t output) { return "targets[" + std::to_string(output) + "]"; }

// Where labels of ctc belong.
struct CtcPlace {
  size_t output;
  int64_t sample, classes, steps;

  // What is wrong with the labels, which end with zeros; empty: nothing.
  std::string error(const int32_t* labels, int64_t width) const {
    int64_t count = 0, needed = 0;
    for (; count < width && labels[count] != 0; ++count)
      needed += 1 + (count > 0 && labels[count] == labels[count - 1]);
    for (int64_t i = 0; i < width; ++i) {
      if (labels[i] == 0) continue;
      if (i > count)
        return target_name(output) + ": sample " + std::to_string(sample) + " has labels after the padding with 0";
      if (labels[i] < 0 || labels[i] >= classes)
        return target_name(output) + ": expected labels from 1 to " + std::to_string(classes - 1) +
               ", or 0 for padding, got " + std::to_string(labels[i]) + " in sample " + std::to_string(sample);
    }
    if (needed <= steps) return {};
    return target_name(output) + ": the " + std::to_string(count) + " labels of sample " + std::to_string(sample) +
           " need " + std::to_string(needed) + " steps (repeated ones need a blank between them), the output has " +
           std::to_string(steps);
  }
};

}  // namespace rnncore
