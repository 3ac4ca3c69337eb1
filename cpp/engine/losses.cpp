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

}  // namespace rnncore
