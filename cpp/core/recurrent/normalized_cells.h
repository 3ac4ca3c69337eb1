// Cells whose products are normalized over all their columns (Ba et al. 2016): the math of one row at one step.
//
// ẑ is a row z of G·H or H numbers less its mean, divided by √(variance + ε). With a = W·x and m = U·h':
//
//   simple rnn  h = f(α·ẑ + b),  z = a + m
//   lstm        i, f, g, o = activations of α·â + μ·m̂ + b,  c = f·c' + i·g,  h = o·a(γ·ĉ + δ)
//   gru         as it is, with α·â + b in place of W·x + b and μ·m̂ + b' in place of U·h' + b'
//
// `further` holds rows of H numbers: α of each gate, μ of each gate, γ, δ, as far as the cell has them.
#pragma once

#include "core/magnitude.h"
#include "core/recurrent/cells/gru.h"
#include "core/recurrent/cells/lstm.h"
#include "core/recurrent/cells/simple_rnn.h"
#include "core/recurrent/row_plan.h"

namespace rnncore {
namespace {

constexpr double kNormalizationEpsilon = 1e-3;

// Σ f(j, n) over the vectors of a row, n being the lanes that are left from j on; by four chains, since one would wait
// for the latency of each addition.
template <class T, class F>
RNNCORE_INLINE T sum_over(int64_t size, F f) {
  constexpr int chains = 4;
  Vec<T> sums[chains] = {};
  int64_t j = 0;
  for (; j + chains * W<T> <= size; j += chains * W<T>)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) sums[c] += f(j + c * W<T>, int64_t{W<T>});
  for (; j < size; j += W<T>) sums[0] += f(j, size - j);
  return reduce_add<T>((sums[0] + sums[2]) + (sums[1] + sums[3]));
}

// Where the squares of z are beyond T.
template <class T>
static __attribute__((noinline)) T normalize_large(T* z, int64_t size) {
  const Standard<T> standard = standard_of_large<T>(size, kNormalizationEpsilon, [&](int64_t i) { return z + i; });
  for (int64_t i = 0; i < size; ++i) z[i] = standard(z[i]);
  return standard.factor_of_x();
}

// z becomes ẑ; returns 1 / √(variance + ε).
template <class T>
RNNCORE_INLINE T normalize(T* z, int64_t size) {
  const T sum = sum_over<T>(size, [&](int64_t j, int64_t n) { return load_partial(z + j, n); });
  if (!__builtin_isfinite(sum)) return normalize_large(z, size);
  const Vec<T> mean = broadcast(sum / static_cast<T>(size));
  const T squares = sum_over<T>(size, [&](int64_t j, int64_t n) {
    const Vec<T> distance = load_partial(z + j, n) - mean;
    store_partial(z + j, distance, n);
    const Vec<T> kept = n < W<T> ? load_partial(z + j, n) : distance;  // zeros beyond the row
    return kept * kept;
  });
  if (!__builtin_isfinite(squares)) return normalize_large(z, size);
  const T factor = T(1) / __builtin_sqrt(squares / static_cast<T>(size) + static_cast<T>(kNormalizationEpsilon));
  for (int64_t j = 0; j < size; j += W<T>) store_partial(z + j, load_partial(z + j, size - j) * factor, size - j);
  return factor;
}

// From ẑ and dẑ: dz, in the place of `normal`.
template <class T>
RNNCORE_INLINE void normalize_backward(T* normal, const T* dnormal, int64_t size, T factor) {
  const T sum = sum_over<T>(size, [&](int64_t j, int64_t n) { return load_partial(dnormal + j, n); });
  const T products = sum_over<T>(
      size, [&](int64_t j, int64_t n) { return load_partial(dnormal + j, n) * load_partial(normal + j, n); });
  const Vec<T> mean = broadcast(sum / static_cast<T>(size)), slope = broadcast(products / static_cast<T>(size));
  for (int64_t j = 0; j < size; j += W<T>) {
    const Vec<T> n = load_partial(normal + j, size - j);
    store_partial(normal + j, factor * (load_partial(dnormal + j, size - j) - mean - n * slope), size - j);
  }
}

// What backward needs of a row beside its products, which it keeps normalized, and c.
enum {
  kSlots,    // activations of the gates
  kNormalC,  // ĉ
  kScales    // 1 / √(variance + ε) of x·W, h'·U and c
};

template <class CellT>
struct Normalized;

template <class T, class F>
struct Normalized<SimpleRnnCell<T, F>> : SimpleRnnCell<T, F> {
  using CellT = SimpleRnnCell<T, F>;

  static RowFacts facts(const SequenceShape& s) {
    const int64_t H = s.units;
    return {.columns = H, .recurrent = H, .own = {0, 0, 1}, .weight_sums = H, .bias_sums = H, .scratch = H};
  }

  static RNNCORE_INLINE void forward(const CellT& cell, const Row<T>& p) {
    p.own[kScales][0] = normalize(p.pre, p.H);
    for (int64_t u = 0; u < p.H; u += W<T>) {
      const Vec<T> z = p.at(p.weights, 0, u) * p.at(p.pre, 0, u) + p.at(p.bias, 0, u);
      p.put(p.h, 0, u, cell.f.template value<T>(z));
    }
  }

  static RNNCORE_INLINE void backward(const CellT& cell, const Row<T>& p, const RowGradients<T>& g) {
    for (int64_t u = 0; u < p.H; u += W<T>) {
      const Vec<T> z = p.at(p.weights, 0, u) * p.at(p.pre, 0, u) + p.at(p.bias, 0, u);
      const Vec<T> dz = p.at(g.dh, 0, u) * slope<T>(cell.f, z, p.at(p.h, 0, u));
      add_to(g.bias + u, p.H - u, dz);
      add_to(g.weights + u, p.H - u, dz * p.at(p.pre, 0, u));
      p.put(g.scratch, 0, u, dz * p.at(p.weights, 0, u));
    }
    normalize_backward(p.pre, g.scratch, p.H, p.own[kScales][0]);
  }
};

template <class T, class A, class R>
struct Normalized<LstmCell<T, A, R>> : LstmCell<T, A, R> {
  static constexpr int gates = 4, gain_c = 8, shift_c = 9;  // the latter rows of `further`
  using CellT = LstmCell<T, A, R>;

  static RowFacts facts(const SequenceShape& s) {
    const int64_t H = s.units;
    return {.columns = 4 * H,
            .recurrent = 4 * H,
            .apart = true,
            .memory = H,
            .own = {4 * H, H, 3},
            .weight_sums = 10 * H,
            .bias_sums = 4 * H,
            .scratch = 8 * H};
  }

  static RNNCORE_INLINE void forward(const CellT& cell, const Row<T>& p) {
    p.own[kScales][0] = normalize(p.pre, gates * p.H);
    p.own[kScales][1] = normalize(p.recurrent, gates * p.H);
    for (int64_t u = 0; u < p.H; u += W<T>) {
      Vec<T> s[4];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k)
        s[k] = unfused(p.at(p.weights, k, u) * p.at(p.pre, k, u)) +
               p.at(p.weights, gates + k, u) * p.at(p.recurrent, k, u) + p.at(p.bias, k, u);
      const Vec<T> i = activated<T>(cell.r, s[0]), f = activated<T>(cell.r, s[1]), n = activated<T>(cell.a, s[2]);
      activated<T>(cell.r, s[3]);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) p.put(p.own[kSlots], k, u, s[k]);
      const Vec<T> c = f * p.at(p.c_before, 0, u) + unfused(i * n);
      p.put(p.c, 0, u, c);
      p.put(p.own[kNormalC], 0, u, c);
    }
    p.own[kScales][2] = normalize(p.own[kNormalC], p.H);
    for (int64_t u = 0; u < p.H; u += W<T>) {
      const Vec<T> shown = p.at(p.weights, gain_c, u) * p.at(p.own[kNormalC], 0, u) + p.at(p.weights, shift_c, u);
      p.put(p.h, 0, u, output<T>(cell.r, p.at(p.own[kSlots], 3, u)) * cell.a.template value<T>(shown));
    }
  }

  static RNNCORE_INLINE void backward(const CellT& cell, const Row<T>& p, const RowGradients<T>& g) {
    T *dinput = g.scratch, *drecurrent = dinput + gates * p.H;
    for (int64_t u = 0; u < p.H; u += W<T>) {
      const Vec<T> gain = p.at(p.weights, gain_c, u), normal = p.at(p.own[kNormalC], 0, u), dh = p.at(g.dh, 0, u);
      const Vec<T> shown = gain * normal + p.at(p.weights, shift_c, u), y = cell.a.template value<T>(shown);
      const Vec<T> kept = p.at(p.own[kSlots], 3, u), o = output<T>(cell.r, kept);
      p.put(p.own[kSlots], 3, u, dh * y * slope<T>(cell.r, kept, o));  // h = o·y
      const Vec<T> dshown = dh * o * slope<T>(cell.a, shown, y);       // h = o·y
      add_to(g.weights + gain_c * p.H + u, p.H - u, dshown * normal);
      add_to(g.weights + shift_c * p.H + u, p.H - u, dshown);
      p.put(dinput, 0, u, dshown * gain);
    }
    normalize_backward(p.own[kNormalC], dinput, p.H, p.own[kScales][2]);
    for (int64_t u = 0; u < p.H; u += W<T>) {
      const Vec<T> dc = p.at(g.dc, 0, u) + p.at(p.own[kNormalC], 0, u);
      const Vec<T> s[3] = {p.at(p.own[kSlots], 0, u), p.at(p.own[kSlots], 1, u), p.at(p.own[kSlots], 2, u)};
      const Vec<T> i = output<T>(cell.r, s[0]), f = output<T>(cell.r, s[1]), n = output<T>(cell.a, s[2]);
      const Vec<T> d[4] = {dc * n * slope<T>(cell.r, s[0], i),                              // c = f·c' + i·g
                           dc * p.at(p.c_before, 0, u) * slope<T>(cell.r, s[1], f),         // c = f·c' + i·g
                           dc * i * slope<T>(cell.a, s[2], n), p.at(p.own[kSlots], 3, u)};  // c = f·c' + i·g
      p.put(g.dc, 0, u, dc * f);                                                            // c = f·c' + i·g
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        add_to(g.bias + k * p.H + u, p.H - u, d[k]);
        add_to(g.weights + k * p.H + u, p.H - u, d[k] * p.at(p.pre, k, u));
        add_to(g.weights + (gates + k) * p.H + u, p.H - u, d[k] * p.at(p.recurrent, k, u));
        p.put(dinput, k, u, d[k] * p.at(p.weights, k, u));
        p.put(drecurrent, k, u, d[k] * p.at(p.weights, gates + k, u));
      }
    }
    normalize_backward(p.pre, dinput, gates * p.H, p.own[kScales][0]);
    normalize_backward(p.recurrent, drecurrent, gates * p.H, p.own[kScales][1]);
  }
};

template <class T, class A, class R>
struct Normalized<GruCell<T, A, R>> : GruCell<T, A, R> {
  static constexpr int gates = 3;
  using CellT = GruCell<T, A, R>;

  static RowFacts facts(const SequenceShape& s) {
    const int64_t H = s.units;
    return {.columns = 3 * H,
            .recurrent = 3 * H,
            .apart = true,
            .own = {4 * H, 0, 2},
            .weight_sums = 6 * H,
            .bias_sums = 6 * H,
            .carries_dh = true,
            .scratch = 6 * H};
  }

  static RNNCORE_INLINE void forward(const CellT& cell, const Row<T>& p) {
    p.own[kScales][0] = normalize(p.pre, gates * p.H);
    p.own[kScales][1] = normalize(p.recurrent, gates * p.H);
    for (int64_t u = 0; u < p.H; u += W<T>) {
      Vec<T> input[3], recurrent[3], none{};
#pragma GCC unroll 3
      for (int k = 0; k < 3; ++k) {
        input[k] = p.at(p.weights, k, u) * p.at(p.pre, k, u) + p.at(p.bias, k, u);
        recurrent[k] = p.at(p.weights, gates + k, u) * p.at(p.recurrent, k, u) + p.at(p.bias, gates + k, u);
      }
      Vec<T> s[4] = {input[2], input[0] + recurrent[0], input[1] + recurrent[1], recurrent[2]};  // n z r q
      p.put(p.h, 0, u, CellT::forward(cell, s, p.at(p.h_before, 0, u), none));
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) p.put(p.own[kSlots], k, u, s[k]);
    }
  }

  static RNNCORE_INLINE void backward(const CellT& cell, const Row<T>& p, const RowGradients<T>& g) {
    T *dinput = g.scratch, *drecurrent = dinput + gates * p.H;
    for (int64_t u = 0; u < p.H; u += W<T>) {
      Vec<T> s[4], none{}, carry{};
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) s[k] = p.at(p.own[kSlots], k, u);
      CellT::backward(cell, s, none, p.at(p.h_before, 0, u), none, none, p.at(g.dh, 0, u), none, carry);
      p.put(g.dh, 0, u, carry);
#pragma GCC unroll 3
      for (int k = 0; k < 3; ++k) {  // z r n of the input product, z r q of the recurrent one
        const Vec<T> da = s[(k + 1) % 3], dm = s[k + 1];
        add_to(g.bias + k * p.H + u, p.H - u, da);
        add_to(g.bias + (gates + k) * p.H + u, p.H - u, dm);
        add_to(g.weights + k * p.H + u, p.H - u, da * p.at(p.pre, k, u));
        add_to(g.weights + (gates + k) * p.H + u, p.H - u, dm * p.at(p.recurrent, k, u));
        p.put(dinput, k, u, da * p.at(p.weights, k, u));
        p.put(drecurrent, k, u, dm * p.at(p.weights, gates + k, u));
      }
    }
    normalize_backward(p.pre, dinput, gates * p.H, p.own[kScales][0]);
    normalize_backward(p.recurrent, drecurrent, gates * p.H, p.own[kScales][1]);
  }
};

}  // namespace
}  // namespace rnncore
