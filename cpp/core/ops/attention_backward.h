// Attention backward. A thread takes whole units, for the gradients of keys and values are sums over the queries.
#pragma once

#include "core/ops/attention.h"

namespace rnncore {
namespace {

template <class T>
RNNCORE_INLINE void clear_steps(int64_t first, int64_t steps, int64_t width, int64_t row, T* x) {
  for (int64_t t = first; t < steps; ++t)
    for (int64_t d = 0; d < width; ++d) x[t * row + d] = 0;
}

// Gradients of the scores, `ds` (Tq, Tv), and of the values. Both outputs meet in the weights.
template <class T>
static void softmax_gradients(const Attention<T>& a, const AttentionUnit<T>& u, const AttentionSpace<T>& space,
                              Dropper<T>& dropper, const Team& team) {
  const int64_t element = u.index * a.queries * a.keys, size = a.queries * a.keys;
  T *ds = space.weights, *p = a.probabilities + element;
  const int64_t offset = u.value - a.value;
  const auto is_query = [&](int64_t i) { return is_real(a.query_steps, a.samples, u.n, i); };

  for (int64_t i = 0; i < size; ++i) ds[i] = 0;
  if (a.dcontext)  // context = weights·value
    unit_product(Product<T>{a.queries, u.keys, a.value_width, a.dcontext + offset, u.value_row, 1, u.value, 1,
                            u.value_row, ds, a.keys, nullptr, false},
                 space.panel, team);
  for (int64_t i = 0; i < a.queries; ++i)
    if (!is_query(i))
      for (int64_t j = 0; j < u.keys; ++j) ds[i * a.keys + j] = 0;
  const auto add_outer = [&]() {
    const T* dweights = a.dweights + u.n * a.weights_sample + u.head * a.weights_head;
    for (int64_t i = 0; i < a.queries; ++i)
      for (int64_t j = 0; j < u.keys; ++j) ds[i * a.keys + j] += dweights[i * a.weights_query + j];
  };
  if (a.dweights && a.drops_weights) add_outer();
  T* weights = p;
  if (a.rate > 0) {
    weights = space.dropped;
    for (int64_t i = 0; i < size; ++i) weights[i] = p[i];
    dropper.drop(element, size, ds, ds);
    dropper.drop(element, size, weights, weights);
  }
  if (a.dweights && !a.drops_weights) add_outer();

  for (int64_t i = 0; i < a.queries; ++i) {  // p = softmax(s)  →  ds = p·(dp − Σ dp·p)
    may_stop(team, u.keys * kFunctionOperations);
    T *row = ds + i * a.keys, *p_row = p + i * a.keys;
    const T mean = dot(u.keys, row, p_row);
    for (int64_t j = 0; j < u.keys; ++j) row[j] = p_row[j] * (row[j] - mean);
    if (!is_query(i))  // no part of the context
      for (int64_t j = 0; j < u.keys; ++j) weights[i * a.keys + j] = 0;
  }
  if (!a.dvalue) return;
  if (!a.dcontext) return clear_steps(0, a.keys, a.value_width, u.value_row, a.dvalue + offset);
  unit_product(Product<T>{u.keys, a.value_width, a.queries, weights, 1, a.keys, a.dcontext + offset, u.value_row, 1,
                          a.dvalue + offset, u.value_row, nullptr, false},
               space.panel, team);
  clear_steps(u.keys, a.keys, a.value_width, u.value_row, a.dvalue + offset);
}

// s = factor·scale·(q·k)
template <class T>
static void dot_gradients(const Attention<T>& a, const AttentionUnit<T>& u, const AttentionSpace<T>& space, T* dscale,
                          const Team& team) {
  const int64_t offset = u.query - a.query, K = a.key_width;
  T *ds = space.weights, *dquery = a.dquery ? a.dquery + offset : space.dquery;
  const int64_t dquery_row = a.dquery ? u.key_row : K;
  const T scale = product_scale(a);
  if (a.dquery || a.dscale) {
    unit_product(
        Product<T>{a.queries, K, u.keys, ds, a.keys, 1, u.key, u.key_row, 1, dquery, dquery_row, nullptr, false},
        space.panel, team);
    T sum = 0;
    for (int64_t i = 0; i < a.queries; ++i) {
      if (a.dscale) sum += dot(K, u.query + i * u.key_row, dquery + i * dquery_row);
      for (int64_t d = 0; d < K; ++d) dquery[i * dquery_row + d] *= scale;
    }
    *dscale = sum * a.factor;
  }
  if (!a.dkey) return;
  for (int64_t i = 0; i < a.queries * a.keys; ++i) ds[i] *= scale;
  unit_product(Product<T>{u.keys, K, a.queries, ds, 1, a.keys, u.query, u.key_row, 1, a.dkey + offset, u.key_row,
                          nullptr, false},
               space.panel, team);
  clear_steps(u.keys, a.keys, K, u.key_row, a.dkey + offset);
}

// s = Σ_d weight_d·t_d with t = tanh(scale·(q + k)), a vector of d at a time: keys [Tv][W] and their gradients stay
// in the cache. The tanh is computed again, which costs less than to keep it.
template <class T>
static void tanh_gradients(const Attention<T>& a, const AttentionUnit<T>& u, const AttentionSpace<T>& space, T* dscale,
                           T* dweight, const Team& team) {
  const int64_t offset = u.query - a.query, K = a.key_width;
  const T scale = a.scale ? *a.scale : T(1);
  T *keys = space.blocks, *dkeys = keys + a.keys * W<T>;
  Vec<T> scale_sum{};
  for (int64_t d = 0; d < K; d += W<T>) {
    const int64_t left = K - d;
    Vec<T> weight = broadcast<T>(a.score == AttentionScore::concat ? *a.weight : T(1));
    if (a.score == AttentionScore::additive && a.weight) weight = load_partial(a.weight + d, left);
    for (int64_t j = 0; j < u.keys; ++j) {
      store(keys + j * W<T>, load_partial(u.key + j * u.key_row + d, left));
      store(dkeys + j * W<T>, Vec<T>{});
    }
    Vec<T> weight_sum{};
    for (int64_t i = 0; i < a.queries; ++i) {
      may_stop(team, u.keys * W<T> * kFunctionOperations);
      const T* ds = space.weights + i * a.keys;
      const Vec<T> q = load_partial(u.query + i * u.key_row + d, left);
      Vec<T> dq{};
      for (int64_t j = 0; j < u.keys; ++j) {
        if (ds[j] == T(0)) continue;  // not seen
        const Vec<T> t = tanh<T>((q + load(keys + j * W<T>)) * scale), dt = t * ds[j];
        const Vec<T> du = ds[j] - dt * t;  // ds·(1 − t²)
        weight_sum += dt;
        dq += du;
        store(dkeys + j * W<T>, load(dkeys + j * W<T>) + du);
      }
      dq *= weight;
      scale_sum += q * dq;
      if (a.dquery) store_partial(a.dquery + offset + i * u.key_row + d, dq * scale, left);
    }
    store_partial(dweight + d, weight_sum, left);
    for (int64_t j = 0; j < u.keys; ++j) {
      const Vec<T> dk = load(dkeys + j * W<T>) * weight;
      scale_sum += load(keys + j * W<T>) * dk;
      if (a.dkey) store_partial(a.dkey + offset + j * u.key_row + d, dk * scale, left);
    }
  }
  *dscale = reduce_add<T>(scale_sum);
  if (a.dkey) clear_steps(u.keys, a.keys, K, u.key_row, a.dkey + offset);
}

template <class T>
void attention_backward(const Attention<T>& a, const Team& team) {
  const int64_t units = a.samples * a.heads, K = a.key_width;
  T* sums = a.workspace;  // (units, K + 1): gradients of the weight and of the scale
  const int64_t size = attention_space<T>(a, true, nullptr, nullptr);
  AttentionSpace<T> space;
  attention_space<T>(a, true, sums + units * (K + 1) + team.thread * size, &space);
  Dropper<T> dropper(a.rate, a.random);
  const Range mine = team_range(units, team, 1);
  for (int64_t index = mine.begin; index < mine.end; ++index) {
    const AttentionUnit<T> u = attention_unit(a, index);
    softmax_gradients(a, u, space, dropper, team);
    T *dweight = sums + index * (K + 1), *dscale = dweight + K;
    if (a.score == AttentionScore::dot)
      dot_gradients(a, u, space, dscale, team);
    else
      tanh_gradients(a, u, space, dscale, dweight, team);
  }
  if (!a.dscale && !a.dweight) return;
  team_barrier(team);
  if (a.dweight && a.score == AttentionScore::additive) {
    const Range columns = team_range(K, team, W<T>);
    for (int64_t d = columns.begin; d < columns.end; ++d) {
      T sum = 0;
      for (int64_t index = 0; index < units; ++index) sum += sums[index * (K + 1) + d];
      a.dweight[d] = sum;
    }
  }
  if (team.thread != 0) return;
  double scale = 0, weight = 0;
  for (int64_t index = 0; index < units; ++index) {
    const T* of_unit = sums + index * (K + 1);
    scale += static_cast<double>(of_unit[K]);
    if (a.dweight && a.score == AttentionScore::concat) weight += static_cast<double>(row_sum(K, of_unit));
  }
  if (a.dscale) *a.dscale = static_cast<T>(scale);
  if (a.dweight && a.score == AttentionScore::concat) *a.dweight = static_cast<T>(weight);
}

}  // namespace
}  // namespace rnncore
