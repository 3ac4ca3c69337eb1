// Losses and their gradients: one value per row, the mean over the last axis or, for cross-entropies over
// classes, their sum.
#pragma once

#include "core/class_losses.h"

namespace rnncore {
namespace {

template <class T>
RNNCORE_INLINE void loss_rows(const LossArguments<T>& a, Range rows, double (&sums)[2]) {
  const auto mean = [&](auto f) { elementwise_rows(a, rows, sums, f, static_cast<double>(a.classes)); };
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
    case LossKind::kl_divergence: return elementwise_rows(a, rows, sums, Divergence<T>{}, 1);
    case LossKind::cosine_similarity: return each_row(a, rows, sums, CosineSimilarity{});
    case LossKind::categorical_hinge: return each_row(a, rows, sums, CategoricalHinge{});
    case LossKind::categorical_focal_crossentropy:
      return each_row(a, rows, sums, CategoricalFocalCrossentropy{a.from_logits, a.alpha, a.gamma, smoothing});
    case LossKind::categorical_crossentropy:
      return class_rows(a, rows, sums,
                        DenseTarget<T>{static_cast<const T*>(a.target), a.classes, 1 - a.label_smoothing,
                                       a.label_smoothing / static_cast<T>(a.classes)});
    case LossKind::sparse_categorical_crossentropy:
      if (a.from_logits) return label_rows(a, rows, sums);
      return class_rows(a, rows, sums, SparseTarget{static_cast<const int32_t*>(a.target)});
  }
}

template <class T>
void loss(const LossArguments<T>& a, const Team& team) {
  for (int part = team.thread; part < kReductionParts; part += team.threads) {
    double sums[2] = {0, 0};
    loss_rows(a, team_range(a.rows, part, kReductionParts, 8), sums);
    a.sums[2 * part] = sums[0];
    a.sums[2 * part + 1] = sums[1];
  }
}

}  // namespace
}  // namespace rnncore
