// The metrics of a step, those that are means of losses among them.
#pragma once

#include <memory>

#include "engine/objective/loss.h"
#include "engine/objective/measures.h"
#include "engine/objective/targets.h"

namespace rnncore {

template <class T>
class Metrics {
 public:
  using Losses = std::vector<std::unique_ptr<Loss<T>>>;

  // On outputs with these losses.
  Metrics(const Training& training, const std::vector<Tensor>& outputs, const Losses& losses, Targets<T>& targets,
          const OpKernels<T>& kernels, Room& room);

  void bind(const ObjectiveBuffers<T>& buffers, const Targets<T>& targets);
  void start();  // one thread, once the losses have started
  void evaluate(const Team& team) const;
  void accumulate(double* state) const;

 private:
  struct Metric {
    bool is_loss;
    LossArguments<T> loss{};
    MetricArguments<T> metric{};
    std::vector<T> thresholds;
    size_t output;
    bool weighted;
    const Loss<T>* loss_of = nullptr;  // on its output, whose mask it uses, and sample weights if weighted
    int64_t sums_offset = 0;
    double* sums = nullptr;

    int64_t state_size() const { return is_loss ? 2 : metric.state_size(); }
  };

  const OpKernels<T>& kernels_;
  std::vector<Metric> metrics_;
};

extern template class Metrics<float>;
extern template class Metrics<double>;

}  // namespace rnncore
