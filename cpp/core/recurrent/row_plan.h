// The recurrent cells whose step is more than one product for each tile: it has two products in a row, or normalizes
// whole rows. Each thread runs its rows alone, with products on whole rows by weights that are packed once:
//
//   pre = x·W (+ b),  recurrent = h'·mask·U,  the policy's math,  the second product, if any,  the policy's math
//
// A *step policy* is a struct with `make` as a cell has it and
//
//   facts(shape)                what its rows hold
//   forward(cell, row)          from the products to what the second product reads, or to h
//   finish(cell, row)           from the second product to h, where that adds to pre-activations
//   finish_backward(cell, row, gradients), backward(cell, row, gradients)
//                               the gradients of the products, in the products' place
//
// for one row at one step. The driver calls it through a table (`RowKernels`), so that it is compiled once for a type.
#pragma once

#include "core/recurrent/packed_matrix.h"
#include "core/recurrent/sequence_layout.h"

namespace rnncore {
namespace {

// Numbers of a row. U has as many columns as W. Those that h'·U does not take are the second product's, which adds to
// the pre-activations that are left; with none left, the second product has the weights `further` and makes h.
struct RowFacts {
  int64_t columns;              // of W
  int64_t recurrent;            // columns of U that h'·U takes
  bool apart = false;           // h'·U is kept apart from x·W
  bool biased = false;          // x·W begins with the bias
  int64_t memory = 0;           // of c
  int64_t factor = 0;           // of what the second product reads; 0: there is none
  int64_t own[3] = {};          // of what else backward needs
  int64_t weight_sums = 0;      // gradients of `further` that a row adds up over its steps
  int64_t bias_sums = 0;        // likewise of the bias; 0: it is the sum of all gradients of x·W
  bool carries_dh = false;      // part of dh passes h'·U by: backward leaves it in dh
  bool begins_through = false;  // backward begins the part that comes through h'·U, and leaves it in `through`
  int64_t scratch = 0;          // of a thread, for backward

  bool projects() const { return factor > 0 && recurrent == columns; }
};

// Numbers of h.
RNNCORE_INLINE int64_t hidden_size(const SequenceShape& s) { return s.projected > 0 ? s.projected : s.units; }

// What a policy sees of a row at one step.
template <class T>
struct Row {
  int64_t H;
  T *pre, *recurrent;  // (columns) each; `recurrent` only where it is kept apart
  T *c, *factor;
  T* own[3];
  T* h;
  const T *h_before, *c_before;  // or null for zeros
  const T* mask;                 // of h' in products, or null
  const T* hold;                 // share of h' in h, or null
  const T *weights, *bias;       // `further`; null where there is none

  Vec<T> at(const T* row, int64_t k, int64_t u) const { return row ? load_partial(row + k * H + u, H - u) : Vec<T>{}; }
  void put(T* row, int64_t k, int64_t u, Vec<T> v) const { store_partial(row + k * H + u, v, H - u); }
};

// Gradients that a row passes on or adds up over its steps.
template <class T>
struct RowGradients {
  T* dh;       // of h, then of what passes h'·U by
  T* dc;       // of c, then of c'
  T* dfactor;  // of what the second product reads
  T* through;  // of h'·mask
  T *weights, *bias, *scratch;
};

template <class T>
RNNCORE_INLINE void add_to(T* row, int64_t size, Vec<T> v) {
  store_partial(row, load_partial(row, size) + v, size);
}

// state = row, or zeros where there is none.
template <class T>
RNNCORE_INLINE void copy_state(const T* row, int64_t size, T* state) {
  for (int64_t u = 0; u < size; u += W<T>)
    store_partial(state + u, row ? load_partial(row + u, size - u) : Vec<T>{}, size - u);
}

// Weights as the products read them; transposed for the backward pass.
template <class T>
struct RowWeights {
  RowFacts facts;
  int64_t hidden;
  bool transposed;
  PackedMatrix<T> kernel, recurrent, second;

  RowWeights(const SequenceShape& s, const RowFacts& f, bool backward, Workspace<T>& w)
      : facts(f), hidden(hidden_size(s)), transposed(backward) {
    const auto take = [&](int64_t rows, int64_t columns) -> PackedMatrix<T> {
      const int64_t depth = transposed ? columns : rows, width = transposed ? rows : columns;
      return {w.take(w, PackedMatrix<T>::size(depth, width)), depth, width};
    };
    kernel = take(s.inputs, facts.columns);
    recurrent = take(hidden, facts.recurrent);
    second = take(facts.factor, facts.projects() ? hidden : facts.columns - facts.recurrent);
  }

  // The second product's weights, or their gradients; and the distance between rows.
  template <class P>
  P* second_of(P* recurrent_kernel, P* further) const {
    return facts.projects() ? further : recurrent_kernel + facts.recurrent;
  }
  int64_t second_row() const { return facts.projects() ? hidden : facts.columns; }

  // Packs all weights of a call; threads share the panels out.
  void pack(const SequenceForward<T>& f, bool with_kernel, const Team& team) const {
    const auto fill = [&](const PackedMatrix<T>& m, const T* from, int64_t row) {
      m.pack(from, transposed ? 1 : row, transposed ? row : 1, team);
    };
    if (with_kernel) fill(kernel, f.kernel, facts.columns);
    fill(recurrent, f.recurrent_kernel, facts.columns);
    if (facts.factor > 0) fill(second, second_of(f.recurrent_kernel, f.further), second_row());
  }
};

// Steps whose input products the team makes together, and the rows of a thread up to which that pays.
constexpr int64_t kAheadSteps = 16;
constexpr int64_t kAheadRows = 4;
constexpr int64_t kAheadRowsFar = 32;  // where weights come from beyond the second-level cache

// Where the forward pass keeps what: of the same sizes with and without memory behind it.
template <class T>
struct RowPlan {
  const SequenceForward<T>& call;
  const SequenceShape& shape;
  RowFacts facts;
  int64_t total, H, P;  // P: numbers of h
  int64_t ahead;        // steps whose input products are made together, or 1
  T* hidden;            // h [2][N][P] when the caller keeps no output
  T* masked;            // h'·mask [N][P], null without mask
  // Numbers of a Row [Σ rows]: the tape. Without one they are those of two steps, and `pre` of the steps ahead.
  T *pre, *recurrent, *c, *factor, *own[3];
  int64_t tape_used;

  RowPlan(const SequenceForward<T>& f, const RowFacts& row, int threads, Workspace<T>& w)
      : call(f),
        shape(f.shape),
        facts(row),
        total(step_offset(f.shape, f.shape.steps)),
        H(f.shape.units),
        P(hidden_size(f.shape)) {
    const int64_t N = shape.rows, rows = (N + threads - 1) / threads;
    const bool far = (shape.inputs + P) * facts.columns * static_cast<int64_t>(sizeof(T)) > shape.cache_bytes;
    ahead = shape.steps > 1 && rows <= (far ? kAheadRowsFar : kAheadRows) ? kAheadSteps : 1;
    hidden = w.take(w, f.output.data ? 0 : 2 * N * P);
    masked = shape.recurrent_dropout ? w.take(w, N * P) : nullptr;
    Workspace<T> tape{f.tape};
    Workspace<T>& kept = f.tape ? tape : w;
    const int64_t places = f.tape ? total : 2 * N;
    pre = kept.take(kept, (f.tape ? total : ahead * N) * facts.columns);
    recurrent = kept.take(kept, facts.apart ? places * facts.columns : 0);
    c = kept.take(kept, places * facts.memory);
    factor = kept.take(kept, places * facts.factor);
    for (int k = 0; k < 3; ++k) own[k] = kept.take(kept, places * facts.own[k]);
    tape_used = tape.used;
  }

  int64_t place(int64_t t, int64_t r) const { return (call.tape ? step_offset(shape, t) : t % 2 * shape.rows) + r; }

  T* pre_row(int64_t t, int64_t r) const {
    return pre + (step_offset(shape, t) - (call.tape ? 0 : step_offset(shape, t - t % ahead)) + r) * facts.columns;
  }
  // What h'·U is added to, or its gradient.
  T* recurrent_row(int64_t t, int64_t r) const {
    return facts.apart ? recurrent + place(t, r) * facts.columns : pre_row(t, r);
  }
  T* factor_row(int64_t t, int64_t r) const { return factor + place(t, r) * facts.factor; }

  // h of row r after step t; and the distance between rows.
  T* hidden_row(int64_t t, int64_t r) const {
    return call.output.data ? view_row(call.output, shape, t, r) : hidden + (t % 2 * shape.rows + r) * P;
  }
  int64_t hidden_stride() const { return call.output.data ? call.output.row : P; }

  // States of row r before step t, or null for zeros.
  const T* hidden_before(int64_t t, int64_t r) const {
    if (t > 0) return hidden_row(t - 1, r);
    return call.initial_state[0] ? call.initial_state[0] + r * P : nullptr;
  }
  const T* memory_before(int64_t t, int64_t r) const {
    if (t > 0) return c + place(t - 1, r) * facts.memory;
    return call.initial_state[1] ? call.initial_state[1] + r * facts.memory : nullptr;
  }

  Row<T> row(int64_t t, int64_t r) const {
    const int64_t m = place(t, r);
    return {H,
            pre_row(t, r),
            recurrent + m * facts.columns,
            c + m * facts.memory,
            factor + m * facts.factor,
            {own[0] + m * facts.own[0], own[1] + m * facts.own[1], own[2] + m * facts.own[2]},
            hidden_row(t, r),
            hidden_before(t, r),
            facts.memory > 0 ? memory_before(t, r) : nullptr,
            shape.recurrent_dropout ? call.recurrent_mask + r * P : nullptr,
            shape.zoneout ? view_row(call.holds[0], shape, t, r) : nullptr,
            call.further,
            call.bias};
  }

  // to = from·mask of row r, or from itself; from null: zeros.
  void mask_row(const T* from, int64_t r, T* to) const {
    const T* mask = shape.recurrent_dropout ? call.recurrent_mask + r * P : nullptr;
    for (int64_t u = 0; u < P; u += W<T>) {
      const Vec<T> v = from ? load_partial(from + u, P - u) : Vec<T>{};
      store_partial(to + u, mask ? masked_product(v, load_partial(mask + u, P - u)) : v, P - u);
    }
  }
};

template <class T>
struct RowBackwardPlan {
  Workspace<T> none{nullptr}, workspace, panels;
  RowPlan<T> forward;
  RowWeights<T> weights;
  T* dh;                  // [N][P]
  T* dc;                  // [N][H]
  T* dfactor;             // [N][factor]
  T* through;             // of h'·mask [N][P]: dh itself where no part of dh passes the product by
  T* doutput;             // dh with all it gets, where h is a product [Σ rows][P]
  T* before;              // h'·mask [Σ rows][P]
  T* x;                   // [Σ rows][I], for an uneven one
  T *dweights, *dbias;    // sums of each row over its steps [N][·]
  T *scratch, *products;  // of this thread

  RowBackwardPlan(const SequenceBackward<T>& b, const RowFacts& facts, const Team& team)
      : workspace{b.workspace},
        panels{b.forward.panels},
        forward(b.forward, facts, team.threads, none),
        weights(b.forward.shape, facts, true, panels.base ? panels : workspace) {
    Workspace<T>& w = workspace;
    const int64_t N = forward.shape.rows, P = forward.P, total = forward.total;
    dh = w.take(w, N * P);
    dc = w.take(w, N * facts.memory);
    dfactor = w.take(w, N * facts.factor);
    through = facts.carries_dh ? w.take(w, N * P) : dh;
    doutput = w.take(w, facts.projects() ? total * P : 0);
    before = w.take(w, total * P);
    x = w.take(w, total * forward.shape.inputs);
    dweights = w.take(w, N * facts.weight_sums);
    dbias = w.take(w, N * facts.bias_sums);
    scratch = w.take(w, facts.scratch * team.threads) + facts.scratch * team.thread;
    products = w.take(w, product_workspace<T>() * team.threads);
    if (products) products += product_workspace<T>() * team.thread;
  }

  RowGradients<T> row(int64_t r) const {
    const RowFacts& f = forward.facts;
    return {dh + r * forward.P,
            dc + r * f.memory,
            dfactor + r * f.factor,
            through + r * forward.P,
            dweights + r * f.weight_sums,
            dbias + r * f.bias_sums,
            scratch};
  }
};

}  // namespace
}  // namespace rnncore
