// A linear-chain conditional random field as the transitions of a Markov chain: y (N, T, K, K),
//
//   y[t, i, j] = log p(label j at t | label i before, x) = transitions[i, j] + x[t, j] + after[t, j] − after[t−1, i],
//
// where after[t, j] is the logarithm of the sum over all that may follow label j of step t, and starts as `end`. The
// first valid step has `start` in place of transitions, for every i; steps that are not valid are zeros.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/team.h"
#include "engine/copy.h"
#include "engine/ops/registry.h"
#include "engine/step_mask.h"

namespace rnncore {
namespace {

constexpr size_t kCrfMask = 1;
constexpr int64_t kCrfOperations = 40;  // of an exponential or a logarithm, about
constexpr double kLowest = -std::numeric_limits<double>::infinity();

std::vector<Tensor> infer_crf(const Site& site) {
  const Tensor& x = expect_input(site, 0, 3);
  expect_slots(site, 2, 1, 3);
  const int64_t labels = x.columns();
  expect_shape(site, "transitions", site.parameters[0]->shape, {labels, labels});
  if (site.has_parameter(1) != site.has_parameter(2)) fail(site, "expected start and end, or none of them");
  for (size_t slot = 1; slot < 3; ++slot)
    if (site.has_parameter(slot)) expect_shape(site, "start and end", site.parameters[slot]->shape, {labels});
  if (const std::string error = StepMask::error(site, kCrfMask); !error.empty()) fail(site, error);
  return {Tensor{{x.samples(), x.steps(), labels, labels}, false}};
}

template <class T>
class CrfOp final : public Op<T> {
 public:
  CrfOp(const Site& site, const Kernels&) : x_(*site.inputs[0]), labels_(x_.columns()), mask_(site, kCrfMask) {}

  double flops() const override { return 10.0 * static_cast<double>(x_.size() * labels_); }
  Needs needs(int threads) const override {
    return {.saved = mask_.template saved<T>(),
            .forward_workspace = doubles(threads * thread_size() + labels_ * labels_),
            .backward_workspace = doubles(threads * thread_size() + kReductionParts * weights_size()),
            .keeps_inputs = true,  // the mask
            .keeps_outputs = true};
  }
  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    mask_.bind(b, b.saved);
  }

  void forward(const Step& step, const Team& team) override {
    const int32_t* real = mask_.load(step, team);
    auto* factors = reinterpret_cast<double*>(buffers_.forward_workspace);  // (K, K): exp of the transitions
    double* own = factors + labels_ * labels_ + team.thread * thread_size();
    const Range mine = team_range(labels_ * labels_, team, 64);
    for (int64_t i = mine.begin; i < mine.end; ++i)
      factors[i] = std::exp(static_cast<double>(buffers_.parameter(0)[i]));
    zero(x_.size() * labels_, buffers_.output(0), team);
    team_barrier(team);
    const Range rows = team_range(x_.samples(), team, 1);
    for (int64_t n = rows.begin; n < rows.end; ++n) forward_row(n, real, factors, own, team);
  }

  void backward(const Step&, const Team& team) override {
    const int32_t* real = mask_.loaded();
    auto* parts = reinterpret_cast<double*>(buffers_.backward_workspace);  // (kReductionParts, K·K + 2·K)
    double* own = parts + kReductionParts * weights_size() + team.thread * thread_size();
    if (T* dx = buffers_.input_gradient(0)) zero(x_.size(), dx, team);
    team_barrier(team);
    for (int part = team.thread; part < kReductionParts; part += team.threads) {
      double* sums = parts + part * weights_size();
      std::fill_n(sums, weights_size(), 0.0);
      const Range rows = team_range(x_.samples(), part, kReductionParts, 1);
      for (int64_t n = rows.begin; n < rows.end; ++n) backward_row(n, real, sums, own, team);
    }
    team_barrier(team);
    const int64_t first = labels_ * labels_;
    add_up(parts, 0, first, buffers_.parameter_gradient(0), team);
    add_up(parts, first, labels_, buffers_.parameter_gradient(1), team);
    add_up(parts, first + labels_, labels_, buffers_.parameter_gradient(2), team);
  }

 private:
  static int64_t doubles(int64_t count) { return count * static_cast<int64_t>(sizeof(double) / sizeof(T)); }
  int64_t thread_size() const { return 3 * labels_; }
  int64_t weights_size() const { return labels_ * labels_ + 2 * labels_; }
  int64_t place(int64_t t, int64_t n) const { return (t * x_.samples() + n) * labels_; }
  bool counts(const int32_t* real, int64_t t, int64_t n) const { return !real || real[t * x_.samples() + n] != 0; }

  int64_t first_step(const int32_t* real, int64_t n) const {
    int64_t t = 0;
    while (t < x_.steps() && !counts(real, t, n)) ++t;
    return t;
  }

  // `own`: three arrays (K,).
  void forward_row(int64_t n, const int32_t* real, const double* factors, double* own, const Team& team) {
    const int64_t K = labels_, first = first_step(real, n);
    double *after = own, *scores = own + K, *shares = own + 2 * K;
    const T *transitions = buffers_.parameter(0), *start = buffers_.parameter(1), *end = buffers_.parameter(2);
    for (int64_t j = 0; j < K; ++j) after[j] = end ? static_cast<double>(end[j]) : 0.0;
    for (int64_t t = x_.steps(); t-- > first;) {
      if (!counts(real, t, n)) continue;
      may_stop(team, K * (2 * K + 2 * kCrfOperations));
      const T* x = buffers_.input(0) + place(t, n);
      T* y = buffers_.output(0) + place(t, n) * K;
      double most = kLowest;
      for (int64_t j = 0; j < K; ++j) {
        scores[j] = static_cast<double>(x[j]) + after[j];
        if (t == first && start) scores[j] += static_cast<double>(start[j]);
        if (!(scores[j] <= most)) most = scores[j];
      }
      if (t == first) {
        const double total = log_sum(scores);
        for (int64_t i = 0; i < K; ++i)
          for (int64_t j = 0; j < K; ++j) y[i * K + j] = static_cast<T>(scores[j] - total);
        return;
      }
      for (int64_t j = 0; j < K; ++j) shares[j] = std::exp(scores[j] - most);
      for (int64_t i = 0; i < K; ++i) {
        const T* row = transitions + i * K;
        double sum = 0;
        for (int64_t j = 0; j < K; ++j) sum += factors[i * K + j] * shares[j];
        // Beyond these bounds factors may have been rounded to 0 or infinity.
        const double total = sum > 1e-200 && sum < 1e200 ? most + std::log(sum) : log_sum(scores, row);
        for (int64_t j = 0; j < K; ++j) y[i * K + j] = static_cast<T>(static_cast<double>(row[j]) + scores[j] - total);
        after[i] = total - most;  // less a constant, which changes nothing, so that it stays small in long rows
      }
    }
  }

  // log Σ_j exp(scores[j] + more[j])
  double log_sum(const double* scores, const T* more = nullptr) const {
    const auto score = [&](int64_t j) { return scores[j] + (more ? static_cast<double>(more[j]) : 0.0); };
    double most = kLowest, sum = 0;
    for (int64_t j = 0; j < labels_; ++j)
      if (!(score(j) <= most)) most = score(j);
    for (int64_t j = 0; j < labels_; ++j) sum += std::exp(score(j) - most);
    return most + std::log(sum);
  }

  // `own`: the gradient to `after` of the step before (K,), and to the scores of this one (K,).
  void backward_row(int64_t n, const int32_t* real, double* sums, double* own, const Team& team) {
    const int64_t K = labels_, first = first_step(real, n);
    double *dafter = own, *dscores = own + K, *dstart = sums + K * K, *dend = dstart + K;
    std::fill_n(dafter, K, 0.0);
    for (int64_t t = first; t < x_.steps(); ++t) {
      if (!counts(real, t, n)) continue;
      may_stop(team, K * K * kCrfOperations);
      const T *y = buffers_.output(0) + place(t, n) * K, *dy = buffers_.output_gradient(0) + place(t, n) * K;
      std::fill_n(dscores, K, 0.0);
      for (int64_t i = 0; i < K; ++i) {
        double given = 0;
        for (int64_t j = 0; j < K; ++j) given += static_cast<double>(dy[i * K + j]);
        const double share = (t == first ? 0.0 : dafter[i]) - given;
        for (int64_t j = 0; j < K; ++j) {
          const double p = share == 0 ? 0.0 : std::exp(static_cast<double>(y[i * K + j]));
          const double d = static_cast<double>(dy[i * K + j]) + share * p;
          if (t != first) sums[i * K + j] += d;
          dscores[j] += d;
        }
      }
      for (int64_t j = 0; t == first && j < K; ++j) dstart[j] += dscores[j];
      std::copy_n(dscores, K, dafter);
      if (T* dx = buffers_.input_gradient(0))
        for (int64_t j = 0; j < K; ++j) dx[place(t, n) + j] = static_cast<T>(dscores[j]);
    }
    for (int64_t j = 0; first < x_.steps() && j < K; ++j) dend[j] += dafter[j];
  }

  // The gradient of a weight, which begins at `offset` in each part.
  void add_up(const double* parts, int64_t offset, int64_t size, T* gradient, const Team& team) const {
    if (!gradient) return;
    const Range mine = team_range(size, team, 64);
    for (int64_t i = mine.begin; i < mine.end; ++i) {
      double sum = 0;
      for (int part = 0; part < kReductionParts; ++part) sum += parts[part * weights_size() + offset + i];
      gradient[i] = static_cast<T>(sum);
    }
  }

  Tensor x_;
  int64_t labels_;
  StepMask mask_;
  Buffers<T> buffers_;
};

}  // namespace

OpType crf_op() { return op_row<CrfOp>("crf", infer_crf); }

}  // namespace rnncore
