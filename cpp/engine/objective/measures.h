// Metrics that are not losses: what a batch adds to their sums, in fixed parts.
#pragma once

#include "core/ops.h"
#include "engine/names.h"

namespace rnncore {

enum class MetricKind : uint8_t {
  binary_accuracy,
  categorical_accuracy,
  sparse_categorical_accuracy,
  top_k_categorical_accuracy,
  sparse_top_k_categorical_accuracy,
  confusion
};

constexpr const char* kMetricNames[] = {"binary_accuracy",
                                        "categorical_accuracy",
                                        "sparse_categorical_accuracy",
                                        "top_k_categorical_accuracy",
                                        "sparse_top_k_categorical_accuracy",
                                        "confusion"};

inline std::optional<MetricKind> metric_kind(std::string_view name) {
  return find_member<MetricKind>(kMetricNames, name);
}
bool takes_labels(MetricKind kind);

template <class T>
struct MetricArguments {
  MetricKind kind;
  int64_t k;            // of the top-k accuracies
  const T* thresholds;  // of binary_accuracy (1) and confusion
  int64_t threshold_count;
  int64_t rows, classes;
  const T* output;      // (rows, C)
  const void* target;   // (rows, C) of T, or (rows,) labels
  const T* weight;      // (rows,) or null for ones
  const bool* counted;  // (rows,) or null for all: rows that are not padding
  double* sums;         // (kReductionParts, state size)

  // total and weight, or the four counts for each threshold
  int64_t state_size() const { return kind == MetricKind::confusion ? 4 * threshold_count : 2; }
};

// Each thread of the team calls it; sums are there after a barrier.
template <class T>
void measure(const MetricArguments<T>& m, const Team& team);

extern template void measure(const MetricArguments<float>&, const Team&);
extern template void measure(const MetricArguments<double>&, const Team&);

}  // namespace rnncore
