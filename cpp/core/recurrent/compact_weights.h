// Products of few rows with weights kept in fewer bytes than the numbers they stand for.
//
// bfloat16: two neighbours along the depth in 32 bits. Each becomes a float again in one instruction, so that results
// are those of weights rounded to bfloat16, to the bit. int8: four neighbours in 32 bits, with a scale for each column.
// A row of x or h becomes int8 too, with a scale of its own; sums are exact integers.
#pragma once

#include "core/recurrent/forward_panels.h"
#include "core/recurrent/int8.h"

namespace rnncore {
namespace {

// Whether a layout's weights may be kept so.
template <class L>
constexpr bool kCompact = std::is_same_v<typename L::Type, float> && !L::rounded;

using Words = Vec<Bfloat16Pair>;  // 32 bits in each lane

// Of column vector i at depth k in a panel whose passes are as wide as registers allow.
template <int n, class T>
RNNCORE_INLINE int64_t panel_place(int i, int64_t k, int64_t depth) {
  const int first = i / kTileVectors * kTileVectors;
  const int width = i < n / kTileVectors * kTileVectors ? kTileVectors : n % kTileVectors;
  return (first * depth + k * width + i - first) * W<T>;
}

// Packs one weight matrix (depth, G·H) for one block, and of int8 its scales and 128·sums, [2][part_vectors][W].
template <class L, class GateOf>
static void pack_compact(const SequenceShape& s, const float* weights, int64_t depth, int64_t block, GateOf gate_of,
                         int first_slot, float* panel, float* scales) {
  constexpr int n = L::part_vectors;
  const int64_t H = s.units, row_size = L::Form::gates * H, numbers = numbers_of(s.weights);
  const int64_t words = (depth + numbers - 1) / numbers;
  for (int i = 0; i < n; ++i) {
    const int64_t unit = block * L::units + i / L::Form::gates * W<float>;
    const float* source = weights + gate_of(first_slot + i % L::Form::gates) * H + unit;
    const auto row = [&](int64_t k) {
      return k < depth ? load_partial(source + k * row_size, H - unit) : Vec<float>{};
    };
    float* const to = panel + panel_place<n, float>(i, 0, words);
    const int64_t step = panel_place<n, float>(i, 1, words) - panel_place<n, float>(i, 0, words);
    if (s.weights == WeightFormat::bfloat16) {
      for (int64_t k = 0; k < words; ++k) {
        const Words pair = pair_up(round_to_bfloat16(row(2 * k)), round_to_bfloat16(row(2 * k + 1)));
        store(to + k * step, bit_cast<Vec<float>>(pair));
      }
      continue;
    }
    Vec<float> most{}, factor;
    for (int64_t k = 0; k < depth; ++k) most = larger(most, row(k));
    float* const scale = scales + i * W<float>;
    for (int j = 0; j < W<float>; ++j) {
      scale[j] = int8_scale(most[j]);
      factor[j] = int8_factor(scale[j]);
    }
    Bits<float> sum{};
    for (int64_t k = 0; k < words; ++k) {
      Bits<float> word{};
      for (int byte = 0; byte < 4; ++byte) {
        const Bits<float> q = quantized_to_int8(row(4 * k + byte), factor);
        sum += q;
        word |= (q & 0xff) << (8 * byte);
      }
      store(to + k * step, bit_cast<Vec<float>>(word));
    }
    store(scale + n * W<float>, bit_cast<Vec<float>>(sum << 7));
  }
}

// As pack_forward.
template <class L>
static void pack_forward_compact(const ForwardPlan<L>& p, Range blocks) {
  using Form = typename L::Form;
  constexpr int64_t columns = L::part_vectors * W<float>;
  for (int64_t block = blocks.begin; block < blocks.end; ++block) {
    float* scales = p.scales + block * 4 * columns;
    pack_compact<L>(p.shape, p.call.kernel, p.shape.inputs, block, Form::input_gate, Form::input_slot,
                    p.input_panels + block * p.input_depth * columns, scales);
    pack_compact<L>(p.shape, p.call.recurrent_kernel, p.shape.units, block, Form::recurrent_gate, Form::recurrent_slot,
                    p.recurrent_panels + block * p.recurrent_depth * columns, scales + 2 * columns);
  }
  pack_bias(p, blocks);
}

// Sums of some rows, each with some blocks of units.
template <int Blocks, int n, int Rows>
struct CompactSums {
  Vec<float> sum[Rows * Blocks][n];
};

// sum[row, b][i] += Σ_k a[row][k]·column i of block b, number k going to chain k mod Chains
template <int Blocks, int n, int Chains, int Rows>
RNNCORE_INLINE void add_bfloat16(int64_t depth, const float* const* a, const float* panels,
                                 CompactSums<Blocks, n, Rows>& sums) {
  const int64_t pairs = (depth + 1) / 2, size = pairs * n * W<float>;
  Vec<float> acc[Chains][Rows * Blocks][n] = {};
#pragma GCC unroll 8
  for (int b = 0; b < Rows * Blocks; ++b)
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) acc[0][b][i] = sums.sum[b][i];
  const auto add = [&](int c, int64_t k, bool both) __attribute__((always_inline)) {
    Vec<float> first[Rows], second[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      first[r] = broadcast(a[r][2 * k]);
      second[r] = both ? broadcast(a[r][2 * k + 1]) : Vec<float>{};
    }
#pragma GCC unroll 8
    for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) {
        const Words w = bit_cast<Words>(load(panels + b * size + panel_place<n, float>(i, k, pairs)));
        const auto low = bit_cast<Vec<float>>(w << 16), high = bit_cast<Vec<float>>(w & 0xffff0000u);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) {
          multiply_add(acc[2 * c % Chains][r * Blocks + b][i], first[r], low);
          if (both) multiply_add(acc[(2 * c + 1) % Chains][r * Blocks + b][i], second[r], high);
        }
      }
  };
  constexpr int kPairs = Chains > 2 ? Chains / 2 : 1;
  const int64_t whole = depth / 2;
  int64_t k = 0;
  for (; k + kPairs <= whole; k += kPairs)
#pragma GCC unroll 2
    for (int c = 0; c < kPairs; ++c) add(c, k + c, true);
#pragma GCC unroll 2
  for (int c = 0; c < kPairs; ++c)
    if (k + c < pairs) add(c, k + c, k + c < whole);
  add_chains(acc);
#pragma GCC unroll 8
  for (int b = 0; b < Rows * Blocks; ++b)
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) sums.sum[b][i] = acc[0][b][i];
}

// Sums of products of int8, which floats hold exactly up to this depth.
constexpr int64_t kExactWords = 256;
static_assert(4 * kExactWords * 127 * 127 < 1 << 24);

// sums[row·next + i] = Σ_k (a[row][k] - 128)·column i of a block; a is of bytes, 128 above the factors.
template <int n, int Rows>
static __attribute__((noinline)) void int8_sums(int64_t words, const uint32_t* const* a, const float* panel, int next,
                                                Vec<float>* sums) {
#pragma GCC unroll 1
  for (int i = 0; i < n; ++i) {
    const float* column = panel + panel_place<n, float>(i, 0, words);
    const int64_t step = panel_place<n, float>(i, 1, words) - panel_place<n, float>(i, 0, words);
    Bits<float> total[Rows] = {};
    for (int64_t k0 = 0; k0 < words; k0 += kExactWords) {
      Vec<float> sum[Rows] = {};
      for (int64_t k = k0; k < words && k < k0 + kExactWords; ++k) {
        const Bits<float> w = bit_cast<Bits<float>>(load(column + k * step));
#pragma GCC unroll 4
        for (int byte = 0; byte < 4; ++byte) {
          const auto weight = __builtin_convertvector((w << (24 - 8 * byte)) >> 24, Vec<float>);
#pragma GCC unroll 4
          for (int r = 0; r < Rows; ++r)
            sum[r] += static_cast<float>(static_cast<int>(a[r][k] >> (8 * byte) & 0xff) - 128) * weight;
        }
      }
      for (int r = 0; r < Rows; ++r) total[r] += __builtin_convertvector(sum[r], Bits<float>);
    }
    for (int r = 0; r < Rows; ++r) sums[r * next + i] = __builtin_convertvector(total[r], Vec<float>);
  }
}

#if RNNCORE_VECTOR_BYTES == 64
// The same by the instruction that adds four products of bytes; `shifts` are 128·sums of the columns.
template <int Blocks, int n, int Rows>
__attribute__((noinline, target("avx512vnni"))) static void int8_sums_vnni(int64_t words, const uint32_t* const* a,
                                                                           const float* panels, const float* shifts,
                                                                           CompactSums<Blocks, n, Rows>& sums) {
  const int64_t size = words * n * W<float>;
  __m512i acc[Rows * Blocks][n];
#pragma GCC unroll 8
  for (int b = 0; b < Rows * Blocks; ++b)
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) acc[b][i] = _mm512_setzero_si512();
  for (int64_t k = 0; k < words; ++k) {
    __m512i ak[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) ak[r] = _mm512_set1_epi32(static_cast<int>(a[r][k]));
#pragma GCC unroll 8
    for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) {
        const int first = i / kTileVectors * kTileVectors;
        const int width = i < n / kTileVectors * kTileVectors ? kTileVectors : n % kTileVectors;
        const __m512i w = _mm512_loadu_si512(panels + b * size + (first * words + k * width + i - first) * 16);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) acc[r * Blocks + b][i] = _mm512_dpbusd_epi32(acc[r * Blocks + b][i], ak[r], w);
      }
  }
#pragma GCC unroll 8
  for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) {
      const __m512i shift = _mm512_loadu_si512(shifts + (b * 4 * n + i) * 16);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r)
        sums.sum[r * Blocks + b][i] =
            __builtin_convertvector((Bits<float>)_mm512_sub_epi32(acc[r * Blocks + b][i], shift), Vec<float>);
    }
}
#endif

template <int Blocks, int n, int Rows>
RNNCORE_INLINE void sum_int8(int64_t words, const uint32_t* const* a, const float* panels,
                             [[maybe_unused]] const float* shifts, CompactSums<Blocks, n, Rows>& sums) {
#if RNNCORE_VECTOR_BYTES == 64
  static const bool vnni = __builtin_cpu_supports("avx512vnni");
  if (vnni) return int8_sums_vnni<Blocks, n, Rows>(words, a, panels, shifts, sums);
#endif
  for (int b = 0; b < Blocks; ++b)
    int8_sums<n, Rows>(words, a, panels + b * words * n * W<float>, Blocks * n, sums.sum[b]);
}

// Bytes of a row, 128 above its numbers divided by the scale; returns the scale. What is not finite makes it NaN or
// infinite.
static float quantize_row(const float* a, int64_t count, uint32_t* to) {
  Vec<float> largest{};
  for (int64_t i = 0; i < count; i += W<float>) largest = larger(largest, load_partial(a + i, count - i));
  float most = 0;
  for (int i = 0; i < W<float>; ++i)
    if (largest[i] > most || largest[i] != largest[i]) most = largest[i];
  const float scale = int8_scale(most);
  const Vec<float> factor = broadcast(int8_factor(scale));
  auto* bytes = reinterpret_cast<uint8_t*>(to);
  for (int64_t i = 0; i < (count + 3) / 4 * 4; i += W<float>) {
    const Bits<float> q = quantized_to_int8(load_partial(a + i, count - i), factor) + 128;
    typedef uint8_t Bytes __attribute__((vector_size(W<float>)));
    const Bytes narrow = __builtin_convertvector(q, Bytes);
    const int64_t left = (count + 3) / 4 * 4 - i;
    __builtin_memcpy(bytes + i, &narrow, static_cast<size_t>(left < W<float> ? left : W<float>));
  }
  return scale;
}

// Rows whose products are made side by side: what is read of the weights serves them all. A cell of several chains is
// that of a few units, whose weights are near.
template <class L>
constexpr int kRowsTogether = L::chains > 1 || RNNCORE_VECTOR_BYTES == 16 ? 1
                              : RNNCORE_VECTOR_REGISTERS >= 32            ? 4
                                                                          : 2;

// What a row multiplies with: x and h, null for zeros, or its bytes.
struct CompactRow {
  const float *x, *h;
  const uint32_t* quantized;
};

// Both products of `Rows` rows for `Blocks` blocks of units: result [Rows][Blocks][vectors].
template <class L, int Blocks, int Rows>
static __attribute__((noinline)) void compact_products(const ForwardPlan<L>& p, const CompactRow* rows, int64_t block,
                                                       Vec<float>* result) {
  constexpr int n = L::part_vectors;
#pragma GCC unroll 8
  for (int v = 0; v < Blocks * L::vectors; ++v)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) result[r * Blocks * L::vectors + v] = load(p.bias + block * L::width + v * W<float>);
  const auto add = [&]<int FirstSlot, int Chains, int Part>(int64_t numbers, int64_t depth,
                                                            const float* panels) __attribute__((always_inline)) {
    CompactSums<Blocks, n, Rows> sums;
    if (p.shape.weights == WeightFormat::bfloat16) {
      const float* a[Rows];
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) a[r] = Part == 0 ? rows[r].x : rows[r].h;
#pragma GCC unroll 8
      for (int b = 0; b < Rows * Blocks; ++b)
#pragma GCC unroll 8
        for (int i = 0; i < n; ++i) sums.sum[b][i] = result[b * L::vectors + L::part_vector(i, FirstSlot)];
      add_bfloat16<Blocks, n, Chains, Rows>(numbers, a, panels + block * depth * n * W<float>, sums);
#pragma GCC unroll 8
      for (int b = 0; b < Rows * Blocks; ++b)
#pragma GCC unroll 8
        for (int i = 0; i < n; ++i) result[b * L::vectors + L::part_vector(i, FirstSlot)] = sums.sum[b][i];
      return;
    }
    const uint32_t* a[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) a[r] = rows[r].quantized + (Part == 0 ? 0 : p.input_depth);
    const float* scales = p.scales + (block * 4 + 2 * Part) * n * W<float>;
    sum_int8<Blocks, n, Rows>(depth, a, panels + block * depth * n * W<float>, scales + n * W<float>, sums);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const auto scale = broadcast(bit_cast<float>(rows[r].quantized[p.input_depth + p.recurrent_depth + Part]));
#pragma GCC unroll 8
      for (int b = 0; b < Blocks; ++b)
#pragma GCC unroll 8
        for (int i = 0; i < n; ++i)
          result[(r * Blocks + b) * L::vectors + L::part_vector(i, FirstSlot)] +=
              sums.sum[r * Blocks + b][i] * (scale * load(scales + (b * 4 * n + i) * W<float>));
    }
  };
  add.template operator()<L::Form::input_slot, 1, 0>(p.shape.inputs, p.input_depth, p.input_panels);
  if (rows[0].h)  // it is so for all rows
    add.template operator()<L::Form::recurrent_slot, L::chains, 1>(p.shape.units, p.recurrent_depth,
                                                                   p.recurrent_panels);
}

// One step of some rows, blocks of units in the order of forward_blocks.
template <class L>
static void forward_compact(const ForwardPlan<L>& p, const CellKernels<L>& cell, int64_t t, const RowShare& share,
                            int64_t count, Range blocks, const Team& team) {
  constexpr int Rows = kRowsTogether<L>;
  uint32_t* quantized = p.quantized + team.thread * p.shape.rows * p.quantized_row();
  const auto place = [&](int64_t i) { return share.first + i * share.step; };
  const auto row_of = [&](int64_t row) {
    return CompactRow{p.input_factor(t, row), p.factor(t, row), quantized + row * p.quantized_row()};
  };
  if (p.shape.weights == WeightFormat::int8)
    for (int64_t i = 0; i < count; ++i) {
      const CompactRow row = row_of(place(i));
      uint32_t* to = quantized + place(i) * p.quantized_row();
      const float scales[2] = {quantize_row(row.x, p.shape.inputs, to),
                               row.h ? quantize_row(row.h, p.shape.units, to + p.input_depth) : 0};
      __builtin_memcpy(to + p.input_depth + p.recurrent_depth, scales, sizeof(scales));
    }
  const bool back = (t + p.call.turn) % 2 != 0;
  constexpr int kMost = Rows > kBlocksTogether ? Rows : kBlocksTogether;
  Vec<float> pre[kMost * L::vectors];
  CompactRow rows[Rows];
  for (int64_t done = 0; done < blocks.end - blocks.begin;) {
    const int64_t left = blocks.end - blocks.begin - done;
    const int64_t together = left >= kBlocksTogether ? kBlocksTogether : 1;
    const int64_t first = back ? blocks.begin + left - together : blocks.begin + done;
    for (int64_t i = 0; i < count;) {
      if constexpr (Rows > 1)
        if (const int64_t more = count - i; more > Rows / 2) {  // the last one stands in for those that lack
          for (int64_t r = 0; r < Rows; ++r) rows[r] = row_of(place(i + (r < more ? r : more - 1)));
          for (int64_t b = 0; b < together; ++b) {
            compact_products<L, 1, Rows>(p, rows, first + b, pre);
            for (int64_t r = 0; r < Rows && r < more; ++r)
              cell.forward(p, t, place(i + r), 1, 1, first + b, pre + r * L::vectors, nullptr);
          }
          i += Rows;
          continue;
        }
      rows[0] = row_of(place(i));
      if (together == 1)
        compact_products<L, 1, 1>(p, rows, first, pre);
      else
        compact_products<L, kBlocksTogether, 1>(p, rows, first, pre);
      for (int64_t b = 0; b < together; ++b)
        cell.forward(p, t, place(i), 1, 1, first + b, pre + b * L::vectors, nullptr);
      ++i;
    }
    done += together;
  }
}

}  // namespace
}  // namespace rnncore
