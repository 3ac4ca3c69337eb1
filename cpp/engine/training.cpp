#include "engine/training.h"

#include "engine/constraints.h"
#include "engine/objective/distribution_loss.h"
#include "engine/objective/measures.h"

namespace rnncore {
void check_training(const Training& training, const Program& program) {
  const std::vector<bool> made = made_values(program);
  const auto check_output = [&](const std::string& kind, int output) {
    if (output < 0 || output >= static_cast<int>(program.outputs.size()))
      fail("training: '" + kind + "' is on output " + std::to_string(output) + ", the program has " +
           std::to_string(program.outputs.size()));
  };
  for (const auto& l : training.losses) {
    reduction_of(l);
    const bool ctc = l.kind == kCtc, crf = l.kind == kCrf;
    if (!ctc && !crf && !loss_kind(l.kind) && !distribution_of(l)) fail("training: unknown loss '" + l.kind + "'");
    check_output(l.kind, l.output);
    if (!ctc && !crf) continue;
    const auto& output = program.values[static_cast<size_t>(program.outputs[static_cast<size_t>(l.output)])];
    if (ctc && output.shape.size() != 3) fail("training: 'ctc' needs an output of shape (N, T, classes)");
    if (crf && (output.shape.size() != 4 || output.shape[2] != output.shape[3]))
      fail("training: 'crf' needs an output of shape (N, T, labels, labels), as the layer CRF makes");
    for (const auto& other : training.losses)
      if (&other != &l && other.output == l.output)
        fail("training: '" + l.kind + "' must be the only loss on its output");
    for (const auto& m : training.metrics)
      if (m.output == l.output)
        fail("training: an output with the loss '" + l.kind + "' takes no metrics, got '" + m.kind + "'");
  }
  for (const auto& m : training.metrics) {
    if (!loss_kind(m.kind) && !metric_kind(m.kind)) fail("training: unknown metric '" + m.kind + "'");
    check_output(m.kind, m.output);
  }
  for (const auto& r : training.regularizers) {
    if (r.parameter < 0 || r.parameter >= static_cast<int>(program.parameters.size()))
      fail("training: a regularizer is on parameter " + std::to_string(r.parameter) + ", the program has " +
           std::to_string(program.parameters.size()));
    const Parameter& p = program.parameters[static_cast<size_t>(r.parameter)];
    if (r.orthogonal != 0 && p.shape.size() != 2)
      fail("training: an orthogonal regularizer needs a matrix, got parameter '" + p.name + "' of shape " +
           to_string(p.shape));
  }
  for (const auto& r : training.activity_regularizers)
    if (r.value < 0 || r.value >= static_cast<int>(program.values.size()) || r.value == program.lengths ||
        !made[static_cast<size_t>(r.value)] || program.values[static_cast<size_t>(r.value)].integer)
      fail("training: an activity regularizer is on value " + std::to_string(r.value) +
           ", which is none of the program's, or integer");
  check_constraints(training.constraints, program);
}

int64_t state_size(const Training& training) {
  const size_t losses = training.losses.size();
  int64_t size = static_cast<int64_t>(2 * (1 + (losses > 1 ? losses : 0)));
  for (const auto& m : training.metrics)
    size += m.kind == "confusion"
                ? 4 * static_cast<int64_t>(m.attributes.get("thresholds", std::vector<double>{}).size())
                : 2;
  return size + (training.divisors ? static_cast<int64_t>(losses) : 0);
}

}  // namespace rnncore
