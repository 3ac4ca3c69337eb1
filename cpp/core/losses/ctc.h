// Connectionist temporal classification: minus the log-probability of the labels of each sample, and its gradient.
//
// The labels, with a blank (class 0) before, between and after them, are the S = 2·labels + 1 states of a chain. A
// step stays in its state, goes to the next one, or passes over a blank between two different labels. Sums over paths
// are logarithms in double, whatever T is.
#pragma once

#include "core/ops/softmax.h"

namespace rnncore {
namespace {

constexpr double kImpossible = -__builtin_inf();
constexpr int64_t kLogarithmOperations = 64;  // of an exponential or a logarithm in double, about

RNNCORE_INLINE double log_add(double a, double b) {
  const double high = a > b ? a : b, low = a > b ? b : a;
  return low == kImpossible ? high : high + __builtin_log1p(__builtin_exp(low - high));
}

// One sample: its labels, its real steps and what is kept for them.
template <class T>
struct CtcSample {
  const CtcArguments<T>& a;
  const Team& team;
  int64_t n;
  const int32_t* labels;
  int64_t states, count;  // S, and the number of real steps
  double* norm;           // (count,) log Σ exp of the logits of a step
  double* step;           // (count,) its number
  double* sums;           // (count, S) logarithms of the sums over all paths to a state, the step with them
  double* after;          // (S,) likewise over what follows a step

  int32_t label(int64_t s) const { return s % 2 ? labels[s / 2] : 0; }
  // Whether a path may go from state s to s + 2.
  bool passes(int64_t s) const { return s % 2 && s + 2 < states && label(s) != label(s + 2); }
  int64_t row(int64_t i) const { return (static_cast<int64_t>(step[i]) * a.samples + n) * a.classes; }
  double emitted(int64_t i, int64_t s) const { return static_cast<double>(a.output[row(i) + label(s)]) - norm[i]; }

  void load() {
    count = 0;
    for (int64_t t = 0; t < a.steps; ++t) {
      if (a.counted && !a.counted[t * a.samples + n]) continue;
      may_stop(team, a.classes * kLogarithmOperations);
      step[count] = static_cast<double>(t);
      const T* z = a.output + row(count);
      double high = static_cast<double>(z[0]), sum = 0;
      for (int64_t c = 1; c < a.classes; ++c)
        high = static_cast<double>(z[c]) > high ? static_cast<double>(z[c]) : high;
      for (int64_t c = 0; c < a.classes; ++c) sum += __builtin_exp(static_cast<double>(z[c]) - high);
      norm[count++] = high + __builtin_log(sum);
    }
  }

  // The logarithm of the probability of the labels.
  double forward() {
    if (count == 0) return states == 1 ? 0 : kImpossible;
    for (int64_t s = 0; s < states; ++s) sums[s] = s < 2 ? emitted(0, s) : kImpossible;
    for (int64_t i = 1; i < count; ++i) {
      may_stop(team, 2 * states * kLogarithmOperations);
      const double* before = sums + (i - 1) * states;
      double* now = sums + i * states;
      for (int64_t s = 0; s < states; ++s) {
        double sum = before[s];
        if (s > 0) sum = log_add(sum, before[s - 1]);
        if (s > 1 && passes(s - 2)) sum = log_add(sum, before[s - 2]);
        now[s] = sum == kImpossible ? sum : sum + emitted(i, s);
      }
    }
    const double* last = sums + (count - 1) * states;
    return states > 1 ? log_add(last[states - 1], last[states - 2]) : last[0];
  }

  // The gradient times `share`, to rows that are zero.
  void backward(double log_probability, double share) {
    for (int64_t s = 0; s < states; ++s) after[s] = s + 2 < states ? kImpossible : 0;
    for (int64_t i = count; i-- > 0;) {
      may_stop(team, (a.classes + 3 * states) * kLogarithmOperations);
      T* gradient = a.gradient + row(i);
      const T* z = a.output + row(i);
      for (int64_t c = 0; c < a.classes; ++c)
        gradient[c] = static_cast<T>(share * __builtin_exp(static_cast<double>(z[c]) - norm[i]));
      for (int64_t s = 0; s < states; ++s) {
        const double occupied = sums[i * states + s] + after[s];
        if (occupied != kImpossible)
          gradient[label(s)] -= static_cast<T>(share * __builtin_exp(occupied - log_probability));
        after[s] += emitted(i, s);
      }
      // In place: a state reads those that follow it, which still belong to this step.
      for (int64_t s = 0; s < states; ++s) {
        double sum = after[s];
        if (s + 1 < states) sum = log_add(sum, after[s + 1]);
        if (passes(s)) sum = log_add(sum, after[s + 2]);
        after[s] = sum;
      }
    }
  }
};

// Elements of a thread's workspace for labels (N, L).
inline int64_t ctc_workspace(int64_t steps, int64_t width) { return 2 * steps + (steps + 1) * (2 * width + 1); }

template <class T>
void ctc(const CtcArguments<T>& a, const Team& team) {
  double* workspace = a.workspace + team.thread * ctc_workspace(a.steps, a.width);
  for (int part = team.thread; part < kReductionParts; part += team.threads) {
    double sums[2] = {0, 0};
    const Range mine = team_range(a.samples, part, kReductionParts, 1);
    for (int64_t n = mine.begin; n < mine.end; ++n) {
      const int32_t* labels = a.labels + n * a.width;
      int64_t length = 0;
      while (length < a.width && labels[length] != 0) ++length;
      CtcSample<T> sample{
          a, team, n, labels, 2 * length + 1, 0, workspace, workspace + a.steps, workspace + 2 * a.steps, {}};
      sample.after = sample.sums + a.steps * sample.states;
      sample.load();
      const double log_probability = sample.forward();
      const double weight = a.weight ? static_cast<double>(a.weight[n]) : 1.0;
      sums[0] -= weight * log_probability;
      sums[1] += weight;
      if (!a.gradient) continue;
      for (int64_t t = 0; t < a.steps; ++t)
        for (int64_t c = 0; c < a.classes; ++c) a.gradient[(t * a.samples + n) * a.classes + c] = 0;
      if (log_probability != kImpossible) sample.backward(log_probability, weight * static_cast<double>(a.scale));
    }
    a.sums[2 * part] = sums[0];
    a.sums[2 * part + 1] = sums[1];
  }
}

}  // namespace
}  // namespace rnncore
