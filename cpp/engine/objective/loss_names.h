// The losses and their reductions by the names that the Python layer gives them.
#pragma once

#include "core/ops.h"
#include "engine/names.h"
#include "engine/program.h"

namespace rnncore {

// Losses of their own classes, whose values are those of whole rows.
constexpr const char* kCtc = "ctc";
constexpr const char* kCrf = "crf";

inline std::optional<LossKind> loss_kind(std::string_view name) { return find_member<LossKind>(kLossNames, name); }

// What the weighted sum of a batch is divided by: the number of its positions, nothing, or the sum of their weights.
enum class Reduction : uint8_t { sum_over_batch_size, sum, mean_with_sample_weight };
constexpr const char* kReductionNames[] = {"sum_over_batch_size", "sum", "mean_with_sample_weight"};

inline Reduction reduction_of(const LossDescription& description) {
  const std::string name = description.attributes.get<std::string>("reduction", kReductionNames[0]);
  if (const auto reduction = find_member<Reduction>(kReductionNames, name)) return *reduction;
  throw std::invalid_argument("training: unknown reduction '" + name + "'");
}

}  // namespace rnncore
