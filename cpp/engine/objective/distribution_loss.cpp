#include "engine/objective/distribution_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/team.h"

namespace rnncore {
namespace {

constexpr double kLeast = 1e-6;                         // of scales and the like
constexpr double kLogRoot = 0.91893853320467274178032;  // log √(2π)
constexpr double kLogPi = 1.14472988584940017414343;
constexpr int64_t kMostComponents = 1 << 20;

struct NamedDistribution {
  const char* name;
  Distribution distribution;
  int64_t blocks;
};
constexpr NamedDistribution kDistributions[] = {{"gaussian_nll", Distribution::gaussian, 2},
                                                {"student_tnll", Distribution::student_t, 3},
                                                {"negative_binomial_nll", Distribution::negative_binomial, 2},
                                                {"mixture_nll", Distribution::mixture, 0},
                                                {"quantile", Distribution::quantile, 0}};

double sigmoid_of(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

// A number above zero from any number: softplus.
double positive(double x) { return (x > 0 ? x : x == x ? 0 : x) + std::log1p(std::exp(-std::fabs(x))) + kLeast; }

// log Γ(x) and its derivative, for x > 0, by their asymptotic series from 10 on. (std::lgamma writes to a global.)
double series_start(double& x, double& product, double& sum) {
  for (product = 1, sum = 0; x < 10; ++x) product *= x, sum -= 1 / x;
  return 1 / (x * x);
}
double log_gamma(double x) {
  double product, sum;
  const double s = series_start(x, product, sum);
  const double series = (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s * (1.0 / 1188))))) / x;
  return (x - 0.5) * std::log(x) - x + kLogRoot + series - std::log(product);
}
double digamma(double x) {
  double product, sum;
  const double s = series_start(x, product, sum);
  const double series = s * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s * (1.0 / 132)))));
  return sum + std::log(x) - 0.5 / x - series;
}

// Each gives the value for target y and parameters p (blocks,), and its gradient d (blocks,).

double gaussian(double y, const double* p, double* d) {
  const double scale = positive(p[1]), z = (y - p[0]) / scale;
  d[0] = -z / scale;
  d[1] = (1 - z * z) / scale * sigmoid_of(p[1]);
  return std::log(scale) + 0.5 * z * z + kLogRoot;
}

double student_t(double y, const double* p, double* d) {
  const double scale = positive(p[1]), n = 2 + positive(p[2]), z = (y - p[0]) / scale;
  const double tail = std::log1p(z * z / n), slope = (n + 1) * z / (n + z * z);
  d[0] = -slope / scale;
  d[1] = (1 - slope * z) / scale * sigmoid_of(p[1]);
  d[2] = 0.5 * (digamma(n / 2) - digamma((n + 1) / 2) + 1 / n + tail - slope * z / n) * sigmoid_of(p[2]);
  return std::log(scale) + log_gamma(n / 2) - log_gamma((n + 1) / 2) + 0.5 * (kLogPi + std::log(n)) +
         (n + 1) / 2 * tail;
}

double negative_binomial(double y, const double* p, double* d) {
  const double mean = positive(p[0]), dispersion = positive(p[1]), r = 1 / dispersion, product = dispersion * mean;
  const double more = std::log1p(product), of_r = digamma(r) - digamma(y + r) + more;
  d[0] = ((1 + y * dispersion) / (1 + product) - y / mean) * sigmoid_of(p[0]);
  d[1] = (-of_r * r * r + (r + y) * mean / (1 + product) - y * r) * sigmoid_of(p[1]);
  return log_gamma(r) + log_gamma(y + 1) - log_gamma(y + r) + (r + y) * more - y * std::log(product);
}

// K logits, K means, K scales.
double mixture(double y, const double* p, double* d, int64_t components) {
  const double *logits = p, *means = p + components, *raw = means + components;
  double most = logits[0], sum = 0;
  for (int64_t k = 1; k < components; ++k) most = logits[k] > most ? logits[k] : most;
  for (int64_t k = 0; k < components; ++k) sum += std::exp(logits[k] - most);
  const double total = most + std::log(sum);
  double best = -std::numeric_limits<double>::infinity(), seen = 0;
  double *scores = d, *of_means = d + components, *of_scales = of_means + components;
  for (int64_t k = 0; k < components; ++k) {
    const double scale = positive(raw[k]), z = (y - means[k]) / scale;
    scores[k] = logits[k] - total - std::log(scale) - 0.5 * z * z - kLogRoot;
    of_means[k] = -z / scale;
    of_scales[k] = (1 - z * z) / scale * sigmoid_of(raw[k]);
    if (!(scores[k] <= best)) best = scores[k];
  }
  for (int64_t k = 0; k < components; ++k) seen += std::exp(scores[k] - best);
  const double value = -(best + std::log(seen));
  for (int64_t k = 0; k < components; ++k) {
    const double share = std::exp(scores[k] + value);  // of this component in what was seen
    of_means[k] *= share, of_scales[k] *= share;
    d[k] = std::exp(logits[k] - total) - share;
  }
  return value;
}

double quantile(double y, const double* p, double* d, const std::vector<double>& quantiles) {
  double value = 0;
  const double count = static_cast<double>(quantiles.size());
  for (size_t k = 0; k < quantiles.size(); ++k) {
    const double error = y - p[k];
    const double slope = (error > 0 ? quantiles[k] : error < 0 ? quantiles[k] - 1 : error) / count;  // of NaN, NaN
    value += slope * error;
    d[k] = -slope;
  }
  return value;
}

double evaluate(const DistributionFacts& facts, double y, const double* p, double* d) {
  switch (facts.distribution) {
    case Distribution::gaussian: return gaussian(y, p, d);
    case Distribution::student_t: return student_t(y, p, d);
    case Distribution::negative_binomial: return negative_binomial(y, p, d);
    case Distribution::mixture: return mixture(y, p, d, facts.blocks / 3);
    default: return quantile(y, p, d, facts.quantiles);
  }
}

}  // namespace

std::optional<DistributionFacts> distribution_of(const LossDescription& description) {
  for (const NamedDistribution& named : kDistributions) {
    if (description.kind != named.name) continue;
    DistributionFacts facts{named.distribution, named.blocks, {}};
    if (facts.distribution == Distribution::quantile) {
      facts.quantiles = description.attributes.get("quantiles", std::vector<double>{});
      facts.blocks = static_cast<int64_t>(facts.quantiles.size());
    }
    if (facts.distribution == Distribution::mixture) {
      const int64_t components = description.attributes.get("components", int64_t{0});
      facts.blocks = components > kMostComponents ? 0 : 3 * components;
    }
    if (facts.blocks < 1) throw std::invalid_argument("training: '" + description.kind + "' has no parameters");
    return facts;
  }
  return std::nullopt;
}

template <class T>
void DistributionLoss<T>::start_target(const Samples&, const BatchRows&, int threads) {
  const size_t needed = static_cast<size_t>(2 * facts_.blocks * threads);
  if (most_blocks_.size() < needed) most_blocks_.resize(needed);
}

template <class T>
void DistributionLoss<T>::run(const Team& team) {
  const LossArguments<T>& a = this->call_;
  const int64_t blocks = facts_.blocks, units = a.classes / blocks;
  double *p = most_blocks_.data() + 2 * blocks * team.thread, *d = p + blocks;
  for (int part = team.thread; part < kReductionParts; part += team.threads) {
    double sums[2] = {0, 0};
    const Range rows = team_range(a.rows, part, kReductionParts, 8);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const T* given = a.output + r * a.classes;
      T* gradient = a.gradient ? a.gradient + r * a.classes : nullptr;
      if (a.counted && !a.counted[r]) {
        if (gradient) std::fill_n(gradient, a.classes, T(0));
        continue;
      }
      may_stop(team, a.classes * 64);
      const double own = a.weight ? static_cast<double>(a.weight[r]) : 1.0;
      const double share = own * static_cast<double>(a.scale) / static_cast<double>(units);
      double value = 0;
      for (int64_t u = 0; u < units; ++u) {
        for (int64_t b = 0; b < blocks; ++b) p[b] = static_cast<double>(given[b * units + u]);
        value += evaluate(facts_, static_cast<double>(static_cast<const T*>(a.target)[r * units + u]), p, d);
        for (int64_t b = 0; gradient && b < blocks; ++b) gradient[b * units + u] = static_cast<T>(share * d[b]);
      }
      sums[0] += own * value / static_cast<double>(units);
      sums[1] += own;
    }
    a.sums[2 * part] = sums[0], a.sums[2 * part + 1] = sums[1];
  }
}

template class DistributionLoss<float>;
template class DistributionLoss<double>;

}  // namespace rnncore
