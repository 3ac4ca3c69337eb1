// What a step minimises and measures: losses, metrics and regularizers for one shape of batch.
#pragma once

#include <string>

#include "core/kernels.h"
#include "engine/copy.h"
#include "engine/ctc_labels.h"
#include "engine/fault.h"
#include "engine/losses.h"
#include "engine/metrics.h"
#include "engine/orthogonal_penalties.h"
#include "engine/samples.h"

namespace rnncore {

template <class T>
class Objective {
 public:
  // `values`: the shapes of the Program's values.
  Objective(const Training& training, const Program& program, const std::vector<Tensor>& values, const Kernels& kernels,
            Fault& fault);

  // Throws std::invalid_argument when targets or weights do not fit; looks at the labels of the given rows.
  void check(const Samples& samples, int64_t sample_count, const BatchRows& rows) const;

  // Memory that stays alive during a step.
  int64_t bytes() const { return bytes_; }
  // Output gradients are null where not wanted.
  // Masks (T, N) are null where an output has none or the lengths. Penalised values and their gradients come in the
  // order of the activity regularizers.
  void bind(std::byte* memory, const std::vector<const T*>& outputs, const std::vector<T*>& output_gradients,
            const std::vector<const int32_t*>& masks, const std::vector<const T*>& penalised,
            const std::vector<T*>& penalised_gradients, const T* parameters, T* gradients);

  // Every thread of the team calls these; results are there after a barrier of the caller's. Labels that turn out not
  // to fit are a fault: of the caller's arrays in `load`, of masks of the Program's own in `evaluate`.
  void load(const Samples& samples, const BatchRows& rows, const Team& team);
  void evaluate(const Team& team);
  // Whether an output's gradient may lie where the output does: its one loss goes row by row and is its last reader.
  bool may_overwrite(size_t output) const;
  void regularize(const Team& team) const;

  // Adds losses and metrics of this batch to the caller's state; one thread.
  void accumulate(double* state) const;

 private:
  // Targets of one output, stored as the output is.
  struct Target {
    Tensor tensor;
    bool wanted = false;
    int64_t classes = 0;
    int64_t offset = 0;
    void* data = nullptr;
  };

  struct Loss {
    LossArguments<T> call{};
    bool is_ctc = false;  // takes what it shares with the others from the call
    CtcArguments<T> ctc{};
    std::vector<int32_t> labels;   // of ctc (N, L)
    std::vector<int64_t> samples;  // (N,): which they are, for messages
    size_t output;
    double weight;
    bool by_lengths, by_mask;       // what says which steps count, if anything does
    const int32_t* mask = nullptr;  // (T, N), made in the forward pass
    bool adds;                      // an earlier loss has written the gradient of this value
    T* total_gradient = nullptr;
    T* weights = nullptr;     // room for the sample weights
    bool* counted = nullptr;  // and for the mask
    Reduction reduction;
    double divisor = 1;  // of the sum over this batch
    int64_t weights_offset = 0, counted_offset = 0, scratch_offset = 0, sums_offset = 0;
  };

  struct Metric {
    bool is_loss;
    LossArguments<T> loss{};
    MetricArguments<T> metric{};
    std::vector<T> thresholds;
    size_t output;
    bool weighted;
    int loss_of = kAbsent;  // the loss on its output, whose mask it uses, and sample weights if weighted
    int64_t sums_offset = 0;
    double* sums = nullptr;

    int64_t state_size() const { return is_loss ? 2 : metric.state_size(); }
  };

  struct Penalty {
    double l1, l2;
    bool trainable;
    int64_t offset, size;
    int64_t sums_offset = 0;
    double* sums = nullptr;
  };

  // A penalty on a value of the Program, divided by the number of samples.
  struct ActivityPenalty {
    double l1, l2;
    int64_t size;
    bool adds;  // a loss or an earlier penalty has written the gradient of this value
    int64_t sums_offset = 0;
    const T* value = nullptr;
    T* gradient = nullptr;
    double* sums = nullptr;
  };

  void make_losses(const Training& training, const Program& program);
  void make_metrics(const Training& training);
  void load_weights(const Loss& loss, const Array& weights, const BatchRows& rows, const Team& team) const;
  // Marks the positions that count, from is_real(t, n).
  template <class IsReal>
  void mark(const Loss& loss, const Team& team, const IsReal& is_real) const;
  void mark_by_masks(const Team& team);
  bool label_fits(size_t output, int32_t label) const;
  std::string label_error(size_t output, int32_t label) const;
  void check_loaded_labels(size_t output, const Team& team);
  static CtcPlace ctc_place(const Loss& loss, const Samples& samples, int64_t sample);
  void load_ctc(Loss& loss, const Samples& samples, const BatchRows& rows, const Team& team);
  void check_ctc_steps(const Loss& loss);
  void check_ctc(const Loss& loss, const Samples& samples, int64_t sample_count, const BatchRows& rows) const;
  static void set_positions(Loss& loss, int64_t positions);
  void want_target(size_t output, bool labels, const std::string& kind);
  static void set_divisor(Loss& loss, double divisor);
  void count(Loss& loss) const;
  void make_activity_penalties(const Training& training, const Program& program, const std::vector<Tensor>& values);
  void penalise_activities(const Team& team) const;
  int64_t take(int64_t bytes);

  const OpKernels<T>& kernels_;
  const std::vector<Tensor> outputs_;
  std::vector<Target> targets_;  // by output
  std::vector<Loss> losses_;
  std::vector<Metric> metrics_;
  std::vector<Penalty> penalties_;
  OrthogonalPenalties<T> orthogonal_penalties_;
  std::vector<ActivityPenalty> activity_penalties_;
  std::vector<double> ctc_workspace_;  // grows with the labels and the team
  Fault& fault_;
  int64_t samples_;
  int64_t bytes_ = 0;
  const T* parameters_ = nullptr;
  T* gradients_ = nullptr;
};

extern template class Objective<float>;
extern template class Objective<double>;

}  // namespace rnncore
