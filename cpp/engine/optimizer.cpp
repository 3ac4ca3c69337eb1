#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rnncore {
namespace {

// Norms are summed over chunks of this many elements, whatever the number of threads.
constexpr int64_t kNormChunk = 8192;

int64_t chunks_of(int64_t size) { return (size + kNormChunk - 1) / kNormChunk; }

}  // namespace

int slot_count(const OptimizerDescription& description) {
  if (description.kind == "sgd") return 1;
  if (description.kind == "rmsprop") return 3;
  if (description.kind == "adam" || description.kind == "adamw") return 2;
  throw std::invalid_argument("training: unknown optimizer '" + description.kind +
                              "'; known: sgd, rmsprop, adam, adamw");
}

template <class T>
Optimizer<T>::Optimizer(const Training& training, const Program& program, const Kernels& kernels, T* parameters,
                        const T* gradients, T* slots, int64_t size)
    : kernels_(op_kernels<T>(kernels)), constraints_(training.constraints, program, kernels, parameters) {
  const OptimizerDescription& description = training.optimizer;
  const Attributes& a = description.attributes;
  const auto number = [&](const char* name, double otherwise) { return static_cast<T>(a.get(name, otherwise)); };
  update_.rule = description.kind == "sgd"       ? UpdateRule::sgd
                 : description.kind == "rmsprop" ? UpdateRule::rmsprop
                                                 : UpdateRule::adam;
  update_.nesterov = a.get("nesterov", false);
  update_.centered = a.get("centered", false);
  update_.momentum = number("momentum", 0.0);
  update_.rho = number("rho", 0.9);
  update_.beta_1 = number("beta_1", 0.9);
  update_.beta_2 = number("beta_2", 0.999);
  update_.epsilon = number("epsilon", 1e-7);
  clip_norm_ = a.get("clipnorm", 0.0);
  global_clip_norm_ = a.get("global_clipnorm", 0.0);
  const double clip_value = clip_norm_ > 0 || global_clip_norm_ > 0 ? 0.0 : a.get("clipvalue", 0.0);
  update_.limit = clip_value > 0 ? static_cast<T>(clip_value) : std::numeric_limits<T>::infinity();
  weight_decay_ = a.get("weight_decay", 0.0);
  beta_1_ = a.get("beta_1", 0.9);
  beta_2_ = a.get("beta_2", 0.999);
  update_.parameters = parameters;
  update_.gradients = gradients;
  for (int i = 0; i < slot_count(description); ++i) update_.slots[i] = slots + i * size;

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
  double sum = 0;
  for (int64_t i = first_chunk; i < first_chunk + chunks; ++i) sum += sums_[static_cast<size_t>(2 * i + 1)];
  return std::sqrt(sum);
}

template <class T>
double Optimizer<T>::scale(const Window& window) const {
  if (clip_norm_ > 0) return clip_norm_ / std::max(norm(window.first_chunk, chunks_of(window.size)), clip_norm_);
  if (global_clip_norm_ > 0)
    return global_clip_norm_ / std::max(norm(0, static_cast<int64_t>(sums_.size() / 2)), global_clip_norm_);
  return 1;
}

template <class T>
void Optimizer<T>::apply(double learning_rate, int64_t step, const Team& team) {
  if (clip_norm_ > 0 || global_clip_norm_ > 0) {
    for (const Window& window : windows_)
      for (int64_t i = team.thread; i < chunks_of(window.size); i += team.threads)
        kernels_.norms(std::min(kNormChunk, window.size - i * kNormChunk),
                       update_.gradients + window.offset + i * kNormChunk,
                       &sums_[static_cast<size_t>(2 * (window.first_chunk + i))]);
    team_barrier(team);
  }
  Update<T> update = update_;
  const double t = static_cast<double>(step + 1);
  const double correction =
      update.rule == UpdateRule::adam ? std::sqrt(1 - std::pow(beta_2_, t)) / (1 - std::pow(beta_1_, t)) : 1.0;
  update.rate = static_cast<T>(learning_rate * correction);
  update.decay = static_cast<T>(weight_decay_ * learning_rate);
  for (const Window& window : windows_) {
    const Range range = team_range(window.size, team, 64);
    if (range.begin < range.end)
      kernels_.update(update, static_cast<T>(scale(window)), window.offset + range.begin, window.offset + range.end);
  }
  if (constraints_.empty()) return;
  team_barrier(team);
  constraints_.apply(team);
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace rnncore
