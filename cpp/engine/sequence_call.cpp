#include "engine/sequence_call.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine/ops/parts.h"

namespace rnncore {
namespace {

template <class T>
Buffer elements(int64_t count) {
  return Buffer(static_cast<size_t>(count) * sizeof(T));
}

template <class T>
void copy_row(T* to, const T* from, int64_t count) {
  if (from)
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  else
    std::memset(to, 0, static_cast<size_t>(count) * sizeof(T));
}

// Without a call where there are few elements.
template <class T>
void copy_short_row(T* to, const T* from, int64_t count) {
  constexpr int64_t kPiece = 16 / static_cast<int64_t>(sizeof(T));
  if (count >= 8 * kPiece) return copy_row(to, from, count);
  int64_t i = 0;
  for (; i + kPiece <= count; i += kPiece) std::memcpy(to + i, from + i, 16);
  for (; i < count; ++i) to[i] = from[i];
}

// Sizes of a call. The next one of a thread often has the same shape, and a small one would take a good part of its
// time to find them anew.
template <class T>
const SequenceSizes& sizes_of(const SequenceKernels<T>& kernels, const SequenceShape& s, bool training, int threads) {
  const auto of_call = std::tuple(&kernels, s.cell, s.activation.function, s.recurrent_activation.function, s.rows,
                                  s.steps, s.inputs, s.units, training, threads);
  thread_local std::pair<std::decay_t<decltype(of_call)>, SequenceSizes> last;
  if (s.offsets || last.first != of_call) last = {of_call, kernels.sizes(s, training, threads)};
  if (s.offsets) std::get<0>(last.first) = nullptr;  // whose sizes depend on them, too
  return last.second;
}

}  // namespace

template <class T>
SequenceCall<T>::SequenceCall(const SequenceInputs<T>& inputs, bool training, const Kernels& kernels)
    : inputs_(inputs),
      training_(training),
      kernels_(sequence_kernels<T>(kernels)),
      op_kernels_(op_kernels<T>(kernels)) {
  const auto& in = inputs_;
  call_.shape = {in.cell, in.activation, in.recurrent_activation, in.rows, in.steps, in.inputs, in.units, nullptr};
  call_.shape.cache_bytes = second_level_cache();
  if (in.lengths || in.batch_sizes || has_cuts()) cut_rows();
  const int64_t total = ragged() ? ragged_.offsets.back() : in.rows * in.steps;
  flops_ = 2.0 * static_cast<double>(total) * static_cast<double>(gates_of(in.cell)) * static_cast<double>(in.units) *
           static_cast<double>(in.inputs + in.units);
  threads_ = threads_for(flops_, [&](int limit) { return kernels_.sharing(call_.shape, limit).threads; });
  sizes_ = sizes_of(kernels_, call_.shape, training, threads_);
  call_.kernel = in.kernel;
  call_.recurrent_kernel = in.recurrent_kernel;
  call_.bias = in.bias;
  call_.packed_weights = in.packed_weights;
  // Calls of one step after the other go through large weights to and fro.
  thread_local int64_t turn = 0;
  if (in.packed_weights) call_.turn = turn += in.steps;
  const int64_t H = in.units, N = call_.shape.rows;
  if (ragged() && !copies_rows()) {
    call_.x = {in.x.data, 0, in.x.row};
    call_.output = {in.output.data, 0, in.output.row};
    for (int k = 0; k < 2; ++k) call_.initial_state[k] = in.initial_state[k];
  } else if (ragged()) {
    output_layout_ = {0, in.steps * H, H};
    ragged_.x = elements<T>(total * in.inputs);
    ragged_.hidden = elements<T>(total * H);
    ragged_.states = elements<T>(4 * N * H);
    call_.x = {ragged_.x.template as<T>(), 0, in.inputs};
    call_.output = {ragged_.hidden.template as<T>(), 0, H};
    for (int k = 0; k < 2; ++k)
      call_.initial_state[k] = in.initial_state[k] ? ragged_.states.template as<T>() + k * N * H : nullptr;
  } else {
    // Time-major inside: a step's rows lie together. A reversed call runs its steps from the other end.
    output_layout_ = {in.reverse ? (in.steps - 1) * N * H : 0, H, in.reverse ? -N * H : N * H};
    call_.output = {nullptr, N * H, H};
    if (const BatchView<T>& given = in.output; given.data)
      call_.output = {in.reverse ? given.data + (in.steps - 1) * given.step : given.data,
                      in.reverse ? -given.step : given.step, given.row};
    if (N == 1) call_.output.row = call_.output.step;  // one distance
    read_x(in.x);
    call_.initial_state[0] = in.initial_state[0];
    call_.initial_state[1] = in.initial_state[1];
  }
  if (training) place_saved();
}

template <class T>
void SequenceCall<T>::read_x(BatchView<const T> x) {
  const int64_t last = inputs_.steps - 1;
  call_.x = {inputs_.reverse ? x.data + last * x.step : x.data, inputs_.reverse ? -x.step : x.step, x.row};
  if (inputs_.rows == 1) call_.x.row = call_.x.step;
}

// Finds a place for what backward needs.
template <class T>
void SequenceCall<T>::place_saved() {
  const auto& in = inputs_;
  const int64_t N = in.rows;
  const auto take = [&](Parts<T> parts) {
    // simple_rnn saves nothing, but the kernels tell training by the tape's presence.
    call_.tape = parts.take(std::max<int64_t>(sizes_.tape, 1));
    call_.panels = parts.take(sizes_.panels);
    call_.panel_threads = threads_;
    const bool dense = in.x.step == N * in.inputs && (N == 1 || in.x.row == in.inputs);
    copies_.x = ragged() || (in.stays && dense) ? nullptr : parts.take(in.steps * N * in.inputs);
    for (int k = 0; k < 2; ++k)
      copies_.initial_state[k] = ragged() || in.stays || !in.initial_state[k] ? nullptr : parts.take(N * in.units);
    return parts.used;
  };
  saved_ = elements<T>(take({nullptr}));
  take({saved_.template as<T>()});
}

// Each thread of the team copies its share.
template <class T>
void SequenceCall<T>::copy_inputs(const Team& team) const {
  const auto& in = inputs_;
  const int64_t N = in.rows, I = in.inputs, S = in.steps;
  const auto copy = [&](T* to, const T* from, int64_t count) {
    const Range mine = team_range(count, team.threads - 1 - team.thread, team.threads, 1 << 16);
    if (mine.begin < mine.end) copy_row(to + mine.begin, from + mine.begin, mine.end - mine.begin);
  };
  for (int k = 0; k < 2; ++k)
    if (copies_.initial_state[k]) copy(copies_.initial_state[k], in.initial_state[k], N * in.units);
  if (!copies_.x) return;
  if (in.x.step == N * I && (N == 1 || in.x.row == I)) return copy(copies_.x, in.x.data, S * N * I);
  // Of a few rows at a time, whose next steps lie in the same lines. Little is the first thread's, which will read most
  // of it: lines would take longer from one processor to another than to be copied.
  constexpr int64_t kRows = 64, kNumbers = 1 << 16;
  const Range mine = team_range(N, team.threads - 1 - team.thread, team.threads, 1 + kNumbers / (S * I));
  for (int64_t first = mine.begin; first < mine.end; first += kRows)
    for (int64_t t = 0; t < S; ++t)
      for (int64_t n = first; n < std::min(first + kRows, mine.end); ++n)
        copy_short_row(copies_.x + (t * N + n) * I, in.x.data + n * in.x.row + t * in.x.step, I);
}

// Whether resets change anything.
template <class T>
bool SequenceCall<T>::has_cuts() const {
  const auto& in = inputs_;
  // What is before the first step is processed is its state alone.
  const int64_t first = in.reverse || !(in.initial_state[0] || in.initial_state[1]);
  for (int64_t n = 0; in.resets && n < in.rows; ++n)
    for (int64_t t = first; t < in.steps; ++t)
      if (in.resets[n * in.steps + t]) return true;
  return false;
}

// Makes the rows of the kernels.
template <class T>
void SequenceCall<T>::cut_rows() {
  const auto& in = inputs_;
  auto& [pieces, offsets, x, hidden, states] = ragged_;
  pieces.reserve(static_cast<size_t>(in.rows));
  for (int64_t n = 0; n < in.rows; ++n) {
    // The caller looked at lengths, but who else writes to them?
    int64_t valid = in.lengths ? std::clamp<int64_t>(in.lengths[n], 0, in.steps) : in.steps;
    while (in.batch_sizes && in.batch_sizes[valid - 1] <= n) --valid;
    const bool* resets = in.resets ? in.resets + n * in.steps : nullptr;
    int64_t first = 0;
    do {
      int64_t end = first + 1;
      while (end < valid && !(resets && resets[end])) ++end;
      end = std::min(end, valid);
      Piece piece{n, first, end - first, valid, false};
      piece.resumes = begins(piece) && (in.reverse || end == 0 || !resets || !resets[0]);
      pieces.push_back(piece);
      first = end;
    } while (first < valid);
  }
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.length > b.length; });
  const int64_t steps = pieces.empty() ? 1 : std::max<int64_t>(pieces[0].length, 1);
  offsets.assign(static_cast<size_t>(steps) + 1, 0);
  for (const Piece& piece : pieces)
    for (int64_t t = 0; t < piece.length; ++t) ++offsets[static_cast<size_t>(t) + 1];
  std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
  call_.shape.rows = static_cast<int64_t>(pieces.size());
  call_.shape.steps = steps;
  call_.shape.offsets = offsets.data();
}

// Whether a piece is the first one of its row to be processed, or the last one.
template <class T>
bool SequenceCall<T>::begins(const Piece& piece) const {
  return inputs_.reverse ? piece.first + piece.length == piece.valid : piece.first == 0;
}
template <class T>
bool SequenceCall<T>::ends(const Piece& piece) const {
  return inputs_.reverse ? piece.first == 0 : piece.first + piece.length == piece.valid;
}

// The time step that a piece's processing step s reads.
template <class T>
int64_t SequenceCall<T>::time(const Piece& piece, int64_t s) const {
  return piece.first + (inputs_.reverse ? piece.length - 1 - s : s);
}

// Where element (n, t, ·) of an output lies that begins there, or of the one given.
template <class T>
BatchView<T> SequenceCall<T>::output_view(T* output) const {
  if (inputs_.output.data) return inputs_.output;
  return {output + output_layout_.first, output_layout_.row, output_layout_.step};
}

// Calls body(gate, torch_gate, units) for this thread's units of each gate, by their numbers here and there.
template <class Body>
static void each_torch_gate(Cell cell, int64_t units, const Team& team, Body body) {
  constexpr int64_t kUnits = 16;
  const Range mine = team_range(units, team, kUnits);
  for (int64_t g = 0; g < gates_of(cell) && mine.begin < mine.end; ++g)
    body(g, cell == Cell::gru && g < 2 ? 1 - g : g, mine);
}

template <class T>
void SequenceCall<T>::read_torch_weights(T* kernel, T* recurrent_kernel, T* bias, const Team& team) const {
  const auto& in = inputs_;
  const int64_t H = in.units, I = in.inputs, GH = gates_of(in.cell) * H;
  each_torch_gate(in.cell, H, team, [&](int64_t gate, int64_t torch_gate, Range units) {
    const int64_t to = gate * H + units.begin, from = torch_gate * H + units.begin, count = units.end - units.begin;
    op_kernels_.transpose(count, I, in.kernel + from * I, I, kernel + to, GH);
    op_kernels_.transpose(count, H, in.recurrent_kernel + from * H, H, recurrent_kernel + to, GH);
    for (int64_t u = 0; in.bias && u < count; ++u) {
      bias[to + u] = in.bias[from + u];
      (in.cell == Cell::gru ? bias[GH + to + u] = T(0) : bias[to + u]) += in.second_bias[from + u];
    }
  });
}

// From and to the gradients of kernel, recurrent kernel and bias, which may be null.
template <class T>
void SequenceCall<T>::write_torch_gradients(const T* const from[3], T* const to[3], const Team& team) const {
  const int64_t H = inputs_.units, I = inputs_.inputs, GH = gates_of(inputs_.cell) * H;
  each_torch_gate(inputs_.cell, H, team, [&](int64_t gate, int64_t torch_gate, Range units) {
    const int64_t here = gate * H + units.begin, there = torch_gate * H + units.begin;
    const int64_t count = units.end - units.begin, second = inputs_.cell == Cell::gru ? GH : 0;
    op_kernels_.transpose(I, count, from[0] + here, GH, to[0] + there * I, I);
    op_kernels_.transpose(H, count, from[1] + here, GH, to[1] + there * H, H);
    if (!to[2]) return;
    copy_row(to[2] + there, from[2] + here, count);
    copy_row(to[2] + GH + there, from[2] + second + here, count);
  });
}

template <class T>
void SequenceCall<T>::forward(T* output, T* const state[2], const Interrupt& interrupt) {
  const int64_t H = inputs_.units, I = inputs_.inputs, N = call_.shape.rows;
  Buffer workspace = elements<T>(sizes_.forward_workspace - (call_.packed_weights ? sizes_.packed_weights : 0));
  call_.workspace = workspace.template as<T>();
  if (!ragged() && !inputs_.output.data) call_.output.data = output;
  T* sorted = ragged_.states.template as<T>();
  const int states = states_of(inputs_.cell);
  for (int k = 0; k < states; ++k) call_.state[k] = copies_rows() ? sorted + (2 + k) * N * H : state[k];
  const bool turns = inputs_.torch && inputs_.kernel;
  const int64_t columns = gates_of(inputs_.cell) * H;
  Buffer turned = turns ? elements<T>((I + H + 2) * columns) : Buffer();
  if (turns) {
    T* const kernel = turned.template as<T>();
    call_.kernel = kernel, call_.recurrent_kernel = kernel + I * columns;
    call_.bias = inputs_.bias ? kernel + (I + H) * columns : nullptr;
  }

  run_team(threads_, interrupt, [&](const Team& team) {
    if (turns) {
      T* const kernel = turned.template as<T>();
      read_torch_weights(kernel, kernel + I * columns, kernel + (I + H) * columns, team);
      team_barrier(team);
    }
    if (!copies_rows()) {
      kernels_.forward(call_, team);
      if (training_ && !ragged()) copy_inputs(team);
      return;
    }
    const int64_t* offsets = ragged_.offsets.data();
    T* x = ragged_.x.template as<T>();
    const T* hidden = ragged_.hidden.template as<T>();
    const Range mine = team_range(N, team, 1);
    for (int64_t r = mine.begin; r < mine.end; ++r) {
      const Piece& piece = ragged_.pieces[static_cast<size_t>(r)];
      const int64_t n = piece.row;
      for (int64_t s = 0; s < piece.length; ++s)
        copy_row(x + (offsets[s] + r) * I, row_at(inputs_.x, n, time(piece, s)), I);
      for (int k = 0; k < states; ++k)
        if (inputs_.initial_state[k])
          copy_row(sorted + (k * N + r) * H, piece.resumes ? inputs_.initial_state[k] + n * H : nullptr, H);
    }
    team_barrier(team);
    kernels_.forward(call_, team);
    team_barrier(team);
    for (int64_t r = mine.begin; r < mine.end; ++r) {
      const Piece& piece = ragged_.pieces[static_cast<size_t>(r)];
      const int64_t n = piece.row;
      const BatchView<T> out = output_view(output);
      for (int64_t s = 0; s < piece.length; ++s)
        copy_row(row_at(out, n, time(piece, s)), hidden + (offsets[s] + r) * H, H);
      if (!ends(piece)) continue;
      for (int64_t t = piece.valid; t < inputs_.steps && !inputs_.batch_sizes; ++t)
        copy_row(row_at(out, n, t), sorted + (2 * N + r) * H, H);
      for (int k = 0; k < states; ++k) copy_row(state[k] + n * H, sorted + ((2 + k) * N + r) * H, H);
    }
  });
  call_.kernel = call_.recurrent_kernel = call_.bias = nullptr;  // the caller's
  if (ragged() || !training_) return;
  if (copies_.x) read_x({copies_.x, inputs_.inputs, N * inputs_.inputs});
  for (int k = 0; k < 2 && !inputs_.stays; ++k) call_.initial_state[k] = copies_.initial_state[k];
}

template <class T>
void SequenceCall<T>::backward(BatchView<const T> doutput, const T* const dstate[2], BatchView<T> dx, T* dkernel,
                               T* drecurrent_kernel, T* dbias, T* const dinitial_state[2], const Interrupt& interrupt) {
  const int64_t H = inputs_.units, I = inputs_.inputs, N = call_.shape.rows, last = inputs_.steps - 1;
  const int states = states_of(inputs_.cell);
  Buffer workspace = elements<T>(sizes_.backward_workspace - sizes_.panels);
  Buffer packed_doutput, packed_dx, packed_states;

  SequenceBackward<T> call{};
  call.forward = call_;
  call.workspace = workspace.template as<T>();
  call.dkernel = dkernel;
  call.drecurrent_kernel = drecurrent_kernel;
  call.dbias = dbias;
  const int64_t columns = gates_of(inputs_.cell) * H;
  Buffer turned = inputs_.torch ? elements<T>((I + H + 2) * columns) : Buffer();
  if (inputs_.torch) {
    call.dkernel = turned.template as<T>(), call.drecurrent_kernel = call.dkernel + I * columns;
    if (dbias) call.dbias = call.dkernel + (I + H) * columns;
  }
  const auto turn = [&](const Team& team) {
    if (!inputs_.torch) return;
    team_barrier(team);
    const T* const from[] = {call.dkernel, call.drecurrent_kernel, call.dbias};
    T* const to[] = {dkernel, drecurrent_kernel, dbias};
    write_torch_gradients(from, to, team);
  };
  T* sorted = nullptr;  // dstate h, c then dinitial_state h, c: [4][pieces][H]
  if (copies_rows()) {
    packed_doutput = elements<T>(ragged_.offsets.back() * H);
    if (dx.data) packed_dx = elements<T>(ragged_.offsets.back() * I);
    packed_states = elements<T>(4 * N * H);
    sorted = packed_states.template as<T>();
    call.doutput = {packed_doutput.template as<T>(), 0, H};
    call.dx = {packed_dx.template as<T>(), 0, I};
    for (int k = 0; k < states; ++k) {
      call.dstate[k] = sorted + k * N * H;
      call.dinitial_state[k] = sorted + (2 + k) * N * H;
    }
  } else {
    const bool back = inputs_.reverse;
    if (doutput.data)
      call.doutput = {back ? doutput.data + last * doutput.step : doutput.data, back ? -doutput.step : doutput.step,
                      doutput.row};
    if (ragged()) call.doutput.step = 0;
    if (dx.data)
      call.dx = {back ? dx.data + last * dx.step : dx.data, back ? -dx.step : dx.step,
                 N == 1 && !ragged() ? dx.step : dx.row};
    for (int k = 0; k < states; ++k) {
      call.dstate[k] = dstate[k];
      call.dinitial_state[k] = dinitial_state[k];
    }
  }

  run_team(threads_, interrupt, [&](const Team& team) {
    if (!copies_rows()) {
      kernels_.backward(call, team);
      return turn(team);
    }
    const int64_t* offsets = ragged_.offsets.data();
    const Range mine = team_range(N, team, 1);
    T* dy = packed_doutput.template as<T>();
    for (int64_t r = mine.begin; r < mine.end; ++r) {
      const Piece& piece = ragged_.pieces[static_cast<size_t>(r)];
      const int64_t n = piece.row;
      for (int k = 0; k < states; ++k)
        copy_row(sorted + (k * N + r) * H, dstate[k] && ends(piece) ? dstate[k] + n * H : nullptr, H);
      const bool given = doutput.data;
      for (int64_t s = 0; s < piece.length; ++s)
        copy_row(dy + (offsets[s] + r) * H, given ? row_at(doutput, n, time(piece, s)) : nullptr, H);
      // Padded steps repeat the last state, so their gradients belong to it.
      for (int64_t t = piece.valid; given && ends(piece) && t < inputs_.steps && !inputs_.batch_sizes; ++t)
        for (int64_t k = 0; k < H; ++k) sorted[r * H + k] += row_at(doutput, n, t)[k];
    }
    team_barrier(team);
    kernels_.backward(call, team);
    turn(team);
    team_barrier(team);
    const T* packed = packed_dx.template as<T>();
    for (int64_t r = mine.begin; r < mine.end; ++r) {
      const Piece& piece = ragged_.pieces[static_cast<size_t>(r)];
      const int64_t n = piece.row;
      for (int64_t s = 0; s < piece.length && packed; ++s)
        copy_row(row_at(dx, n, time(piece, s)), packed + (offsets[s] + r) * I, I);
      for (int64_t t = piece.valid; packed && ends(piece) && t < inputs_.steps && !inputs_.batch_sizes; ++t)
        copy_row<T>(row_at(dx, n, t), nullptr, I);
      for (int k = 0; k < states; ++k)
        if (dinitial_state[k] && begins(piece))
          copy_row(dinitial_state[k] + n * H, piece.resumes ? sorted + ((2 + k) * N + r) * H : nullptr, H);
    }
  });
}

template class SequenceCall<float>;
template class SequenceCall<double>;

}  // namespace rnncore
