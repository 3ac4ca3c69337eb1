// What a stream does once: its plans and where its values lie.
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "engine/stream.h"

namespace rnncore {

bool StreamBase::one_to_one() const {
  return std::all_of(outputs_.begin(), outputs_.end(),
                     [&](int i) { return !value(i).timed() || value(i).ticks == Ticks{}; });
}

void StreamBase::place(StreamValue& v, const Tensor& tensor) const {
  v.tensor = tensor;
  v.row_bytes = tensor.steps() * tensor.width() * (tensor.integer ? int64_t{sizeof(int32_t)} : number_bytes);
  v.own = Buffer(static_cast<size_t>(std::max<int64_t>(v.row_bytes * tensor.samples(), 1)), Reuse::never);
  std::memset(v.own.data(), 0, v.own.size());
  v.from = v.own.as<std::byte>();
}

Tensor StreamBase::feed_tensor(const StreamFeed& feed, int64_t room) const {
  if (feed.kind == StreamFeed::Kind::keys) return {{rows(), 1, room}, true};
  if (feed.kind == StreamFeed::Kind::value) return value(feed.number).tensor;
  const StreamMemory& memory = memories_[static_cast<size_t>(feed.number)];
  Tensor tensor = value(memory.source()).tensor;
  tensor.shape[1] = memory.grows() ? room : memory.span();
  return tensor;
}

// Room for the keys that a part has read after so many steps; 0 where it reads none.
int64_t StreamBase::room_for(const StreamPart& part, int64_t steps) {
  int64_t room = 0;
  for (const int number : part.memories)
    if (StreamMemory& memory = memories_[static_cast<size_t>(number)]; memory.grows())
      room = std::max(room, memory.reserve(memory.seen(steps)));
  return room;
}

namespace {

// Takes a description apart.
struct Numbers {
  const int64_t* next;

  int64_t take() { return *next++; }
  int number() { return static_cast<int>(take()); }
  template <class F>
  void each(F f) {
    for (int64_t left = take(); left > 0; --left) f();
  }
  std::vector<int> list() {
    std::vector<int> found;
    each([&] { found.push_back(number()); });
    return found;
  }
  Ticks ticks() {
    const int64_t first = take();
    return {first, take()};
  }
  StreamPart part() {
    StreamPart p{ticks(), take() != 0, {}, {}, {}, {}};
    each([&] {
      const auto kind = static_cast<StreamFeed::Kind>(take());
      p.feeds.push_back({kind, number()});
    });
    p.memories = list(), p.outputs = list();
    each([&] {
      const int output = number();
      p.masks.push_back({output, number()});
    });
    return p;
  }
};

}  // namespace

template <class T>
Stream<T>::Stream(const std::vector<Executor<T>*>& executors, const std::vector<int64_t>& description)
    : StreamBase(sizeof(T)) {
  Numbers given{description.data()};
  std::vector<Tensor> inputs;
  given.each([&] {
    Tensor& tensor = inputs.emplace_back();
    tensor.integer = given.take() != 0;
    given.each([&] { tensor.shape.push_back(given.take()); });
  });
  inputs_ = inputs.size();
  given.each([&] { values_.push_back({given.ticks()}); });
  for (size_t i = 0; i < inputs_; ++i) place(values_[i], inputs[i]);
  std::vector<std::vector<int64_t>> memories;  // their sources are not known yet
  given.each([&] { memories.push_back({given.take(), given.take(), given.take(), given.take()}); });
  parts_.reserve(executors.size());
  given.each([&] {
    Part& part = parts_.emplace_back();
    static_cast<StreamPart&>(part) = given.part();
    part.executor = executors[parts_.size() - 1];
    for (size_t i = 0; i < part.memories.size(); ++i) {  // in order
      const std::vector<int64_t>& m = memories[memories_.size()];
      const StreamValue& source = value(static_cast<int>(m[0]));
      memories_.emplace_back(static_cast<int>(m[0]), source.ticks, rows(), source.row_bytes, m[1], m[2], m[3]);
    }
    make_plans(part, room_for(part, 0));
    for (size_t i = 0; i < part.outputs.size(); ++i) place(value(part.outputs[i]), part.whole->output(i));
    for (const auto& [output, mask] : part.masks) {
      if (!part.whole->has_mask(static_cast<size_t>(output))) throw std::invalid_argument("masks: no such mask");
      place(value(mask), Tensor{{rows(), value(part.outputs[static_cast<size_t>(output)]).tensor.steps()}, true});
    }
    part.to.resize(part.outputs.size());
    part.samples.inputs.resize(part.feeds.size());
    part.state.resize(static_cast<size_t>(rows() * state_size(part.executor->program_)));
    const auto count = static_cast<int64_t>(part.state.size());
    states_.push_back({reinterpret_cast<std::byte*>(part.state.data()), count});
    undo_.add(part.state.data(), count);
  });
  outputs_ = given.list();
  no_steps_.resize(static_cast<size_t>(rows()));
  writes_directly_ = parts_.size() == 1 && parts_[0].outputs == outputs_;
  asking_.reserve(parts_.size()), asked_.reserve(parts_.size());
}

template <class T>
std::unique_ptr<Plan<T>> Stream<T>::new_plan(const Part& part, int64_t room, bool held) const {
  BatchShape shape{Mode::inference, {}, held && part.executor->program_.lengths != kAbsent};
  for (const StreamFeed& feed : part.feeds) shape.inputs.push_back(feed_tensor(feed, room));
  auto plan =
      std::make_unique<Plan<T>>(part.executor->as_run(shape.ragged), kNoTraining, part.executor->kernels_, shape);
  for (size_t i = 0; i < part.feeds.size(); ++i)
    if (part.feeds[i].kind != StreamFeed::Kind::value) plan->lend(i);
  return plan;
}

template <class T>
void Stream<T>::make_plans(Part& part, int64_t room) {
  std::unique_ptr<Plan<T>> whole = new_plan(part, room, false), held;
  if (part.has_ends && part.ticks.timed() && part.ticks != Ticks{}) held = new_plan(part, room, true);
  part.whole = std::move(whole), part.held = std::move(held);
  part.room = room;
  flops_ = 0;
  for (const Part& p : parts_) flops_ += p.whole->flops();
}

// For what is kept after so many steps. Twice as much each time, so that few steps make new plans.
template <class T>
void Stream<T>::make_room(int64_t steps) {
  for (Part& part : parts_)
    if (part.room > 0)
      if (const int64_t room = room_for(part, steps); room > part.room) make_plans(part, room);
}

template <class T>
void Stream<T>::set_steps(int64_t steps) {
  make_room(steps);
  steps_ = steps;
}

template class Stream<float>;
template class Stream<double>;

}  // namespace rnncore
