#include "engine/stream.h"

#include <algorithm>
#include <cstring>

namespace rnncore {

// Where the inputs of a step are: in the caller's arrays where its rows lie together.
void StreamBase::take_inputs(const void* const* inputs, int64_t number, int64_t count) {
  for (size_t i = 0; i < inputs_; ++i) {
    StreamValue& v = values_[i];
    const auto* from = static_cast<const std::byte*>(inputs[i]);
    if (!v.timed() || count == 1) {
      v.from = from;
      continue;
    }
    auto* to = v.own.as<std::byte>();
    v.from = to;
    from += number * v.row_bytes;
    for (int64_t n = 0; n < rows(); ++n, to += v.row_bytes, from += count * v.row_bytes)
      std::memcpy(to, from, static_cast<size_t>(v.row_bytes));
  }
}

void StreamBase::fill_memories(const StreamPart& part) {
  for (const int number : part.memories) {
    StreamMemory& memory = memories_[static_cast<size_t>(number)];
    if (const int64_t seen = memory.seen(steps_); memory.seen(steps_ + 1) > seen)
      memory.put(seen, value(memory.source()).from);
  }
}

void StreamBase::give_outputs(void* const* outputs, int64_t number, int64_t count) const {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const StreamValue& v = output(i);
    int64_t steps = 1, place = 0;
    if (v.timed()) {
      const int64_t first = v.ticks.count(steps_ - number);
      steps = v.ticks.count(steps_ - number + count) - first;
      place = v.ticks.count(steps_) - first;
      if (v.ticks.count(steps_ + 1) == v.ticks.count(steps_)) continue;
    }
    auto* const to = static_cast<std::byte*>(outputs[i]) + place * v.row_bytes;
    for (int64_t n = 0; n < rows(); ++n)
      std::memcpy(to + n * steps * v.row_bytes, v.from + n * v.row_bytes, static_cast<size_t>(v.row_bytes));
  }
}

template <class T>
struct Stream<T>::Inside {
  explicit Inside(Stream& s) : stream(s), turn(s.parts_[0].executor->turns_->turns, std::adopt_lock) {
    for (Part& part : stream.parts_) ++part.executor->inside_;
  }
  ~Inside() {
    for (Part& part : stream.parts_) --part.executor->inside_;
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

  Stream& stream;
  const Turn turn;
};

template <class T>
bool Stream<T>::advance(const void* const* inputs, void* const* outputs, int64_t begin, int64_t count, bool waits,
                        const Interrupt& interrupt) {
  Turns& turns = parts_[0].executor->turns_->turns;
  if (!waits && !turns.try_take()) return false;
  if (waits) turns.take(interrupt);
  const Inside inside(*this);
  if (busy_ || steps_ != begin) return false;
  for (const Part& part : parts_)
    if (part.executor->within_batch_) return false;
  make_room(begin + count);
  for (Part& part : parts_) part.executor->look_at_weights();
  undo_.keep();
  asking_.clear(), asked_.clear();
  const Interrupt* innermost = &interrupt;
  for (Part& part : parts_) {
    if (!interrupt.ask) break;
    asking_.push_back({*part.executor, *innermost});
    asked_.push_back(asking_.back());
    innermost = &asked_.back();
  }
  busy_ = true;
  try {
    for (int64_t i = 0; i < count; ++i, ++steps_) step(inputs, outputs, i, count, *innermost);
  } catch (...) {
    busy_ = false;
    steps_ = begin;
    undo_.put_back();
    throw;
  }
  busy_ = false;
  return true;
}

// Step `number` of `count`.
template <class T>
void Stream<T>::step(const void* const* inputs, void* const* outputs, int64_t number, int64_t count,
                     const Interrupt& asking) {
  const bool direct = writes_directly_ && count == 1;
  take_inputs(inputs, number, count);
  const int threads = choose_plans(direct ? outputs : nullptr);
  bind(threads);
  run_team(threads, asking, [&](const Team& team) {
    for (Part& part : parts_) run_part(part, team);
  });
  for (Part& part : parts_)
    if (part.now && part.now->failed()) throw std::invalid_argument(part.now->take_fault());
  if (!direct) give_outputs(outputs, number, count);
}

// Which parts have something to do in this step, and by how many threads.
template <class T>
int Stream<T>::choose_plans(void* const* direct) {
  int threads = 1;
  for (Part& part : parts_) {
    const int64_t before = part.ticks.timed() ? part.ticks.count(steps_) : 1;
    part.ticks_now = !part.ticks.timed() || part.ticks.count(steps_ + 1) > before;
    part.resumes = before > 0;
    part.now = part.ticks_now ? part.whole.get() : part.has_ends ? part.held.get() : nullptr;
    for (size_t i = 0; i < part.outputs.size(); ++i) {
      StreamValue& v = value(part.outputs[i]);
      part.to[i] = direct ? static_cast<T*>(direct[i]) : v.own.as<T>();
      if (!part.ticks_now && v.timed()) std::memset(v.own.data(), 0, v.own.size());  // there is no such step
    }
    if (!part.ticks_now)
      for (const auto& mask : part.masks) std::memset(value(mask.second).own.data(), 0, value(mask.second).own.size());
    if (part.now) threads = std::max(threads, part.now->threads());
  }
  return threads;
}

template <class T>
void Stream<T>::bind(int threads) {
  int64_t bytes = 0;
  for (Part& part : parts_)
    for (Plan<T>* plan : {part.whole.get(), part.held.get()})
      if (plan) bytes = std::max(bytes, plan->reserve(threads));
  if (static_cast<size_t>(bytes) > arena_.size()) arena_ = Buffer(static_cast<size_t>(bytes), Reuse::never);
  for (Part& part : parts_) {
    if (!part.now) continue;
    Executor<T>& executor = *part.executor;
    part.now->bind(arena_.as<std::byte>(), executor.parameters_, executor.gradients_, executor.work_.packed);
    for (size_t i = 0; i < part.feeds.size(); ++i) {
      const StreamFeed& feed = part.feeds[i];
      if (feed.kind == StreamFeed::Kind::value)
        part.samples.inputs[i].data = value(feed.number).from;
      else if (feed.kind == StreamFeed::Kind::memory) {
        const StreamMemory& memory = memories_[static_cast<size_t>(feed.number)];
        part.now->move_input(i, memory.read(memory.seen(steps_ + 1)));
      } else
        part.now->read_keys(std::max<int64_t>(part.ticks.count(steps_ + 1), 1));
    }
    part.samples.lengths = part.now == part.held.get() ? no_steps_.data() : nullptr;
    part.now->check_ids(part.samples, {nullptr, rows()});
  }
}

template <class T>
void Stream<T>::run_part(Part& part, const Team& team) {
  if (team.thread == 0) fill_memories(part);
  if (!part.now) return;
  Plan<T>& plan = *part.now;
  plan.pack(team);
  plan.load(part.samples, {nullptr, rows()}, team);
  if (plan.failed()) return;
  plan.forward(0, static_cast<uint32_t>(steps_), {part.state.data(), part.resumes}, team);
  for (size_t i = 0; i < part.outputs.size(); ++i)
    if (part.ticks_now || !value(part.outputs[i]).timed()) plan.copy_output(i, part.to[i], team);
  if (part.ticks_now)
    for (const auto& [output, mask] : part.masks)
      plan.copy_mask(static_cast<size_t>(output), nullptr, value(mask).own.template as<int32_t>(), team);
  if (&part != &parts_.back()) team_barrier(team);
}

template class Stream<float>;
template class Stream<double>;

}  // namespace rnncore
