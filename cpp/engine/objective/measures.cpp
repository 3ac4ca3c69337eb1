#include "engine/objective/measures.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rnncore {
namespace {

template <class T>
double binary_accuracy(const MetricArguments<T>& m, const T* y, const T* t) {
  int64_t right = 0;
  for (int64_t c = 0; c < m.classes; ++c) right += t[c] == T(y[c] > m.thresholds[0]);
  return static_cast<double>(right) / static_cast<double>(m.classes);
}

// The first of the greatest, of which NaN is one.
template <class T>
int64_t largest(const T* x, int64_t count) {
  return std::max_element(x, x + count, [](T a, T b) { return a < b || (b != b && a == a); }) - x;
}

// The right class of a row.
template <class T>
int64_t label_of(const MetricArguments<T>& m, int64_t r) {
  if (takes_labels(m.kind)) return static_cast<const int32_t*>(m.target)[r];
  return largest(static_cast<const T*>(m.target) + r * m.classes, m.classes);
}

template <class T>
double value_of(const MetricArguments<T>& m, int64_t r) {
  const T* y = m.output + r * m.classes;
  if (m.kind == MetricKind::binary_accuracy)
    return binary_accuracy(m, y, static_cast<const T*>(m.target) + r * m.classes);
  const int64_t label = label_of(m, r);
  if (m.kind == MetricKind::categorical_accuracy || m.kind == MetricKind::sparse_categorical_accuracy)
    return largest(y, m.classes) == label;
  if (label < 0 || label >= m.classes) return 0;  // a label that the loss ignores
  // In the top k when fewer than k classes score higher. NaN is the lowest score, as to Keras.
  const T score = std::isnan(y[label]) ? -std::numeric_limits<T>::infinity() : y[label];
  return std::count_if(y, y + m.classes, [&](T other) { return other > score; }) < m.k;
}

// True positives, false positives, false negatives, true negatives, each for all thresholds.
template <class T>
void count_confusion(const MetricArguments<T>& m, int64_t r, double weight, double* counts) {
  const T* y = m.output + r * m.classes;
  const T* t = static_cast<const T*>(m.target) + r * m.classes;
  const int64_t K = m.threshold_count;
  for (int64_t c = 0; c < m.classes; ++c) {
    double* positive = counts + (t[c] > T(0.5) ? 0 : K);
    double* negative = counts + (t[c] > T(0.5) ? 2 * K : 3 * K);
    for (int64_t k = 0; k < K; ++k) (y[c] > m.thresholds[k] ? positive : negative)[k] += weight;
  }
}

}  // namespace

bool takes_labels(MetricKind kind) {
  return kind == MetricKind::sparse_categorical_accuracy || kind == MetricKind::sparse_top_k_categorical_accuracy;
}

template <class T>
void measure(const MetricArguments<T>& m, const Team& team) {
  const int64_t size = m.state_size();
  for (int part = team.thread; part < kReductionParts; part += team.threads) {
    double* sums = m.sums + part * size;
    std::fill_n(sums, size, 0.0);
    const Range rows = team_range(m.rows, part, kReductionParts, 8);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      if (m.counted && !m.counted[r]) continue;
      const double weight = m.weight ? static_cast<double>(m.weight[r]) : 1.0;
      if (m.kind == MetricKind::confusion) {
        count_confusion(m, r, weight, sums);
      } else {
        sums[0] += weight * value_of(m, r);
        sums[1] += weight;
      }
    }
  }
}

template void measure(const MetricArguments<float>&, const Team&);
template void measure(const MetricArguments<double>&, const Team&);

}  // namespace rnncore
