#include "engine/objective/metrics.h"

namespace rnncore {

template <class T>
Metrics<T>::Metrics(const Training& training, const std::vector<Tensor>& outputs, const Losses& losses,
                    Targets<T>& targets, const OpKernels<T>& kernels, Room& room)
    : kernels_(kernels) {
  for (const auto& description : training.metrics) {
    Metric metric;
    metric.output = static_cast<size_t>(description.output);
    metric.weighted = description.weighted;
    const Tensor& output = outputs[metric.output];
    const Attributes& attributes = description.attributes;
    const auto loss = loss_kind(description.kind);
    metric.is_loss = loss.has_value();
    const bool sparse = loss == LossKind::sparse_categorical_crossentropy;
    if (loss) metric.loss = loss_arguments<T>(*loss, attributes, output);
    for (const auto& other : losses) {
      if (other->output != metric.output) continue;
      metric.loss_of = other.get();
      if (sparse && other->call().ignores) metric.loss.ignores = true, metric.loss.ignored = other->call().ignored;
    }
    if (loss && !metric.loss.ignores && metric.loss_of) {
      metric.loss.ignores = metric.loss_of->call().ignores;
      metric.loss.ignored = metric.loss_of->call().ignored;
    }
    if (!loss) {
      MetricArguments<T>& m = metric.metric;
      m.kind = metric_kind(description.kind).value();
      m.k = attributes.get("k", int64_t{5});
      m.rows = output.rows(), m.classes = output.columns();
      if (m.kind == MetricKind::confusion)
        for (const double threshold : attributes.get("thresholds", std::vector<double>{}))
          metric.thresholds.push_back(static_cast<T>(threshold));
      else
        metric.thresholds.push_back(static_cast<T>(attributes.get("threshold", 0.5)));
      m.threshold_count = static_cast<int64_t>(metric.thresholds.size());
    }
    targets.want(metric.output, loss ? sparse : takes_labels(metric.metric.kind), description.kind);
    metric.sums_offset = room.take(metric.state_size() * kReductionParts * 8);
    metrics_.push_back(metric);
  }
}

template <class T>
void Metrics<T>::bind(const ObjectiveBuffers<T>& buffers, const Targets<T>& targets) {
  for (Metric& metric : metrics_) {
    metric.sums = reinterpret_cast<double*>(buffers.memory + metric.sums_offset);
    metric.loss.output = metric.metric.output = buffers.outputs[metric.output];
    metric.loss.target = metric.metric.target = targets.data(metric.output);
    metric.loss.sums = metric.metric.sums = metric.sums;
    metric.metric.thresholds = metric.thresholds.data();
  }
}

template <class T>
void Metrics<T>::start() {
  for (Metric& metric : metrics_) {
    if (!metric.loss_of) continue;
    const LossArguments<T>& loss = metric.loss_of->call();
    metric.loss.weight = metric.metric.weight = metric.weighted ? loss.weight : nullptr;
    metric.loss.counted = metric.metric.counted = loss.counted;
  }
}

template <class T>
void Metrics<T>::evaluate(const Team& team) const {
  for (const Metric& metric : metrics_) {
    if (metric.is_loss)
      kernels_.loss(metric.loss, team);
    else
      measure(metric.metric, team);
  }
  if (!metrics_.empty()) team_barrier(team);
}

template <class T>
void Metrics<T>::accumulate(double* state) const {
  for (const Metric& metric : metrics_) {
    const double before = state[1];
    add_parts(metric.sums, metric.state_size(), state);
    // Ignored labels add nothing; without weights or a mask they count all the same, as in Keras.
    if (metric.is_loss && metric.loss.ignores && !metric.loss.weight && !metric.loss.counted)
      state[1] = before + static_cast<double>(metric.loss.rows);
    state += metric.state_size();
  }
}

template class Metrics<float>;
template class Metrics<double>;

}  // namespace rnncore
