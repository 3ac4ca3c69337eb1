#include "engine/objective.h"

#include <algorithm>

#include "engine/layout.h"

namespace rnncore {
namespace {

[[noreturn]] void fail(const std::string& message) { throw std::invalid_argument(message); }

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

// Positions of one sample at one step.
int64_t inner_positions(const Tensor& output) { return output.width() / output.columns(); }

std::vector<Tensor> outputs_of(const Program& program, const std::vector<Tensor>& values) {
  std::vector<Tensor> outputs;
  outputs.reserve(program.outputs.size());
  for (const int id : program.outputs) outputs.push_back(values[static_cast<size_t>(id)]);
  return outputs;
}

// Adds the parts (kReductionParts, size) to sums[0..size) in their order.
void add_parts(const double* parts, int64_t size, double* sums) {
  for (int part = 0; part < kReductionParts; ++part)
    for (int64_t i = 0; i < size; ++i) sums[i] += parts[part * size + i];
}

}  // namespace

template <class T>
Objective<T>::Objective(const Training& training, const Program& program, const std::vector<Tensor>& values,
                        const Kernels& kernels, Fault& fault)
    : kernels_(op_kernels<T>(kernels)),
      outputs_(outputs_of(program, values)),
      targets_(outputs_.size()),
      orthogonal_penalties_(kernels),
      fault_(fault),
      samples_(outputs_[0].samples()) {
  make_losses(training, program);
  make_metrics(training);
  for (const auto& r : training.regularizers) {
    const Parameter& p = program.parameters[static_cast<size_t>(r.parameter)];
    penalties_.push_back({r.l1, r.l2, p.trainable, p.offset, p.size, take(2 * kReductionParts * 8), nullptr});
    if (r.orthogonal != 0) bytes_ = orthogonal_penalties_.add(r, p, bytes_);
  }
  make_activity_penalties(training, program, values);
  for (Target& target : targets_)
    if (target.wanted) target.offset = take(target.tensor.size() * static_cast<int64_t>(sizeof(T)));
}

template <class T>
int64_t Objective<T>::take(int64_t bytes) {
  const int64_t offset = bytes_;
  bytes_ += (bytes + kLine - 1) / kLine * kLine;
  return offset;
}

template <class T>
void Objective<T>::want_target(size_t output, bool labels, const std::string& kind) {
  Target& target = targets_[output];
  if (outputs_[output].rank() < 2)
    fail("training: '" + kind + "' needs an output of at least 2 axes, got shape " + to_string(outputs_[output].shape));
  if (target.wanted && target.tensor.integer != labels)
    fail("training: '" + kind + "' takes " + (labels ? "class labels" : "values") +
         ", but something else on the same output takes " + (labels ? "values" : "class labels"));
  target.wanted = true;
  target.tensor = outputs_[output];
  target.tensor.integer = labels;
  if (labels) target.tensor.shape.pop_back();
  target.classes = outputs_[output].columns();
}

template <class T>
void Objective<T>::make_losses(const Training& training, const Program& program) {
  std::vector<bool> written(program.values.size());
  for (const auto& description : training.losses) {
    Loss loss;
    loss.output = static_cast<size_t>(description.output);
    const Tensor& output = outputs_[loss.output];
    LossKind kind{};
    loss_kind(description.kind, kind);
    loss.is_ctc = description.kind == kCtc;
    if (!loss.is_ctc) want_target(loss.output, kind == LossKind::sparse_categorical_crossentropy, description.kind);
    loss.call = loss_arguments<T>(kind, description.attributes, output);
    loss.weight = description.weight;
    const int mask = program.mask_of(loss.output);
    loss.by_lengths = mask != kAbsent && mask == program.lengths;
    loss.by_mask = mask != kAbsent && mask != program.lengths;
    loss.reduction = reduction_of(description);
    const size_t value = static_cast<size_t>(program.outputs[loss.output]);
    loss.adds = written[value];
    written[value] = true;
    if (loss.is_ctc) {
      loss.call.rows = output.samples();
      loss.ctc.steps = output.steps(), loss.ctc.samples = output.samples(), loss.ctc.classes = output.columns();
    }
    loss.weights_offset = take(output.rows() * static_cast<int64_t>(sizeof(T)));
    loss.counted_offset =
        loss.by_lengths || loss.by_mask ? take(output.rows() * static_cast<int64_t>(sizeof(bool))) : 0;
    loss.scratch_offset = loss.adds ? take(output.size() * static_cast<int64_t>(sizeof(T))) : 0;
    loss.sums_offset = take(2 * kReductionParts * 8);
    losses_.push_back(loss);
  }
}

template <class T>
void Objective<T>::make_activity_penalties(const Training& training, const Program& program,
                                           const std::vector<Tensor>& values) {
  std::vector<bool> written(values.size());
  for (const auto& loss : training.losses)
    written[static_cast<size_t>(program.outputs[static_cast<size_t>(loss.output)])] = true;
  for (const auto& r : training.activity_regularizers) {
    const size_t id = static_cast<size_t>(r.value);
    const double samples = static_cast<double>(std::max<int64_t>(values[id].samples(), 1));
    activity_penalties_.push_back(
        {r.l1 / samples, r.l2 / samples, values[id].size(), written[id], take(2 * kReductionParts * 8)});
    written[id] = true;
  }
}

template <class T>
void Objective<T>::make_metrics(const Training& training) {
  for (const auto& description : training.metrics) {
    Metric metric;
    metric.output = static_cast<size_t>(description.output);
    const Tensor& output = outputs_[metric.output];
    const Attributes& attributes = description.attributes;
    LossKind loss{};
    metric.is_loss = loss_kind(description.kind, loss);
    if (metric.is_loss) {
      metric.loss = loss_arguments<T>(loss, attributes, output);
      for (const Loss& other : losses_)
        if (other.output == metric.output && other.call.ignores && loss == LossKind::sparse_categorical_crossentropy)
          metric.loss.ignores = true, metric.loss.ignored = other.call.ignored;
      want_target(metric.output, loss == LossKind::sparse_categorical_crossentropy, description.kind);
    } else {
      MetricArguments<T>& m = metric.metric;
      metric_kind(description.kind, m.kind);
      m.k = attributes.get("k", int64_t{5});
      m.rows = output.rows(), m.classes = output.columns();
      if (m.kind == MetricKind::confusion)
        for (const double threshold : attributes.get("thresholds", std::vector<double>{}))
          metric.thresholds.push_back(static_cast<T>(threshold));
      else
        metric.thresholds.push_back(static_cast<T>(attributes.get("threshold", 0.5)));
      m.threshold_count = static_cast<int64_t>(metric.thresholds.size());
      want_target(metric.output, takes_labels(m.kind), description.kind);
    }
    metric.weighted = description.weighted;
    for (size_t i = 0; i < losses_.size(); ++i)
      if (losses_[i].output == metric.output) metric.loss_of = static_cast<int>(i);
    if (metric.is_loss && !metric.loss.ignores && metric.loss_of != kAbsent) {
      const LossArguments<T>& its = losses_[static_cast<size_t>(metric.loss_of)].call;
      metric.loss.ignores = its.ignores, metric.loss.ignored = its.ignored;
    }
    metric.sums_offset = take(metric.state_size() * kReductionParts * 8);
    metrics_.push_back(metric);
  }
}

template <class T>
void Objective<T>::check(const Samples& samples, int64_t sample_count, const BatchRows& rows) const {
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
    const int64_t width = target.tensor.size() / samples_;
    for (int64_t n = 0; n < rows.count; ++n)
      for (int64_t j = 0; j < width; ++j) {
        const int32_t label = static_cast<const int32_t*>(array.data)[rows.row(n) * width + j];
        if (!label_fits(i, label)) fail(label_error(i, label));
      }
  }
  for (const Loss& loss : losses_) {
    if (loss.is_ctc) check_ctc(loss, samples, sample_count, rows);
    const int64_t steps = outputs_[loss.output].steps();
    for (int64_t n = 0; loss.by_lengths && samples.lengths && n < rows.count; ++n)
      if (const int32_t length = samples.lengths[rows.row(n)]; length < 0 || length > steps)
        fail("lengths: expected values from 0 to " + std::to_string(steps) + ", the time steps of output " +
             std::to_string(loss.output) + ", got " + std::to_string(length));
  }
  for (size_t i = 0; i < samples.weights.size(); ++i) {
    const Array& array = samples.weights[i];
    Shape expected = outputs_[losses_[i].output].shape;
    expected.pop_back();
    expected[0] = sample_count;
    if (array.data && array.shape != expected && array.shape != Shape{sample_count})
      fail("sample_weight[" + std::to_string(i) + "]: expected shape " + to_string({sample_count}) + " or " +
           to_string(expected) + ", got " + to_string(array.shape));
  }
}

// A class, or what all losses that look at the labels ignore; metrics ignore what their loss does.
template <class T>
bool Objective<T>::label_fits(size_t output, int32_t label) const {
  if (label >= 0 && label < targets_[output].classes) return true;
  bool ignored = false;
  for (const Loss& loss : losses_) {
    if (loss.output != output || loss.is_ctc) continue;
    if (!loss.call.ignores || loss.call.ignored != label) return false;
    ignored = true;
  }
  return ignored;
}

template <class T>
std::string Objective<T>::label_error(size_t output, int32_t label) const {
  return target_name(output) + ": expected labels from 0 to " + std::to_string(targets_[output].classes - 1) +
         ", got " + std::to_string(label);
}

// What `check` saw may have changed since.
template <class T>
void Objective<T>::check_loaded_labels(size_t output, const Team& team) {
  const Target& target = targets_[output];
  const auto* labels = static_cast<const int32_t*>(target.data);
  const Range mine = team_range(samples_, team, 1);
  const int64_t steps = target.tensor.steps(), width = target.tensor.width();
  for (int64_t t = 0; t < steps; ++t)
    for (int64_t j = (t * samples_ + mine.begin) * width; j < (t * samples_ + mine.end) * width; ++j)
      if (!label_fits(output, labels[j])) return fault_.set(label_error(output, labels[j]));
}

template <class T>
void Objective<T>::bind(std::byte* memory, const std::vector<const T*>& outputs,
                        const std::vector<T*>& output_gradients, const std::vector<const int32_t*>& masks,
                        const std::vector<const T*>& penalised, const std::vector<T*>& penalised_gradients,
                        const T* parameters, T* gradients) {
  parameters_ = parameters, gradients_ = gradients;
  const auto sums = [&](int64_t offset) { return reinterpret_cast<double*>(memory + offset); };
  for (Target& target : targets_) target.data = memory + target.offset;
  for (Loss& loss : losses_) {
    loss.weights = reinterpret_cast<T*>(memory + loss.weights_offset);
    loss.counted = reinterpret_cast<bool*>(memory + loss.counted_offset);
    loss.mask = masks[loss.output];
    loss.total_gradient = output_gradients[loss.output];
    loss.call.output = outputs[loss.output];
    loss.call.target = targets_[loss.output].data;
    loss.call.gradient =
        loss.adds && loss.total_gradient ? reinterpret_cast<T*>(memory + loss.scratch_offset) : loss.total_gradient;
    loss.call.sums = sums(loss.sums_offset);
  }
  for (Metric& metric : metrics_) {
    metric.sums = sums(metric.sums_offset);
    metric.loss.output = metric.metric.output = outputs[metric.output];
    metric.loss.target = metric.metric.target = targets_[metric.output].data;
    metric.loss.sums = metric.metric.sums = metric.sums;
    metric.metric.thresholds = metric.thresholds.data();
  }
  for (Penalty& penalty : penalties_) penalty.sums = sums(penalty.sums_offset);
  orthogonal_penalties_.bind(memory, parameters);
  for (size_t i = 0; i < activity_penalties_.size(); ++i) {
    activity_penalties_[i].sums = sums(activity_penalties_[i].sums_offset);
    activity_penalties_[i].value = penalised[i];
    activity_penalties_[i].gradient = penalised_gradients[i];
  }
}

template <class T>
void Objective<T>::load(const Samples& samples, const BatchRows& rows, const Team& team) {
  for (size_t i = 0; i < targets_.size(); ++i) {
    const Target& target = targets_[i];
    if (!target.wanted) continue;
    const int64_t steps = target.tensor.steps(), width = target.tensor.width();
    if (target.tensor.integer) {
      gather(static_cast<const int32_t*>(samples.targets[i].data), static_cast<int32_t*>(target.data), steps, width,
             rows, team);
      check_loaded_labels(i, team);
    } else
      gather(static_cast<const T*>(samples.targets[i].data), static_cast<T*>(target.data), steps, width, rows, team);
  }
  const auto weighted = [&](size_t i) { return i < samples.weights.size() && samples.weights[i].data; };
  for (size_t i = 0; i < losses_.size(); ++i) {
    if (weighted(i)) load_weights(losses_[i], samples.weights[i], rows, team);
    if (losses_[i].by_lengths && samples.lengths)
      mark(losses_[i], team, [&](int64_t t, int64_t n) { return t < samples.lengths[rows.row(n)]; });
  }
  if (team.thread > 0) return;
  // What is absent in this call reads as ones.
  for (size_t i = 0; i < losses_.size(); ++i) {
    Loss& loss = losses_[i];
    const bool has_lengths = loss.by_lengths && samples.lengths;
    int64_t positions = loss.call.rows;
    loss.call.weight = weighted(i) ? loss.weights : nullptr;
    loss.call.counted = has_lengths || loss.by_mask ? loss.counted : nullptr;
    if (has_lengths) {
      positions = 0;
      for (int64_t n = 0; n < rows.count; ++n) positions += samples.lengths[rows.row(n)];
      positions *= inner_positions(outputs_[loss.output]);
    }
    set_positions(loss, positions);
    if (loss.is_ctc) load_ctc(loss, samples, rows, team);
  }
  for (Metric& metric : metrics_) {
    if (metric.loss_of == kAbsent) continue;
    const LossArguments<T>& loss = losses_[static_cast<size_t>(metric.loss_of)].call;
    metric.loss.weight = metric.metric.weight = metric.weighted ? loss.weight : nullptr;
    metric.loss.counted = metric.metric.counted = loss.counted;
  }
}

template <class T>
void Objective<T>::load_weights(const Loss& loss, const Array& weights, const BatchRows& rows, const Team& team) const {
  const T* data = static_cast<const T*>(weights.data);
  const int64_t steps = outputs_[loss.output].steps(), width = inner_positions(outputs_[loss.output]);
  if (weights.shape.size() > 1) return gather(data, loss.weights, steps, width, rows, team);
  const Range mine = team_range(rows.count, team, 1);
  for (int64_t t = 0; t < steps; ++t)
    for (int64_t n = mine.begin; n < mine.end; ++n)
      std::fill_n(loss.weights + (t * rows.count + n) * width, width, data[rows.row(n)]);
}

template <class T>
template <class IsReal>
void Objective<T>::mark(const Loss& loss, const Team& team, const IsReal& is_real) const {
  const int64_t steps = outputs_[loss.output].steps(), width = inner_positions(outputs_[loss.output]);
  const Range mine = team_range(samples_, team, 1);
  for (int64_t t = 0; t < steps; ++t)
    for (int64_t n = mine.begin; n < mine.end; ++n)
      std::fill_n(loss.counted + (t * samples_ + n) * width, width, is_real(t, n));
}

template <class T>
void Objective<T>::mark_by_masks(const Team& team) {
  if (std::none_of(losses_.begin(), losses_.end(), [](const Loss& loss) { return loss.by_mask; })) return;
  for (const Loss& loss : losses_)
    if (loss.by_mask) mark(loss, team, [&](int64_t t, int64_t n) { return loss.mask[t * samples_ + n] != 0; });
  team_barrier(team);
  if (team.thread == 0)
    for (Loss& loss : losses_) {
      if (!loss.by_mask) continue;
      set_positions(loss, std::count(loss.counted, loss.counted + loss.call.rows, true));
      if (loss.is_ctc) check_ctc_steps(loss);
    }
  team_barrier(team);
}

template <class T>
void Objective<T>::check_ctc(const Loss& loss, const Samples& samples, int64_t sample_count,
                             const BatchRows& rows) const {
  const std::string name = target_name(loss.output);
  const Array& array = samples.targets[loss.output];
  if (!array.data || array.shape.size() != 2 || array.shape[0] != sample_count)
    fail(name + ": ctc expected shape (" + std::to_string(sample_count) + ", labels), got " +
         (array.data ? to_string(array.shape) : "None"));
  if (!array.integer) throw WrongType(name + ": expected dtype int32");
  const int64_t width = array.shape[1];
  for (int64_t n = 0; n < rows.count; ++n) {
    const int64_t row = rows.row(n);
    const int32_t* labels = static_cast<const int32_t*>(array.data) + row * width;
    if (const std::string error = ctc_place(loss, samples, row).error(labels, width); !error.empty()) fail(error);
  }
}

// With the steps that are known to be real before the forward pass.
template <class T>
CtcPlace Objective<T>::ctc_place(const Loss& loss, const Samples& samples, int64_t sample) {
  const int64_t steps = loss.by_lengths && samples.lengths ? samples.lengths[sample] : loss.ctc.steps;
  return {loss.output, sample, loss.ctc.classes, steps};
}

// What `check_ctc` cannot know: the steps that are real by a mask of the Program's own.
template <class T>
void Objective<T>::check_ctc_steps(const Loss& loss) {
  for (int64_t n = 0; n < samples_; ++n) {
    CtcPlace place{loss.output, loss.samples[static_cast<size_t>(n)], loss.ctc.classes, 0};
    for (int64_t t = 0; t < loss.ctc.steps; ++t) place.steps += loss.mask[t * samples_ + n] != 0;
    if (std::string error = place.error(loss.ctc.labels + n * loss.ctc.width, loss.ctc.width); !error.empty())
      return fault_.set(std::move(error));
  }
}

// One thread, when everything else about the batch is known. The labels are copied, for their number is not part of
// the plan, and looked at once more: they may have changed since `check`.
template <class T>
void Objective<T>::load_ctc(Loss& loss, const Samples& samples, const BatchRows& rows, const Team& team) {
  CtcArguments<T>& ctc = loss.ctc;
  const Array& labels = samples.targets[loss.output];
  ctc.width = labels.shape[1];
  loss.labels.clear(), loss.samples.clear();
  for (int64_t n = 0; n < rows.count; ++n) {
    const int64_t row = rows.row(n);
    const auto* given = static_cast<const int32_t*>(labels.data) + row * ctc.width;
    loss.labels.insert(loss.labels.end(), given, given + ctc.width);
    loss.samples.push_back(row);
    const int32_t* copied = loss.labels.data() + n * ctc.width;
    if (std::string error = ctc_place(loss, samples, row).error(copied, ctc.width); !error.empty())
      fault_.set(std::move(error));
  }
  ctc.labels = loss.labels.data();
  ctc.weight = loss.call.weight;
  ctc.counted = loss.call.counted;
  ctc.output = loss.call.output, ctc.gradient = loss.call.gradient, ctc.sums = loss.call.sums;
  const size_t needed = static_cast<size_t>(kernels_.ctc_workspace(ctc.steps, ctc.width) * team.threads);
  if (ctc_workspace_.size() < needed) ctc_workspace_.resize(needed);
  loss.call.counted = nullptr;
}

template <class T>
void Objective<T>::set_positions(Loss& loss, int64_t positions) {
  if (loss.is_ctc) positions = loss.call.rows;  // one a sample, however many steps it has
  set_divisor(loss, loss.reduction == Reduction::sum ? 1.0 : static_cast<double>(positions));
}

template <class T>
void Objective<T>::set_divisor(Loss& loss, double divisor) {
  loss.divisor = divisor;
  loss.call.scale = static_cast<T>(divisor == 0 ? 0 : loss.weight / divisor);
}

// Where the divisor depends on labels or weights.
template <class T>
void Objective<T>::count(Loss& loss) const {
  const LossArguments<T>& a = loss.call;
  double sum = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    if ((a.counted && !a.counted[r]) || (a.ignores && static_cast<const int32_t*>(a.target)[r] == a.ignored)) continue;
    sum += loss.reduction == Reduction::mean_with_sample_weight && a.weight ? static_cast<double>(a.weight[r]) : 1.0;
  }
  set_divisor(loss, sum);
}

template <class T>
bool Objective<T>::may_overwrite(size_t output) const {
  const auto on_it = [&](const Loss& loss) { return loss.output == output; };
  if (std::count_if(losses_.begin(), losses_.end(), on_it) != 1) return false;
  const Loss& loss = *std::find_if(losses_.begin(), losses_.end(), on_it);
  return !loss.is_ctc && loss.call.kind == LossKind::sparse_categorical_crossentropy && loss.call.from_logits;
}

template <class T>
void Objective<T>::evaluate(const Team& team) {
  mark_by_masks(team);
  // First the metrics: a loss may overwrite its output.
  for (const Metric& metric : metrics_) {
    if (metric.is_loss)
      kernels_.loss(metric.loss, team);
    else
      measure(metric.metric, team);
  }
  if (!metrics_.empty()) team_barrier(team);
  for (Loss& loss : losses_) {
    const bool counts = loss.reduction == Reduction::mean_with_sample_weight || loss.call.ignores;
    if (counts && loss.reduction != Reduction::sum) {
      if (team.thread == 0) count(loss);
      team_barrier(team);
    }
    if (loss.is_ctc) {
      CtcArguments<T> ctc = loss.ctc;
      ctc.scale = loss.call.scale;
      ctc.workspace = ctc_workspace_.data();
      kernels_.ctc(ctc, team);
    } else
      kernels_.loss(loss.call, team);
    if (!loss.adds || !loss.call.gradient) continue;
    team_barrier(team);
    kernels_.add(outputs_[loss.output].size(), loss.call.gradient, loss.total_gradient, team);
  }
  for (const Penalty& penalty : penalties_)
    for (int part = team.thread; part < kReductionParts; part += team.threads) {
      const Range range = team_range(penalty.size, part, kReductionParts, 8);
      kernels_.norms(range.end - range.begin, parameters_ + penalty.offset + range.begin, penalty.sums + 2 * part);
    }
  orthogonal_penalties_.evaluate(team);
  penalise_activities(team);
}

template <class T>
void Objective<T>::penalise_activities(const Team& team) const {
  for (const ActivityPenalty& p : activity_penalties_) {
    for (int part = team.thread; part < kReductionParts; part += team.threads) {
      const Range range = team_range(p.size, part, kReductionParts, 8);
      kernels_.norms(range.end - range.begin, p.value + range.begin, p.sums + 2 * part);
    }
    if (!p.gradient) continue;
    if (!p.adds) zero(p.size, p.gradient, team);
    team_barrier(team);  // after whoever wrote the gradient first
    kernels_.regularize(p.size, p.value, static_cast<T>(p.l1), static_cast<T>(p.l2), p.gradient, team);
  }
}

template <class T>
void Objective<T>::regularize(const Team& team) const {
  for (const Penalty& p : penalties_)
    if (p.trainable)
      kernels_.regularize(p.size, parameters_ + p.offset, static_cast<T>(p.l1), static_cast<T>(p.l2),
                          gradients_ + p.offset, team);
  orthogonal_penalties_.backward(gradients_, team);
}

template <class T>
void Objective<T>::accumulate(double* state) const {
  const double samples = static_cast<double>(samples_);
  double total = 0;
  for (size_t i = 0; i < losses_.size(); ++i) {
    double sums[2] = {0, 0};
    add_parts(losses_[i].call.sums, 2, sums);
    const double divisor = losses_[i].divisor;
    const double value = divisor == 0 ? 0 : sums[0] / divisor;
    total += losses_[i].weight * value;
    if (losses_.size() > 1) {
      state[2 + 2 * i] += value * samples;
      state[3 + 2 * i] += samples;
    }
  }
  const auto penalise = [&](const auto& penalty) {
    double sums[2] = {0, 0};
    add_parts(penalty.sums, 2, sums);
    if (penalty.l1 != 0) total += penalty.l1 * sums[0];
    if (penalty.l2 != 0) total += penalty.l2 * sums[1];
  };
  std::for_each(penalties_.begin(), penalties_.end(), penalise);
  total += orthogonal_penalties_.total();
  std::for_each(activity_penalties_.begin(), activity_penalties_.end(), penalise);
  state[0] += total * samples;
  state[1] += samples;
  state += 2 + (losses_.size() > 1 ? 2 * losses_.size() : 0);
  for (const Metric& metric : metrics_) {
    const double before = state[1];
    add_parts(metric.sums, metric.state_size(), state);
    // Ignored labels add nothing; without weights or a mask they count all the same, as in Keras.
    if (metric.is_loss && metric.loss.ignores && !metric.loss.weight && !metric.loss.counted)
      state[1] = before + static_cast<double>(metric.loss.rows);
    state += metric.state_size();
  }
}

template class Objective<float>;
template class Objective<double>;

}  // namespace rnncore
