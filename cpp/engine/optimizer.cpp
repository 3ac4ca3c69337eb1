#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/magnitude.h"

namespace rnncore {
namespace {

// Norms are summed over chunks of this many elements, whatever the number of threads.
constexpr int64_t kNormChunk = 8192;

int64_t chunks_of(int64_t size) { return (size + kNormChunk - 1) / kNormChunk; }

const OptimizerFacts& facts_of(const OptimizerDescription& description) {
  std::string known;
  for (const OptimizerFacts& facts : kOptimizers) {
    if (description.kind == facts.name) return facts;
    known += std::string(known.empty() ? "" : ", ") + facts.name;
  }
  throw std::invalid_argument("training: unknown optimizer '" + description.kind + "'; known: " + known);
}

// Slots of the rule itself; those of gathered gradients and of the average come after them.
int rule_slots(const OptimizerDescription& description) {
  return facts_of(description).slots + description.attributes.get("amsgrad", false);
}

}  // namespace

int slot_count(const OptimizerDescription& description) {
  const Attributes& a = description.attributes;
  return rule_slots(description) + (a.get("gradient_accumulation_steps", int64_t{0}) > 0) + a.get("use_ema", false);
}

template <class T>
Optimizer<T>::Optimizer(const Training& training, const Program& program, const Kernels& kernels, T* parameters,
                        const T* gradients, T* slots, int64_t size)
    : kernels_(op_kernels<T>(kernels)), constraints_(training.constraints, program, kernels, parameters) {
  const OptimizerDescription& description = training.optimizer;
  const Attributes& a = description.attributes;
  const auto real = [&](const char* name, double otherwise) {
    const double value = a.get(name, otherwise);
    if (std::isnan(value)) throw std::invalid_argument(std::string("training: ") + name + " of the optimizer is NaN");
    return value;
  };
  const auto number = [&](const char* name, double otherwise) { return static_cast<T>(real(name, otherwise)); };
  update_.rule = facts_of(description).rule;
  update_.amsgrad = a.get("amsgrad", false);
  if (update_.amsgrad && update_.rule != UpdateRule::adam)
    throw std::invalid_argument("training: amsgrad is an attribute of adam and adamw, got it for '" + description.kind +
                                "'");
  update_.initial = number("initial_accumulator_value", 0.1);
  update_.nesterov = a.get("nesterov", false);
  update_.centered = a.get("centered", false);
  update_.momentum = number("momentum", 0.0);
  update_.rho = number("rho", 0.9);
  update_.beta_1 = number("beta_1", 0.9);
  update_.beta_2 = number("beta_2", 0.999);
  update_.epsilon = number("epsilon", 1e-7);
  clip_norm_ = real("clipnorm", 0.0);
  global_clip_norm_ = real("global_clipnorm", 0.0);
  const double clip_value = clip_norm_ > 0 || global_clip_norm_ > 0 ? 0.0 : real("clipvalue", 0.0);
  update_.limit = clip_value > 0 ? static_cast<T>(clip_value) : std::numeric_limits<T>::infinity();
  weight_decay_ = real("weight_decay", 0.0);
  beta_1_ = real("beta_1", 0.9);
  beta_2_ = real("beta_2", 0.999);
  update_.parameters = parameters;
  update_.gradients = gradients;
  int used = rule_slots(description);
  for (int i = 0; i < used; ++i) update_.slots[i] = slots + i * size;
  accumulation_ = std::max(a.get("gradient_accumulation_steps", int64_t{1}), int64_t{1});
  if (accumulation_ > 1) accumulated_ = slots + used++ * size;
  if (a.get("use_ema", false)) update_.average = slots + used * size;
  average_momentum_ = real("ema_momentum", 0.99);
  overwrite_every_ = a.get("ema_overwrite_frequency", int64_t{0});

  std::vector<const Parameter*> trainable;
  for (const Parameter& p : program.parameters)
    if (p.trainable) trainable.push_back(&p);
  std::sort(trainable.begin(), trainable.end(), [](auto* p, auto* q) { return p->offset < q->offset; });
  for (const Parameter* p : trainable) {
    const bool joins =
        clip_norm_ == 0 && !windows_.empty() && windows_.back().offset + windows_.back().size == p->offset;
    if (joins)
      windows_.back().size += p->size;
    else
      windows_.push_back({p->offset, p->size, 0});
    size_ += p->size;
  }
  int64_t chunks = 0;
  for (Window& window : windows_) {
    window.first_chunk = chunks;
    chunks += chunks_of(window.size);
  }
  sums_.resize(static_cast<size_t>(2 * chunks));
}

template <class T>
double Optimizer<T>::norm(int64_t first_chunk, int64_t chunks) const {
  const double* sums = sums_.data() + 2 * first_chunk;
  double sum = 0;
  for (int64_t i = 0; i < chunks; ++i) sum += sums[2 * i + 1];
  const auto norm_of = [sums](int64_t i) {
    return std::isinf(sums[2 * i + 1]) ? sums[2 * i] : std::sqrt(sums[2 * i + 1]);
  };
  return (std::isinf(sum) ? norm_of_large(chunks, norm_of) : std::sqrt(sum)) / static_cast<double>(accumulation_);
}

template <class T>
double Optimizer<T>::scale(const Window& window) const {
  const double share = 1 / static_cast<double>(accumulation_);
  if (clip_norm_ > 0)
    return share * clip_norm_ / std::max(norm(window.first_chunk, chunks_of(window.size)), clip_norm_);
  if (global_clip_norm_ > 0) {
    const double all = norm(0, static_cast<int64_t>(sums_.size() / 2));
    if (!std::isfinite(all)) return std::numeric_limits<double>::quiet_NaN();  // of every gradient, as in Keras
    return share * global_clip_norm_ / std::max(all, global_clip_norm_);
  }
  return share;
}

template <class T>
void Optimizer<T>::apply(double learning_rate, int64_t step, const Team& team) {
  Update<T> update = update_;
  const bool gathers = (step + 1) % accumulation_ != 0;
  if (accumulation_ > 1) {
    for (const Window& window : windows_)
      kernels_.add(window.size, update.gradients + window.offset, accumulated_ + window.offset, team);
    team_barrier(team);
    update.gradients = update.accumulated = accumulated_;
  }
  const int64_t updates = step / accumulation_;
  update.average_momentum = static_cast<T>(updates == 0 ? 0 : average_momentum_);
  update.overwrite = overwrite_every_ > 0 && (updates + 1) % overwrite_every_ == 0;
  if (gathers) {
    update.rule = UpdateRule::none;
    update.accumulated = nullptr;
    if (update.average) move(update, team);
    return constrain(team);
  }
  if (clip_norm_ > 0 || global_clip_norm_ > 0) {
    for (const Window& window : windows_)
      for (int64_t i = team.thread; i < chunks_of(window.size); i += team.threads) {
        const T* gradients = update.gradients + window.offset + i * kNormChunk;
        const int64_t count = std::min(kNormChunk, window.size - i * kNormChunk);
        double* sums = &sums_[static_cast<size_t>(2 * (window.first_chunk + i))];  // Σ |g|, Σ g²
        kernels_.norms(count, gradients, sums);
        // A norm takes the place of the first where its square is beyond double.
        if (std::isinf(sums[1])) sums[0] = norm_of_large(count, [gradients](int64_t k) { return gradients[k]; });
      }
    team_barrier(team);
  }
  const double correction = kernels_.correct_bias(update, {beta_1_, beta_2_, updates + 1});
  update.rate = static_cast<T>(learning_rate * correction);
  update.decay = static_cast<T>(weight_decay_ * learning_rate);
  move(update, team);
  constrain(team);
}

template <class T>
void Optimizer<T>::move(const Update<T>& update, const Team& team) const {
  for (const Window& window : windows_) {
    const Range range = team_range(window.size, team, 64);
    if (range.begin < range.end)
      kernels_.update(update, static_cast<T>(scale(window)), window.offset + range.begin, window.offset + range.end);
  }
}

template <class T>
void Optimizer<T>::constrain(const Team& team) const {
  if (constraints_.empty()) return;
  team_barrier(team);
  constraints_.apply(team);
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace rnncore
