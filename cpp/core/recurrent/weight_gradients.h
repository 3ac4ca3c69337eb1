// Gradients of the weights: dW = xᵀ·dS, dU = h'ᵀ·dS, db = Σ dS, dS being the slot gradients of all rows and steps.
//
// A tile is a strip of kTileRows rows of W or U times a block of units. The rows are reduced in chunks; each tile adds
// up one chain for every chunk, in order, whatever the threads.
#pragma once

#include "core/recurrent/sequence_layout.h"

namespace rnncore {
namespace {

// Most rows of a chunk, and blocks whose packed gradients stay in cache.
constexpr int64_t kReductionRows = 256;
constexpr int64_t kReductionBlocks = 8;
constexpr int64_t kStripSlack = 16;  // numbers behind a packed strip
// Up to so many blocks factors are read where they are: copies would not be used often enough.
constexpr int64_t kDirectBlocks = 2;
// Rows at equal distances that are worth a product of their own.
constexpr int64_t kDirectRows = 16;

// Rows of a chunk: near-equal ones, pairs of rows staying together.
RNNCORE_INLINE int64_t chunk_rows(int64_t total) {
  const int64_t chunks = (total + kReductionRows - 1) / kReductionRows;
  return chunks > 0 ? ((total + chunks - 1) / chunks + 1) / 2 * 2 : kReductionRows;
}

// Rows of a factor that lie at equal distances; null stands for zeros.
template <class P>
struct Stretch {
  const P* data;
  int64_t stride, count;
};

template <class P>
struct Stretches {
  Stretch<P>* list;  // [kReductionRows]
  int64_t count = 0;

  static RNNCORE_INLINE int64_t distance(const P* from, const P* to) {
    return (reinterpret_cast<intptr_t>(to) - reinterpret_cast<intptr_t>(from)) / static_cast<int64_t>(sizeof(P));
  }

  // Appends rows, to the last stretch if they go on at its distance.
  static RNNCORE_INLINE void add(Stretches& s, const P* data, int64_t stride, int64_t rows) {
    if (s.count > 0) {
      Stretch<P>& last = s.list[s.count - 1];
      if (!data && !last.data) {
        last.count += rows;
        return;
      }
      if (data && last.data) {
        const int64_t step = last.count == 1 ? distance(last.data, data) : last.stride;
        if (distance(last.data, data) == last.count * step && (rows == 1 || stride == step)) {
          last.stride = step;
          last.count += rows;
          return;
        }
      }
    }
    s.list[s.count++] = {data, stride, rows};
  }
};

// Tiles of one group of blocks that are a thread's own, counted [strip][block].
struct GroupTiles {
  int64_t blocks, begin, end;
};

template <class L>
struct WeightGradientPlan {
  using T = typename L::Type;
  using Element = typename L::Element;
  using Number = typename L::Number;
  static constexpr int64_t panel_size = kReductionRows / L::factor_numbers * L::width;
  static constexpr int64_t strip_size = kReductionRows * kTileRows;

  int64_t strips_x, strips, blocks;
  int64_t group;          // blocks that take turns with a strip
  Range tiles;            // of this thread, counted [group][strip][block]
  Range bias;             // blocks whose bias gradients are this thread's, where factors are read in place
  bool direct;            // factors are read where they are
  Element* panels;        // slot gradients of a group [group][kReductionRows][width]
  Element* packed;        // strips, of all groups if there are several [strips or 1][kReductionRows][kTileRows]
  Stretch<Number>* rows;  // of x, of h' [2][kReductionRows]
  int64_t workspace_used;

  WeightGradientPlan(const SequenceShape& s, const Team& team, T* workspace) {
    strips_x = (s.inputs + kTileRows - 1) / kTileRows;
    strips = strips_x + (s.units + kTileRows - 1) / kTileRows;
    blocks = L::blocks(s.units);
    // Threads take groups of their own while those are wide enough to repay a strip's packing.
    const int64_t share = (blocks + team.threads - 1) / team.threads, least = blocks < 4 ? blocks : 4;
    group = share < least ? least : share < kReductionBlocks ? share : kReductionBlocks;
    tiles = team_range(blocks * strips, team, 1);
    // From the other end: of tiles that don't come out even, the last threads have the more.
    bias = team_range(blocks, team.threads - 1 - team.thread, team.threads, 1);
    direct = !L::rounded && blocks <= kDirectBlocks;
    Workspace<T> w{workspace};
    panels = w.template take<Element>(w, direct ? 0 : group * panel_size);
    packed = w.template take<Element>(w, (several_groups() ? strips : 1) * strip_size + kStripSlack);
    rows = w.template take<Stretch<Number>>(w, 2 * kReductionRows);
    workspace_used = w.used;
  }

  bool several_groups() const { return blocks > group; }

  GroupTiles tiles_of(int64_t g) const {
    const int64_t before = g * group, size = blocks - before < group ? blocks - before : group;
    const int64_t begin = tiles.begin - before * strips, end = tiles.end - before * strips;
    return {size, begin > 0 ? begin : 0, end < size * strips ? end : size * strips};
  }
};

// sum [Rows][n] += Σ_k strip[k·strip_row + r] · panel[k·panel_row + v·W]
template <class T, int Rows, int Vectors, class P>
static void strip_products(int64_t depth, const P* strip, int64_t strip_row, const P* panel, int64_t panel_row,
                           Vec<T>* sum) {
  Vec<T> acc[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) acc[r][v] = sum[r * Vectors + v];
  tile_accumulate<T, Rows, Vectors>(depth, strip, 1, strip_row, panel, panel_row, acc);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[r * Vectors + v] = acc[r][v];
}

// dW tile: rows [row, row + rows) of one weight gradient, the part's columns of one block. The strip's numbers lie in
// stretches, its first row at their data.
template <class L>
static __attribute__((noinline)) void weight_tile(const SequenceShape& s, int64_t rows,
                                                  const Stretches<typename L::Element>& strip,
                                                  const typename L::Element* panel, int64_t panel_row, bool input_part,
                                                  int64_t block, int64_t row, bool first_chunk, typename L::Type* dw) {
  using T = typename L::Type;
  using Form = typename L::Form;
  const int64_t H = s.units;
  const int first_slot = input_part ? Form::input_slot : Form::recurrent_slot;
  // Passes of equal width: the last one begins early enough to end with the part, and drops what the one before made.
  constexpr int n = L::part_vectors < kTileVectors ? L::part_vectors : kTileVectors;
#pragma GCC unroll 4
  for (int done = 0; done < L::part_vectors; done += n) {
    const int first = done + n <= L::part_vectors ? done : L::part_vectors - n;
    Vec<T> sum[kTileRows * n] = {};
    T* target[n];
    int64_t left[n];
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) {
      const int part = first + i;
      const int slot = first_slot + part % Form::gates;
      const int gate = input_part ? Form::input_gate(slot) : Form::recurrent_gate(slot);
      const int64_t unit = block * L::units + part / Form::gates * W<T>;
      target[i] = dw + row * Form::gates * H + gate * H + unit;
      left[i] = unit < H && part >= done ? H - unit : 0;
    }
    // The tile of dW comes from far away; it is on its way while the products run.
    for (int64_t r = 0; r < rows && !first_chunk; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < n; ++i)
        if (left[i] > 0) __builtin_prefetch(target[i] + r * Form::gates * H, 1);
    const auto* from = panel + L::part_vector(first, first_slot) * W<T>;
    for (int64_t i = 0; i < strip.count; ++i) {
      const auto& [data, stride, depth] = strip.list[i];
      if (data) switch (rows) {
          case 1: strip_products<T, 1, n>(depth, data, stride, from, panel_row, sum); break;
          case 2: strip_products<T, 2, n>(depth, data, stride, from, panel_row, sum); break;
          case 3: strip_products<T, 3, n>(depth, data, stride, from, panel_row, sum); break;
          case 4: strip_products<T, 4, n>(depth, data, stride, from, panel_row, sum); break;
          case 5: strip_products<T, 5, n>(depth, data, stride, from, panel_row, sum); break;
          default: strip_products<T, kTileRows, n>(depth, data, stride, from, panel_row, sum); break;
        }
      from += depth * panel_row;
    }
    for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < n; ++i)
        if (left[i] > 0) {
          T* dw_part = target[i] + r * Form::gates * H;
          if (!first_chunk) sum[r * n + i] += load_partial(dw_part, left[i]);
          store_partial(dw_part, sum[r * n + i], left[i]);
        }
  }
}

// Sums of the slot gradients over rows, added to the bias gradients of one block. All vectors of a block go together,
// since each is a chain.
template <class L>
static void bias_sums(const SequenceShape& s, int64_t depth, const typename L::Element* panel, int64_t panel_row,
                      int64_t block, bool first_chunk, typename L::Type* dbias) {
  using T = typename L::Type;
  using Form = typename L::Form;
  const int64_t H = s.units;
  constexpr bool two = Form::slots != Form::gates;
  T* targets[L::vectors][2];
  Vec<T> sum[L::vectors];
#pragma GCC unroll 8
  for (int v = 0; v < L::vectors; ++v) {
    const int slot = v % Form::slots;
    const int64_t unit = block * L::units + v / Form::slots * W<T>;
    T *first = nullptr, *second = nullptr;
    if (unit < H && slot < Form::input_slot + Form::gates) first = dbias + Form::input_gate(slot) * H + unit;
    if (unit < H && two && slot >= Form::recurrent_slot)
      second = dbias + (Form::gates + Form::recurrent_gate(slot)) * H + unit;
    targets[v][0] = first, targets[v][1] = second;
    const T* from = first ? first : second;
    sum[v] = first_chunk || !from ? Vec<T>{} : load_partial(from, H - unit);
  }
  for (int64_t k = 0; k < depth; ++k)
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) {
      const auto numbers = load(panel + k * panel_row + v * W<T>);
      if constexpr (L::rounded)
        sum[v] += bit_cast<Vec<T>>(numbers << 16) + bit_cast<Vec<T>>(numbers & 0xffff0000u);
      else
        sum[v] += numbers;
    }
#pragma GCC unroll 8
  for (int v = 0; v < L::vectors; ++v)
    for (T* target : targets[v])
      if (target) store_partial(target, sum[v], H - block * L::units - v / Form::slots * W<T>);
}

// strip[k][0..rows) = numbers [row, row + rows) of row k. Stores whole vectors, whose rest the next one overwrites: the
// strip has a vector of slack behind it. The strips that follow find their numbers on the way.
template <class T>
static void pack_strip(const Stretches<T>& from, int64_t row, int64_t rows, T* strip) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  constexpr int vectors = (kTileRows + W<T> - 1) / W<T>;
  for (int64_t i = 0; i < from.count; ++i) {
    const auto& [data, stride, count] = from.list[i];
    const T* source = data ? data + row : strip;
    const int64_t numbers = data ? rows : 0, source_row = data ? stride : 0;
    for (int64_t k = 0; k < count; ++k, strip += rows, source += source_row) {
      __builtin_prefetch(source + line, 0, 2);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v)
        if (v == 0 || v * W<T> < rows) store(strip + v * W<T>, load_partial(source + v * W<T>, numbers - v * W<T>));
    }
  }
}

static void pack_strip(const Stretches<Bfloat16>& from, int64_t row, int64_t rows, Bfloat16Pair* strip) {
  // Rows are whole vectors, and the last is followed by more of the tape. One without a partner goes with zeros.
  Vec<Bfloat16Pair> waiting[(kTileRows + W<float> - 1) / W<float>] = {};
  bool odd = false;
  const auto write = [&](int64_t r, Vec<Bfloat16Pair> second) {
    store(strip + r, pair_up(waiting[r / W<float>], second));
  };
  for (int64_t i = 0; i < from.count; ++i) {
    const auto& [data, stride, count] = from.list[i];
    for (int64_t k = 0; k < count; ++k, odd = !odd) {
      for (int64_t r = 0; r < rows; r += W<float>) {
        const auto numbers = data ? load_bfloat16(data + k * stride + row + r) : Vec<Bfloat16Pair>{};
        odd ? write(r, numbers) : void(waiting[r / W<float>] = numbers);
      }
      if (odd) strip += rows;
    }
  }
  for (int64_t r = 0; odd && r < rows; r += W<float>) write(r, Vec<Bfloat16Pair>{});
}

// panel[k][·] = the slot gradients of one block in row k.
template <class L>
static void pack_dslots(const typename L::Type* source, int64_t source_row, int64_t depth, typename L::Element* panel) {
  using T = typename L::Type;
  for (int64_t k = 0; k < depth; k += L::factor_numbers)
#pragma GCC unroll 8
    for (int v = 0; v < L::vectors; ++v) {
      typename L::Element* out = panel + k / L::factor_numbers * L::width + v * W<T>;
      if constexpr (L::rounded) {
        const auto numbers = [&](int64_t row) {
          return load_bfloat16(reinterpret_cast<const Bfloat16*>(source + row * source_row) + v * W<T>);
        };
        store(out, pair_up(numbers(k), k + 1 < depth ? numbers(k + 1) : Vec<Bfloat16Pair>{}));
      } else {
        store(out, load(source + k * source_row + v * W<T>));
      }
    }
}

// Rows [row, row + `rows`) of both factors, from row r of step t on, which move along.
template <class L, template <class> class Plan>
static void find_rows(const Plan<L>& p, int64_t rows, int64_t& t, int64_t& r, Stretches<typename L::Number>& x,
                      Stretches<typename L::Number>& h) {
  using Found = Stretches<typename L::Number>;
  const SequenceShape& s = p.shape;
  const bool even = p.forward.evenly_spaced();
  x.count = h.count = 0;
  while (rows > 0) {
    while (r >= active_rows(s, t)) ++t, r = 0;
    // The first step's h lies elsewhere.
    const int64_t here = (even && t > 0 ? (s.steps - t) * s.rows : active_rows(s, t)) - r;
    const int64_t n = here < rows ? here : rows;
    Found::add(x, p.forward.input_factor(t, r), p.forward.input_factor_stride(), n);
    Found::add(h, p.forward.factor(t, r), p.forward.factor_stride(t), n);
    rows -= n;
    r += n;
    if (even) t += r / s.rows, r %= s.rows;
  }
}

// Strip j of a chunk's `depth` rows: where it is, or packed, unless an earlier group had it packed.
template <class L>
static Stretches<typename L::Element> strip_rows(const WeightGradientPlan<L>& plan,
                                                 const Stretches<typename L::Number>& from, int64_t j, int64_t row,
                                                 int64_t rows, int64_t depth, bool fresh,
                                                 Stretch<typename L::Element>* list) {
  using Element = typename L::Element;
  if constexpr (!L::rounded)
    if (plan.direct && from.count * kDirectRows <= depth) {
      for (int64_t i = 0; i < from.count; ++i) {
        list[i] = from.list[i];
        if (list[i].data) list[i].data += row;
      }
      return {list, from.count};
    }
  Element* strip = plan.packed + (plan.several_groups() ? j : 0) * plan.strip_size;
  if (fresh) pack_strip(from, row, rows, strip);
  list[0] = {strip, rows, elements_of<Element>(depth)};
  return {list, 1};
}

template <class L, template <class> class Plan>
static void weight_gradients(const Plan<L>& p, const Team& team) {
  using T = typename L::Type;
  using Element = typename L::Element;
  const SequenceShape& s = p.shape;
  const WeightGradientPlan<L> plan(s, team, p.gradient_scratch);
  if (plan.tiles.begin == plan.tiles.end && (!plan.direct || plan.bias.begin == plan.bias.end)) return;
  const int64_t group_tiles = plan.group * plan.strips, first_group = plan.tiles.begin / group_tiles;
  const int64_t first_strip = plan.tiles_of(first_group).begin / plan.tiles_of(first_group).blocks;
  const int64_t tape_row = p.forward.tape_row, panel_row = plan.direct ? tape_row : L::width;
  const int64_t total = step_offset(s, s.steps), step = chunk_rows(total);
  Stretches<typename L::Number> x{plan.rows}, h{plan.rows + kReductionRows};
  int64_t t = 0, r = 0;
  for (int64_t m0 = 0; m0 == 0 || m0 < total; m0 += step) {
    const int64_t depth = total - m0 < step ? total - m0 : step;
    const bool first_chunk = m0 == 0;
    find_rows(p, depth, t, r, x, h);
    if constexpr (!L::rounded)
      for (int64_t b = plan.bias.begin; b < plan.bias.end && plan.direct && p.call.dbias; ++b)
        bias_sums<L>(s, depth, p.dslots + m0 * tape_row + b * L::width, tape_row, b, first_chunk, p.call.dbias);
    for (int64_t g = first_group; g * group_tiles < plan.tiles.end; ++g) {
      const auto [size, begin, end] = plan.tiles_of(g);
      const int64_t block0 = g * plan.group;
      const T* dslots = p.dslots + m0 * tape_row + block0 * L::width;
      const auto panel = [&](int64_t b) -> const Element* {
        if constexpr (!L::rounded)
          if (plan.direct) return dslots + b * L::width;
        return plan.panels + b * plan.panel_size;
      };
      for (int64_t b = 0; b < size; ++b) {
        const bool mine = (b + size - begin % size) % size < end - begin;
        if (mine && !plan.direct)
          pack_dslots<L>(dslots + b * L::width, tape_row, depth, plan.panels + b * plan.panel_size);
        if (p.call.dbias && !plan.direct && begin <= b && b < end)
          bias_sums<L>(s, elements_of<Element>(depth), panel(b), panel_row, block0 + b, first_chunk, p.call.dbias);
      }
      const int64_t operations = depth * size * 2 * L::width;  // of a strip's row
      for (int64_t j = begin / size; j * size < end; ++j) {
        const bool input_part = j < plan.strips_x;
        const int64_t row = (input_part ? j : j - plan.strips_x) * kTileRows;
        const int64_t left = (input_part ? s.inputs : s.units) - row, rows = left < kTileRows ? left : kTileRows;
        may_stop(team, rows * operations);
        const bool fresh = g == first_group || (g == first_group + 1 && j < first_strip);
        Stretch<Element> list[kReductionRows / kDirectRows + 1];
        const Stretches<Element> strip = strip_rows(plan, input_part ? x : h, j, row, rows, depth, fresh, list);
        T* dw = input_part ? p.call.dkernel : p.call.drecurrent_kernel;
        for (int64_t b = begin > j * size ? begin - j * size : 0; b < size && j * size + b < end; ++b)
          weight_tile<L>(s, rows, strip, panel(b), panel_row, input_part, block0 + b, row, first_chunk, dw);
      }
    }
  }
}

}  // namespace
}  // namespace rnncore
