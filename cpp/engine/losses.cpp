#include "engine/losses.h"

#include <iterator>

namespace rnncore {
namespace {

constexpr const char* kLossNames[] = {"mean_squared_error",
                                      "mean_absolute_error",
                                      "mean_absolute_percentage_error",
                                      "mean_squared_logarithmic_error",
                                      "huber",
                                      "log_cosh",
                                      "poisson",
                                      "cosine_similarity",
                                      "hinge",
                                      "squared_hinge",
                                      "categorical_hinge",
                                      "binary_crossentropy",
                                      "categorical_crossentropy",
                                      "sparse_categorical_crossentropy",
                                      "kl_divergence",
                                      "binary_focal_crossentropy",
                                      "categorical_focal_crossentropy"};

}  // namespace

bool loss_kind(const std::string& name, LossKind& kind) {
  for (size_t i = 0; i < std::size(kLossNames); ++i)
    if (name == kLossNames[i]) {
      kind = static_cast<LossKind>(i);
      return true;
    }
  return false;
}

Reduction reduction_of(const LossDescription& description) {
  const std::string name = description.attributes.get<std::string>("reduction", "sum_over_batch_size");
  if (name == "sum_over_batch_size") return Reduction::sum_over_batch_size;
  if (name == "sum") return Reduction::sum;
  if (name == "mean_with_sample_weight") return Reduction::mean_with_sample_weight;
  throw std::invalid_argument("training: unknown reduction '" + name + "'");
}

}  // namespace rnncore
