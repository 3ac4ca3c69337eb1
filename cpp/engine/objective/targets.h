// The targets of a batch, stored as the outputs are.
#pragma once

#include <optional>
#include <string>

#include "core/ops.h"
#include "engine/copy.h"
#include "engine/fault.h"
#include "engine/layout.h"
#include "engine/samples.h"

namespace rnncore {

template <class T>
class Targets {
 public:
  Targets(const std::vector<Tensor>& outputs, Fault& fault);

  // Something called `kind` reads the targets of an output, as class labels or as values, of which there is one for
  // each `share` of the output's.
  void want(size_t output, bool labels, const std::string& kind, int64_t share = 1);
  // A loss reads them; a label that all losses ignore need not be a class.
  void ignore(size_t output, const LossArguments<T>& loss);
  void make_room(Room& room);

  void check(const Samples& samples, int64_t sample_count, const BatchRows& rows) const;
  void bind(std::byte* memory);
  const void* data(size_t output) const { return targets_[output].data; }
  // Every thread of the team calls it; a label that does not fit is a fault.
  void load(const Samples& samples, const BatchRows& rows, const Team& team);

 private:
  struct Target {
    Tensor output, tensor;
    bool wanted = false, read = false;
    std::optional<int32_t> ignored = {};
    int64_t offset = 0;
    void* data = nullptr;

    bool fits(int32_t label) const { return (label >= 0 && label < output.columns()) || label == ignored; }
  };

  std::string label_error(size_t output, int32_t label) const;
  void check_loaded(size_t output, const Team& team);

  std::vector<Target> targets_;  // by output
  Fault& fault_;
};

extern template class Targets<float>;
extern template class Targets<double>;

}  // namespace rnncore
