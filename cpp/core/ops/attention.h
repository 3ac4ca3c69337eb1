// Attention forward: scores, softmax over the keys that a query may see, and the mean of the values.
//
// A thread takes blocks of queries of a unit (one head of one sample), which keeps their scores in its cache.
#pragma once

#include "core/math.h"
#include "core/ops/dropout.h"
#include "core/ops/softmax.h"
#include "core/unit_product.h"

namespace rnncore {
namespace {

constexpr int64_t kQueryBlock = 48;
constexpr int64_t kFunctionOperations = 16;  // of exp or tanh and what surrounds it, about

// One head of one sample: where its operands begin, and how far apart its steps are.
template <class T>
struct AttentionUnit {
  int64_t n, head, index;        // index: in (N, heads)
  int64_t keys;                  // up to the last real one; those beyond have no weight
  int64_t key_row, value_row;    // strides between steps
  const T *query, *key, *value;  // (Tq, K), (Tv, K), (Tv, V)
};

RNNCORE_INLINE bool is_real(const RealSteps& steps, int64_t samples, int64_t n, int64_t t) {
  if (steps.mask) return steps.mask[t * samples + n] != 0;
  return !steps.lengths || t < steps.lengths[n];
}

template <class T>
RNNCORE_INLINE AttentionUnit<T> attention_unit(const Attention<T>& a, int64_t index) {
  const int64_t n = index / a.heads, head = index % a.heads;
  const int64_t key_row = a.samples * a.heads * a.key_width, value_row = a.samples * a.heads * a.value_width;
  const int64_t key = (n * a.heads + head) * a.key_width, value = (n * a.heads + head) * a.value_width;
  int64_t keys = a.keys;
  while (keys > 0 && !is_real(a.value_steps, a.samples, n, keys - 1)) --keys;
  return {n, head, index, keys, key_row, value_row, a.query + key, a.key + key, a.value + value};
}

// 1 for each key that query i sees, 0 for others and up to a whole vector.
template <class T>
RNNCORE_INLINE void find_visible(const Attention<T>& a, const AttentionUnit<T>& u, int64_t i, T* visible) {
  const bool none = a.hides_queries && !is_real(a.query_steps, a.samples, u.n, i);
  const int32_t* mask = a.attention_mask ? a.attention_mask + (i * a.samples + u.n) * a.keys : nullptr;
  for (int64_t j = 0; j < u.keys; ++j)
    visible[j] =
        !none && is_real(a.value_steps, a.samples, u.n, j) && (!a.causal || j <= i) && (!mask || mask[j]) ? T(1) : T(0);
  for (int64_t j = u.keys; j < u.keys + W<T>; ++j) visible[j] = 0;
}

// Whether what a query sees depends on the query.
template <class T>
RNNCORE_INLINE bool sees_differently(const Attention<T>& a) {
  return a.causal || a.attention_mask || (a.hides_queries && (a.query_steps.mask || a.query_steps.lengths));
}

// Softmax in place of the first `keys` of a row of `size`; zeros beyond, and where nothing is visible.
template <class T>
RNNCORE_INLINE void visible_softmax(int64_t keys, int64_t size, const T* visible, T* row) {
  constexpr T lowest = -static_cast<T>(__builtin_inf());
  Vec<T> most = broadcast<T>(lowest);
  for (int64_t j = 0; j < keys; j += W<T>) {
    const Vec<T> x = load_partial(row + j, keys - j), open = load(visible + j), other = broadcast<T>(lowest);
    most = max(most, open > Vec<T>{} ? x : other);
  }
  T highest = lowest;
  for (int lane = 0; lane < W<T>; ++lane) highest = most[lane] > highest ? most[lane] : highest;
  Vec<T> sum{};
  for (int64_t j = 0; j < keys; j += W<T>) {
    const Vec<T> open = load(visible + j), all = exp_to_zero<T>(load_partial(row + j, keys - j) - highest);
    const Vec<T> e = open > Vec<T>{} ? all : Vec<T>{};
    sum += e;
    store_partial(row + j, e, keys - j);
  }
  const T total = reduce_add<T>(sum);
  const T inverse = total == T(0) ? T(0) : T(1) / total;  // NaN stays NaN
  for (int64_t j = 0; j < keys; j += W<T>) store_partial(row + j, load_partial(row + j, keys - j) * inverse, keys - j);
  for (int64_t j = keys; j < size; ++j) row[j] = 0;
}

template <class T>
RNNCORE_INLINE T product_scale(const Attention<T>& a) {
  return a.scale ? a.factor * *a.scale : a.factor;
}

// s[i][j] = Σ_d weight_d·tanh(scale·(q_d + k_d)) of queries [first, first + rows), rows `keys` of a.keys apart.
template <class T>
static void tanh_scores(const Attention<T>& a, const AttentionUnit<T>& u, int64_t first, int64_t rows, T* s,
                        const Team& team) {
  const T scale = a.scale ? *a.scale : T(1);
  const bool is_vector = a.score == AttentionScore::additive && a.weight;
  const T common = a.score == AttentionScore::concat ? *a.weight : T(1);
  T sums[W<T> * W<T>], turned[W<T> * W<T>];
  for (int64_t i = 0; i < rows; ++i) {
    may_stop(team, u.keys * a.key_width * kFunctionOperations);
    const T* q = u.query + (first + i) * u.key_row;
    const int64_t seen = a.causal && first + i + 1 < u.keys ? first + i + 1 : u.keys;
    for (int64_t j0 = 0; j0 < seen; j0 += W<T>) {
      const int64_t count = seen - j0 < W<T> ? seen - j0 : W<T>;
      for (int64_t j = 0; j < count; ++j) {
        const T* k = u.key + (j0 + j) * u.key_row;
        Vec<T> sum{};
        for (int64_t d = 0; d < a.key_width; d += W<T>) {
          const int64_t left = a.key_width - d;
          const Vec<T> t = tanh<T>((load_partial(q + d, left) + load_partial(k + d, left)) * scale);
          sum += is_vector ? t * load_partial(a.weight + d, left) : t;
        }
        store(sums + j * W<T>, sum);
      }
      transpose(sums, W<T>, count, W<T>, turned, W<T>);
      Vec<T> total{};
      for (int lane = 0; lane < W<T>; ++lane) total += load(turned + lane * W<T>);
      store_partial(s + i * a.keys + j0, total * common, seen - j0);
    }
    for (int64_t j = seen; j < u.keys; ++j) s[i * a.keys + j] = 0;
  }
}

// Parts of a thread's workspace.
template <class T>
struct AttentionSpace {
  T *visible, *panel, *weights, *dropped, *dquery, *blocks;
};

// What a thread of the forward pass needs, or of the backward pass, in which `weights` has all queries of a unit.
template <class T>
RNNCORE_INLINE int64_t attention_space(const Attention<T>& a, bool backward, T* memory, AttentionSpace<T>* space) {
  int64_t used = 0;
  const auto take = [&](int64_t size) {
    T* part = memory + used;
    used += (size + 15) / 16 * 16;
    return part;
  };
  const int64_t depth = a.keys > a.queries ? a.keys : a.queries;
  const int64_t block = (backward || a.queries < kQueryBlock ? a.queries : kQueryBlock) * a.keys;
  const int64_t widest = a.key_width > a.value_width ? a.key_width : a.value_width;
  AttentionSpace<T> s{};
  s.visible = take(a.keys + W<T>);
  s.panel = take(unit_panel<T>(depth > widest ? depth : widest));
  s.weights = take(block);
  s.dropped = take(a.rate > 0 ? block : 0);
  if (backward && a.score == AttentionScore::dot) s.dquery = take(a.queries * a.key_width);
  if (backward && a.score != AttentionScore::dot) s.blocks = take(2 * a.keys * W<T>);
  if (space) *space = s;
  return used;
}

template <class T>
int64_t attention_workspace(const Attention<T>& a, bool backward, int threads) {
  // Backward adds the gradients of scale and weight of each unit.
  const int64_t sums = backward ? a.samples * a.heads * (a.key_width + 1) : 0;
  return threads * attention_space<T>(a, backward, nullptr, nullptr) + sums;
}

template <class T>
void attention_forward(const Attention<T>& a, const Team& team) {
  AttentionSpace<T> space;
  attention_space<T>(a, false, a.workspace + team.thread * attention_space<T>(a, false, nullptr, nullptr), &space);
  Dropper<T> dropper(a.rate, a.random);
  const int64_t blocks = (a.queries + kQueryBlock - 1) / kQueryBlock;
  const Range mine = team_range(a.samples * a.heads * blocks, team, 1);
  int64_t visible_unit = -1;
  for (int64_t item = mine.begin; item < mine.end; ++item) {
    const AttentionUnit<T> u = attention_unit(a, item / blocks);
    const int64_t first = item % blocks * kQueryBlock;
    const int64_t rows = a.queries - first < kQueryBlock ? a.queries - first : kQueryBlock;
    const int64_t element = (u.index * a.queries + first) * a.keys;
    T* s = a.probabilities ? a.probabilities + element : space.weights;  // (rows, Tv)

    if (a.score != AttentionScore::dot)
      tanh_scores(a, u, first, rows, s, team);
    else
      unit_product(Product<T>{rows, u.keys, a.key_width, u.query + first * u.key_row, u.key_row, 1, u.key, 1, u.key_row,
                              s, a.keys, nullptr, false},
                   space.panel, team);
    const T factor = a.score == AttentionScore::dot ? product_scale(a) : T(1);
    for (int64_t i = 0; i < rows; ++i) {
      may_stop(team, u.keys * kFunctionOperations);
      if (visible_unit != u.index || sees_differently(a)) find_visible(a, u, first + i, space.visible);
      visible_unit = u.index;
      if (factor != T(1))
        for (int64_t j = 0; j < u.keys; ++j) s[i * a.keys + j] *= factor;
      visible_softmax(u.keys, a.keys, space.visible, s + i * a.keys);
    }
    const T* weights = s;
    if (a.rate > 0) {
      dropper.drop(element, rows * a.keys, s, space.dropped);
      weights = space.dropped;
    }
    if (a.weights) {
      T* out = a.weights + u.n * a.weights_sample + u.head * a.weights_head + first * a.weights_query;
      const T* shown = a.drops_weights ? weights : s;
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < a.keys; ++j) out[i * a.weights_query + j] = shown[i * a.keys + j];
    }
    if (!a.context) continue;
    T* context = a.context + (u.value - a.value) + first * u.value_row;
    unit_product(Product<T>{rows, a.value_width, u.keys, weights, a.keys, 1, u.value, u.value_row, 1, context,
                            u.value_row, nullptr, false},
                 space.panel, team);
    for (int64_t i = 0; i < rows; ++i)
      if (!is_real(a.query_steps, a.samples, u.n, first + i))
        for (int64_t d = 0; d < a.value_width; ++d) context[i * u.value_row + d] = 0;
  }
}

}  // namespace
}  // namespace rnncore
