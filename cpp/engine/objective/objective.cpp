#include "engine/objective/objective.h"

#include <algorithm>

#include "engine/objective/crf_loss.h"
#include "engine/objective/ctc_loss.h"
#include "engine/objective/distribution_loss.h"
#include "engine/training.h"

namespace rnncore {
namespace {

std::vector<Tensor> outputs_of(const Program& program, const std::vector<Tensor>& values) {
  std::vector<Tensor> outputs;
  outputs.reserve(program.outputs.size());
  for (const int id : program.outputs) outputs.push_back(values[static_cast<size_t>(id)]);
  return outputs;
}

}  // namespace

template <class T>
Objective<T>::Objective(const Training& training, const Program& program, const std::vector<Tensor>& values,
                        const Kernels& kernels, Fault& fault)
    : divisors_at_(training.divisors ? state_size(training) - static_cast<int64_t>(training.losses.size()) : 0),
      outputs_(outputs_of(program, values)),
      targets_(outputs_, fault),
      losses_(make_losses(training, program, outputs_, op_kernels<T>(kernels), targets_, fault, room_)),
      metrics_(training, outputs_, losses_, targets_, op_kernels<T>(kernels), room_),
      penalties_(training, program, values, kernels, room_) {
  targets_.make_room(room_);
}

template <class T>
typename Objective<T>::Losses Objective<T>::make_losses(const Training& training, const Program& program,
                                                        const std::vector<Tensor>& outputs, const OpKernels<T>& kernels,
                                                        Targets<T>& targets, Fault& fault, Room& room) {
  Losses losses;
  std::vector<bool> written(program.values.size());
  for (const auto& description : training.losses) {
    const size_t output = static_cast<size_t>(description.output), value = static_cast<size_t>(program.outputs[output]);
    const bool adds = written[value];
    written[value] = true;
    if (description.kind == kCtc) {
      losses.push_back(std::make_unique<CtcLoss<T>>(description, losses.size(), program, outputs[output], adds, kernels,
                                                    fault, room));
      continue;
    }
    if (description.kind == kCrf) {
      losses.push_back(std::make_unique<CrfLoss<T>>(description, losses.size(), program, outputs[output], adds, kernels,
                                                    fault, room));
      continue;
    }
    if (const auto distribution = distribution_of(description)) {
      targets.want(output, false, description.kind, distribution->blocks);
      losses.push_back(std::make_unique<DistributionLoss<T>>(description, losses.size(), program, outputs[output], adds,
                                                             kernels, room));
      targets.ignore(output, losses.back()->call());
      continue;
    }
    targets.want(output, loss_kind(description.kind) == LossKind::sparse_categorical_crossentropy, description.kind);
    losses.push_back(
        std::make_unique<Loss<T>>(description, losses.size(), program, outputs[output], adds, kernels, room));
    targets.ignore(output, losses.back()->call());
  }
  return losses;
}

template <class T>
void Objective<T>::check(const Samples& samples, int64_t sample_count, const BatchRows& rows) const {
  targets_.check(samples, sample_count, rows);
  for (const auto& loss : losses_) loss->check(samples, sample_count, rows);
  for (size_t i = 0; i < samples.weights.size(); ++i) {
    const Array& array = samples.weights[i];
    Shape expected = outputs_[losses_[i]->output].shape;
    expected.pop_back();
    expected[0] = sample_count;
    if (array.data && array.shape != expected && array.shape != Shape{sample_count})
      throw std::invalid_argument("sample_weight[" + std::to_string(i) + "]: expected shape " +
                                  to_string({sample_count}) + " or " + to_string(expected) + ", got " +
                                  to_string(array.shape));
  }
}

template <class T>
void Objective<T>::bind(const ObjectiveBuffers<T>& buffers) {
  targets_.bind(buffers.memory);
  for (const auto& loss : losses_) loss->bind(buffers, targets_.data(loss->output));
  metrics_.bind(buffers, targets_);
  penalties_.bind(buffers);
}

template <class T>
void Objective<T>::load(const Samples& samples, const BatchRows& rows, const Team& team) {
  targets_.load(samples, rows, team);
  for (const auto& loss : losses_) loss->load(samples, rows, team);
  if (team.thread > 0) return;
  for (const auto& loss : losses_) loss->start(samples, rows, team.threads);
  metrics_.start();
}

template <class T>
bool Objective<T>::may_overwrite(size_t output) const {
  const auto on_it = [&](const auto& loss) { return loss->output == output; };
  return std::count_if(losses_.begin(), losses_.end(), on_it) == 1 &&
         (*std::find_if(losses_.begin(), losses_.end(), on_it))->may_overwrite();
}

template <class T>
void Objective<T>::evaluate(const Team& team) {
  if (std::any_of(losses_.begin(), losses_.end(), [](const auto& loss) { return loss->marks_by_mask(); })) {
    for (const auto& loss : losses_) loss->mark_by_mask(team);
    team_barrier(team);
    for (const auto& loss : losses_)
      if (team.thread == 0) loss->count_mask();
    team_barrier(team);
  }
  metrics_.evaluate(team);  // first: a loss may overwrite its output
  for (const auto& loss : losses_) loss->evaluate(team);
  penalties_.evaluate(team);
}

template <class T>
void Objective<T>::accumulate(double* state) const {
  const double samples = static_cast<double>(outputs_[0].samples());
  double total = 0;
  for (size_t i = 0; i < losses_.size(); ++i) {
    if (divisors_at_ > 0) state[divisors_at_ + static_cast<int64_t>(i)] += losses_[i]->divisor();
    const double value = losses_[i]->value();
    total += losses_[i]->weight * value;
    if (losses_.size() > 1) {
      state[2 + 2 * i] += value * samples;
      state[3 + 2 * i] += samples;
    }
  }
  penalties_.add_to(total);
  state[0] += total * samples;
  state[1] += samples;
  metrics_.accumulate(state + 2 + (losses_.size() > 1 ? 2 * losses_.size() : 0));
}

template class Objective<float>;
template class Objective<double>;

}  // namespace rnncore
