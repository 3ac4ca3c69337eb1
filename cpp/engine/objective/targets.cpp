#include "engine/objective/targets.h"

#include "engine/objective/ctc_labels.h"

namespace rnncore {
template <class T>
Targets<T>::Targets(const std::vector<Tensor>& outputs, Fault& fault) : fault_(fault) {
  for (const Tensor& output : outputs) targets_.push_back({output, output});
}

template <class T>
void Targets<T>::want(size_t output, bool labels, const std::string& kind, int64_t share) {
  Target& target = targets_[output];
  if (target.output.rank() < 2)
    fail("training: '" + kind + "' needs an output of at least 2 axes, got shape " + to_string(target.output.shape));
  if (target.wanted && target.tensor.integer != labels)
    fail("training: '" + kind + "' takes " + (labels ? "class labels" : "values") +
         ", but something else on the same output takes " + (labels ? "values" : "class labels"));
  Tensor tensor = target.output;
  if (tensor.columns() % share != 0)
    fail("training: '" + kind + "' needs an output with " + std::to_string(share) + " numbers for each target, got " +
         std::to_string(tensor.columns()));
  tensor.shape.back() /= share;
  if (target.wanted && !labels && target.tensor.columns() != tensor.columns())
    fail("training: '" + kind + "' takes " + std::to_string(tensor.columns()) + " targets, but something else on the " +
         "same output takes " + std::to_string(target.tensor.columns()));
  target.wanted = true;
  target.tensor = tensor;
  target.tensor.integer = labels;
  if (labels) target.tensor.shape.pop_back();
}

template <class T>
void Targets<T>::ignore(size_t output, const LossArguments<T>& loss) {
  Target& target = targets_[output];
  const std::optional<int32_t> ignored = loss.ignores ? std::optional(loss.ignored) : std::nullopt;
  if (!target.read)
    target.ignored = ignored;
  else if (target.ignored != ignored)
    target.ignored.reset();
  target.read = true;
}

template <class T>
void Targets<T>::make_room(Room& room) {
  for (Target& target : targets_)
    if (target.wanted) target.offset = room.take(target.tensor.size() * static_cast<int64_t>(sizeof(T)));
}

template <class T>
std::string Targets<T>::label_error(size_t output, int32_t label) const {
  return target_name(output) + ": expected labels from 0 to " + std::to_string(targets_[output].output.columns() - 1) +
         ", got " + std::to_string(label);
}

template <class T>
void Targets<T>::check(const Samples& samples, int64_t sample_count, const BatchRows& rows) const {
  if (samples.targets.size() != targets_.size())
    fail("targets: expected " + std::to_string(targets_.size()) + " array(s), got " +
         std::to_string(samples.targets.size()));
  for (size_t i = 0; i < targets_.size(); ++i) {
    const Target& target = targets_[i];
    const Array& array = samples.targets[i];
    if (!target.wanted) continue;
    const std::string name = target_name(i);
    Shape expected = target.tensor.shape;
    expected[0] = sample_count;
    if (!array.data || array.shape != expected)
      fail(name + ": expected shape " + to_string(expected) + ", got " +
           (array.data ? to_string(array.shape) : "None"));
    if (array.integer != target.tensor.integer)
      throw WrongType(name + ": expected dtype " + (target.tensor.integer ? "int32" : "of the executor"));
    if (!array.integer) continue;
    const int64_t width = target.tensor.size() / target.tensor.samples();
    for (int64_t n = 0; n < rows.count; ++n)
      for (int64_t j = 0; j < width; ++j) {
        const int32_t label = static_cast<const int32_t*>(array.data)[rows.row(n) * width + j];
        if (!target.fits(label)) fail(label_error(i, label));
      }
  }
}

template <class T>
void Targets<T>::bind(std::byte* memory) {
  for (Target& target : targets_) target.data = memory + target.offset;
}

template <class T>
void Targets<T>::load(const Samples& samples, const BatchRows& rows, const Team& team) {
  for (size_t i = 0; i < targets_.size(); ++i) {
    const Target& target = targets_[i];
    if (!target.wanted) continue;
    const int64_t steps = target.tensor.steps(), width = target.tensor.width();
    if (target.tensor.integer) {
      gather(static_cast<const int32_t*>(samples.targets[i].data), static_cast<int32_t*>(target.data), steps, width,
             rows, team);
      check_loaded(i, team);
    } else
      gather(static_cast<const T*>(samples.targets[i].data), static_cast<T*>(target.data), steps, width, rows, team);
  }
}

// What `check` saw may have changed since.
template <class T>
void Targets<T>::check_loaded(size_t output, const Team& team) {
  const Target& target = targets_[output];
  const auto* labels = static_cast<const int32_t*>(target.data);
  const int64_t samples = target.tensor.samples(), steps = target.tensor.steps(), width = target.tensor.width();
  const Range mine = team_range(samples, team, 1);
  for (int64_t t = 0; t < steps; ++t)
    for (int64_t j = (t * samples + mine.begin) * width; j < (t * samples + mine.end) * width; ++j)
      if (!target.fits(labels[j])) return fault_.set(label_error(output, labels[j]));
}

template class Targets<float>;
template class Targets<double>;

}  // namespace rnncore
