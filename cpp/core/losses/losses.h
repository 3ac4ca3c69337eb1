// Losses and their gradients: one value per row, the mean over the last axis or, for cross-entropies over
// classes, their sum.
#pragma once

#include "core/losses/class_losses.h"

namespace rnncore {
namespace {

// Runs body(rows, sums) for this thread's parts of the rows.
template <class T, class Body>
RNNCORE_INLINE void each_part(const LossArguments<T>& a, const Team& team, Body body) {
  for (int part = team.thread; part < kReductionParts; part += team.threads) {
    double sums[2] = {0, 0};
    const Range rows = team_range(a.rows, part, kReductionParts, 8);
    if (rows.begin < rows.end) body(rows, sums);
    a.sums[2 * part] = sums[0];
    a.sums[2 * part + 1] = sums[1];
  }
}

template <class T>
void loss(const LossArguments<T>& a, const Team& team) {
  using Sums = double (&)[2];
  const auto each = [&](auto f) { each_part(a, team, [&](Range rows, Sums sums) { each_row(a, rows, sums, f); }); };
  const auto sum = [&](auto f, double divisor) {
    each_part(a, team, [&](Range rows, Sums sums) { elementwise_rows(a, rows, sums, f, divisor); });
  };
  const auto mean = [&](auto f) { sum(f, static_cast<double>(a.classes)); };
  const auto over_classes = [&](auto target) {
    each_part(a, team, [&](Range rows, Sums sums) { class_rows(a, rows, sums, target); });
  };
  const double smoothing = static_cast<double>(a.label_smoothing);
  switch (a.kind) {
    case LossKind::mean_squared_error: return mean(SquaredError<T>{});
    case LossKind::mean_absolute_error: return mean(AbsoluteError<T>{});
    case LossKind::mean_absolute_percentage_error: return mean(AbsolutePercentageError<T>{});
    case LossKind::mean_squared_logarithmic_error: return mean(SquaredLogarithmicError<T>{});
    case LossKind::huber: return mean(Huber<T>{a.delta});
    case LossKind::log_cosh: return mean(LogCosh<T>{});
    case LossKind::poisson: return mean(Poisson<T>{});
    case LossKind::hinge: return mean(Hinge<T>{});
    case LossKind::squared_hinge: return mean(SquaredHinge<T>{});
    case LossKind::binary_crossentropy:
      if (a.from_logits) return mean(BinaryCrossentropyLogits<T>{a.label_smoothing});
      return mean(BinaryCrossentropy<T>{a.label_smoothing});
    case LossKind::binary_focal_crossentropy:
      return mean(BinaryFocalCrossentropy<T>{a.from_logits, a.balanced, a.alpha, a.gamma, smoothing});
    case LossKind::kl_divergence: return sum(Divergence<T>{}, 1);
    case LossKind::cosine_similarity: return each(CosineSimilarity{});
    case LossKind::categorical_hinge: return each(CategoricalHinge{});
    case LossKind::categorical_focal_crossentropy:
      return each(CategoricalFocalCrossentropy{a.from_logits, a.alpha, a.gamma, smoothing});
    case LossKind::categorical_crossentropy:
      return over_classes(DenseTarget<T>{static_cast<const T*>(a.target), a.classes, 1 - a.label_smoothing,
                                         a.label_smoothing / static_cast<T>(a.classes)});
    case LossKind::sparse_categorical_crossentropy:
      if (a.from_logits) return each_part(a, team, [&](Range rows, Sums sums) { label_rows(a, rows, sums); });
      return over_classes(SparseTarget{static_cast<const int32_t*>(a.target)});
  }
}

}  // namespace
}  // namespace rnncore
