#include "engine/objective/loss.h"

#include <algorithm>

namespace rnncore {
template <class T>
LossArguments<T> loss_arguments(LossKind kind, const Attributes& attributes, const Tensor& output) {
  LossArguments<T> a{};
  a.kind = kind;
  a.from_logits = attributes.get("from_logits", false);
  a.label_smoothing = static_cast<T>(attributes.get("label_smoothing", 0.0));
  a.delta = static_cast<T>(attributes.get("delta", 1.0));
  a.balanced = attributes.get("apply_class_balancing", false);
  a.alpha = attributes.get("alpha", 0.25);
  a.gamma = attributes.get("gamma", 2.0);
  a.ignored = static_cast<int32_t>(attributes.get("ignore_class", int64_t{0}));
  a.ignores = attributes.has("ignore_class");
  a.rows = output.rows();
  a.classes = output.columns();
  return a;
}

template LossArguments<float> loss_arguments(LossKind, const Attributes&, const Tensor&);
template LossArguments<double> loss_arguments(LossKind, const Attributes&, const Tensor&);

template <class T>
Loss<T>::Loss(const LossDescription& description, size_t number, const Program& program, const Tensor& tensor,
              bool adds, const OpKernels<T>& kernels, Room& room)
    : output(static_cast<size_t>(description.output)),
      weight(description.weight),
      kernels_(kernels),
      tensor_(tensor),
      call_(loss_arguments<T>(loss_kind(description.kind).value_or(LossKind{}), description.attributes, tensor)),
      number_(number),
      adds_(adds),
      reduction_(reduction_of(description)) {
  const int mask = program.mask_of(output);
  by_lengths_ = mask != kAbsent && mask == program.lengths;
  by_mask_ = mask != kAbsent && mask != program.lengths;
  weights_offset_ = room.take(tensor.rows() * static_cast<int64_t>(sizeof(T)));
  counted_offset_ = by_lengths_ || by_mask_ ? room.take(tensor.rows() * static_cast<int64_t>(sizeof(bool))) : 0;
  scratch_offset_ = adds ? room.take(tensor.size() * static_cast<int64_t>(sizeof(T))) : 0;
  sums_offset_ = room.take(2 * kReductionParts * 8);
}

template <class T>
bool Loss<T>::may_overwrite() const {
  return call_.kind == LossKind::sparse_categorical_crossentropy && call_.from_logits;
}

template <class T>
void Loss<T>::check(const Samples& samples, int64_t sample_count, const BatchRows& rows) const {
  check_target(samples, sample_count, rows);
  const int64_t steps = tensor_.steps();
  for (int64_t n = 0; by_lengths_ && samples.lengths && n < rows.count; ++n)
    if (const int32_t length = samples.lengths[rows.row(n)]; length < 0 || length > steps)
      fail("lengths: expected values from 0 to " + std::to_string(steps) + ", the time steps of output " +
           std::to_string(output) + ", got " + std::to_string(length));
}

template <class T>
void Loss<T>::bind(const ObjectiveBuffers<T>& buffers, const void* target) {
  weights_ = reinterpret_cast<T*>(buffers.memory + weights_offset_);
  counted_ = reinterpret_cast<bool*>(buffers.memory + counted_offset_);
  mask_ = buffers.masks[output];
  total_gradient_ = buffers.output_gradients[output];
  call_.output = buffers.outputs[output];
  call_.target = target;
  call_.gradient = adds_ && total_gradient_ ? reinterpret_cast<T*>(buffers.memory + scratch_offset_) : total_gradient_;
  call_.sums = reinterpret_cast<double*>(buffers.memory + sums_offset_);
}

template <class T>
void Loss<T>::load(const Samples& samples, const BatchRows& rows, const Team& team) const {
  if (weighted(samples)) load_weights(samples.weights[number_], rows, team);
  if (by_lengths_ && samples.lengths)
    mark(team, [&](int64_t t, int64_t n) { return t < samples.lengths[rows.row(n)]; });
}

// What is absent in this call reads as ones.
template <class T>
void Loss<T>::start(const Samples& samples, const BatchRows& rows, int threads) {
  const bool has_lengths = by_lengths_ && samples.lengths;
  int64_t counted = call_.rows;
  call_.weight = weighted(samples) ? weights_ : nullptr;
  call_.counted = has_lengths || by_mask_ ? counted_ : nullptr;
  if (has_lengths) {
    counted = 0;
    for (int64_t n = 0; n < rows.count; ++n) counted += samples.lengths[rows.row(n)];
    counted *= inner_positions();
  }
  set_positions(counted);
  start_target(samples, rows, threads);
}

template <class T>
void Loss<T>::load_weights(const Array& weights, const BatchRows& rows, const Team& team) const {
  const T* data = static_cast<const T*>(weights.data);
  const int64_t steps = tensor_.steps(), width = inner_positions();
  if (weights.shape.size() > 1) return gather(data, weights_, steps, width, rows, team);
  const Range mine = team_range(rows.count, team, 1);
  for (int64_t t = 0; t < steps; ++t)
    for (int64_t n = mine.begin; n < mine.end; ++n)
      std::fill_n(weights_ + (t * rows.count + n) * width, width, data[rows.row(n)]);
}

// Marks the positions that count, from is_real(t, n).
template <class T>
template <class IsReal>
void Loss<T>::mark(const Team& team, const IsReal& is_real) const {
  const int64_t samples = tensor_.samples(), steps = tensor_.steps(), width = inner_positions();
  const Range mine = team_range(samples, team, 1);
  for (int64_t t = 0; t < steps; ++t)
    for (int64_t n = mine.begin; n < mine.end; ++n)
      std::fill_n(counted_ + (t * samples + n) * width, width, is_real(t, n));
}

template <class T>
void Loss<T>::mark_by_mask(const Team& team) const {
  const int64_t samples = tensor_.samples();
  if (by_mask_) mark(team, [&](int64_t t, int64_t n) { return mask_[t * samples + n] != 0; });
}

template <class T>
void Loss<T>::count_mask() {
  if (!by_mask_) return;
  set_positions(std::count(counted_, counted_ + call_.rows, true));
  check_steps();
}

template <class T>
void Loss<T>::set_positions(int64_t counted) {
  set_divisor(reduction_ == Reduction::sum ? 1.0 : static_cast<double>(positions(counted)));
}

template <class T>
void Loss<T>::set_divisor(double divisor) {
  divisor_ = divisor;
  call_.scale = static_cast<T>(divisor == 0 ? 0 : weight / divisor);
}

// Where the divisor depends on labels or weights.
template <class T>
void Loss<T>::count() {
  double sum = 0;
  for (int64_t r = 0; r < call_.rows; ++r) {
    if ((call_.counted && !call_.counted[r]) ||
        (call_.ignores && static_cast<const int32_t*>(call_.target)[r] == call_.ignored))
      continue;
    sum +=
        reduction_ == Reduction::mean_with_sample_weight && call_.weight ? static_cast<double>(call_.weight[r]) : 1.0;
  }
  set_divisor(sum);
}

template <class T>
void Loss<T>::evaluate(const Team& team) {
  const bool counts = reduction_ == Reduction::mean_with_sample_weight || call_.ignores;
  if (counts && reduction_ != Reduction::sum) {
    if (team.thread == 0) count();
    team_barrier(team);
  }
  run(team);
  if (!adds_ || !call_.gradient) return;
  team_barrier(team);
  kernels_.add(tensor_.size(), call_.gradient, total_gradient_, team);
}

template <class T>
double Loss<T>::value() const {
  double sums[2] = {0, 0};
  add_parts(call_.sums, 2, sums);
  return divisor_ == 0 ? 0 : sums[0] / divisor_;
}

template class Loss<float>;
template class Loss<double>;

}  // namespace rnncore
