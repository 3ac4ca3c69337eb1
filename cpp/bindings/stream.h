// rnncore._core.Stream: a step, or a few, of a model in one call.
#pragma once

#include <memory>

#include "bindings/tape.h"
#include "bindings/watched_memory.h"
#include "engine/stream.h"

namespace rnncore {

using ArrayShape = std::vector<Py_intptr_t>;
constexpr size_t kMostArrays = 16;  // of inputs and outputs of a stream

// How many arrays there are for inputs or outputs, and how Python groups them: alone, in a list, or in a dict.
struct Grouping {
  bool alone;
  py::object names;  // a tuple, or None

  // Borrowed references; false where the object is no such group.
  bool read(PyObject* given, size_t count, PyObject** arrays) const {
    if (alone) {
      arrays[0] = given;
      return true;
    }
    if (PyDict_Check(given)) {
      if (names.is_none() || static_cast<size_t>(PyDict_GET_SIZE(given)) != count) return false;
      for (size_t i = 0; i < count; ++i)
        if (!(arrays[i] = PyDict_GetItemWithError(given, PyTuple_GET_ITEM(names.ptr(), static_cast<Py_ssize_t>(i)))))
          return PyErr_Clear(), false;
      return true;
    }
    if (!PyList_Check(given) && !PyTuple_Check(given)) return false;
    if (static_cast<size_t>(PySequence_Fast_GET_SIZE(given)) != count) return false;
    for (size_t i = 0; i < count; ++i) arrays[i] = PySequence_Fast_GET_ITEM(given, static_cast<Py_ssize_t>(i));
    return true;
  }

  py::object write(PyObject* const* arrays, size_t count) const {
    if (alone) return py::reinterpret_borrow<py::object>(arrays[0]);
    if (names.is_none()) {
      py::list list(count);
      for (size_t i = 0; i < count; ++i) list[i] = py::handle(arrays[i]);
      return list;
    }
    py::dict dict;
    for (size_t i = 0; i < count; ++i) dict[py::tuple(names)[i]] = py::handle(arrays[i]);
    return dict;
  }
};

class BoundStream {
 public:
  // `owners` keep the executors.
  BoundStream(py::object owners, const WeightWatch* watch, std::unique_ptr<StreamBase> stream, Grouping inputs,
              Grouping outputs)
      : owners_(std::move(owners)),
        watch_(watch),
        stream_(std::move(stream)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        takes_steps_(stream_->one_to_one()) {
    if (stream_->input_count() > kMostArrays || stream_->output_count() > kMostArrays)
      throw py::value_error("stream: expected at most 16 inputs and outputs");
  }

  // None where the arguments need checking or converting, or the weights are elsewhere by now. If `waits`, other
  // threads have the GIL meanwhile; else None as well where the steps are long, or others are at the weights.
  py::object step(PyObject* x_t, PyObject* out, bool waits) {
    return takes_steps_ ? advance(x_t, out, false, waits) : py::none();
  }
  py::object run(PyObject* chunk, bool waits) { return advance(chunk, Py_None, true, waits); }

  int64_t steps() const { return stream_->steps(); }

  py::object save() const {
    py::list states, memories;
    for (const auto& [numbers, count] : stream_->states()) states.append(new_array(false, {count}, numbers));
    for (size_t i = 0; i < stream_->memories().size(); ++i) {
      const py::object array = new_array(stream_->memory_step(i).integer, shape_of_memory(i, steps()), nullptr);
      stream_->memories()[i].save(steps(), bytes_of(array.ptr()));
      memories.append(array);
    }
    return py::make_tuple(states, memories);
  }

  void load(int64_t steps, const py::sequence& states, const py::sequence& memories) {
    stream_->set_steps(steps);
    for (size_t i = 0; i < stream_->states().size(); ++i) {
      const auto& [numbers, count] = stream_->states()[i];
      const py::object from = states[i];
      expect(from.ptr(), false, {count});
      std::copy_n(bytes_of(from.ptr()), count * stream_->number_bytes, numbers);
    }
    for (size_t i = 0; i < stream_->memories().size(); ++i) {
      const py::object from = memories[i];
      expect(from.ptr(), stream_->memory_step(i).integer, shape_of_memory(i, steps));
      stream_->set_memory(i, bytes_of(from.ptr()));
    }
  }

  bool ready = false;  // what is remembered is what the next step goes on from

 private:
  static constexpr double kLongStep = 1e6;  // operations

  static std::byte* bytes_of(PyObject* array) { return reinterpret_cast<std::byte*>(fields(array).data); }

  ArrayShape shape_of_memory(size_t number, int64_t steps) const {
    const Shape& step = stream_->memory_step(number).shape;
    ArrayShape shape(step.begin(), step.end());
    shape[1] = stream_->memories()[number].kept(steps);
    return shape;
  }

  PyObject* dtype(bool integer) const {
    return integer ? dtype_of<int32_t>() : stream_->number_bytes == 4 ? dtype_of<float>() : dtype_of<double>();
  }

  // Holds a copy of what is given.
  py::object new_array(bool integer, const ArrayShape& shape, const std::byte* from) const {
    py::object array =
        checked(array_from(dtype(integer), static_cast<int>(shape.size()), shape.data(), nullptr, nullptr));
    if (from) std::copy_n(from, shape[0] * stream_->number_bytes, bytes_of(array.ptr()));
    return array;
  }

  bool is_plain(PyObject* object, bool integer) const {
    if (!numpy().PyArray_Check_(object)) return false;
    const auto& a = fields(object);
    if (a.descr != dtype(integer) && !numpy().PyArray_EquivTypes_(a.descr, dtype(integer))) return false;
    const auto size = static_cast<uintptr_t>(integer ? 4 : stream_->number_bytes);
    return reinterpret_cast<uintptr_t>(a.data) % size == 0 && (a.flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_);
  }

  void expect(PyObject* object, bool integer, const ArrayShape& shape) const {
    const auto& a = fields(object);
    if (!is_plain(object, integer) || a.nd != static_cast<int>(shape.size()) ||
        !std::equal(shape.begin(), shape.end(), a.dimensions))
      throw py::value_error("load: expected arrays as save gives them");
  }

  // A C-contiguous array of a value, sequences with this many steps; of one step where there are −1.
  bool fits(PyObject* object, const StreamValue& value, int64_t steps) const {
    const Shape& shape = value.tensor.shape;
    if (!is_plain(object, value.tensor.integer)) return false;
    const auto& a = fields(object);
    const size_t skipped = value.timed() && steps < 0;
    if (a.nd != static_cast<int>(shape.size() - skipped)) return false;
    for (size_t axis = 0; axis < static_cast<size_t>(a.nd); ++axis) {
      const bool time = axis == 1 && value.timed() && steps >= 0;
      if (a.dimensions[axis] != (time ? steps : shape[axis + (axis > 0 ? skipped : 0)])) return false;
    }
    return true;
  }

  // Of a chunk, where its first sequence is one; else −1.
  int64_t steps_of(PyObject* const* arrays) const {
    for (size_t i = 0; i < stream_->input_count(); ++i)
      if (stream_->input(i).timed())
        return numpy().PyArray_Check_(arrays[i]) && fields(arrays[i]).nd > 1 ? fields(arrays[i]).dimensions[1] : -1;
    return -1;
  }

  py::object new_output(const StreamValue& value, int64_t steps) const {
    Py_intptr_t shape[32];
    int axes = 0;
    for (size_t axis = 0; axis < value.tensor.shape.size(); ++axis)
      if (axis != 1 || !value.timed())
        shape[axes++] = value.tensor.shape[axis];
      else if (steps >= 0)
        shape[axes++] = steps;
    return checked(array_from(dtype(false), axes, shape, nullptr, nullptr));
  }

  py::object advance(PyObject* given, PyObject* out, bool chunk, bool waits) {
    if (!ready || (watch_ && watch_->moved)) return py::none();
    PyObject* arrays[kMostArrays];
    if (!inputs_.read(given, stream_->input_count(), arrays)) return py::none();
    const int64_t steps = chunk ? steps_of(arrays) : 1;
    if (steps < 1 || steps > StreamBase::kMostSteps) return py::none();
    if (!waits && stream_->flops() * static_cast<double>(steps) > kLongStep) return py::none();
    const void* from[kMostArrays];
    for (size_t i = 0; i < stream_->input_count(); ++i) {
      if (!fits(arrays[i], stream_->input(i), chunk ? steps : -1)) return py::none();
      from[i] = fields(arrays[i]).data;
    }
    const int64_t begin = stream_->steps();
    struct Made {  // no py::object: sixteen of them cost more than the rest here
      PyObject* arrays[kMostArrays];
      size_t count = 0;
      ~Made() {
        for (size_t i = 0; i < count; ++i) Py_DECREF(arrays[i]);
      }
    } made;
    const size_t count = stream_->output_count();
    if (out != Py_None && !outputs_.read(out, count, arrays)) return py::none();
    void* to[kMostArrays];
    for (size_t i = 0; i < count; ++i) {
      const StreamValue& value = stream_->output(i);
      if (out == Py_None) {
        const bool has_steps = chunk && value.timed();
        const int64_t known = has_steps ? value.ticks.count(begin + steps) - value.ticks.count(begin) : -1;
        arrays[i] = made.arrays[made.count++] = new_output(value, known).release().ptr();
      } else if (!fits(arrays[i], value, -1) || !(fields(arrays[i]).flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_))
        return py::none();
      to[i] = fields(arrays[i]).data;
    }
    bool done = false;
    if (waits) {
      SignalPoll signals;
      run_interruptible(signals, [&](const Interrupt& interrupt) {
        done = stream_->advance(from, to, begin, steps, true, interrupt);
      });
    } else {  // with the GIL, thus without waiting for threads that may want it
      done = stream_->advance(from, to, begin, steps, false, Interrupt{});
    }
    if (!done) return py::none();
    return out == Py_None ? outputs_.write(arrays, count) : py::reinterpret_borrow<py::object>(out);
  }

  py::object owners_;
  const WeightWatch* watch_;
  std::unique_ptr<StreamBase> stream_;
  Grouping inputs_, outputs_;
  bool takes_steps_;
};

struct StreamObject {
  PyObject ob_base;
  BoundStream* stream;
};

inline PyTypeObject* stream_type = nullptr;

inline BoundStream& stream_of(PyObject* self) { return *reinterpret_cast<StreamObject*>(self)->stream; }

inline py::object stream_object(std::unique_ptr<BoundStream> stream) {
  py::object object = checked(reinterpret_cast<PyObject*>(PyObject_New(StreamObject, stream_type)));
  reinterpret_cast<StreamObject*>(object.ptr())->stream = stream.release();
  return object;
}

inline void delete_stream(PyObject* self) {
  delete reinterpret_cast<StreamObject*>(self)->stream;
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

// The stream of a Python object that has one; null where it has none yet.
inline BoundStream* direct_stream(PyObject* self) {
  static PyObject* const attribute = PyUnicode_InternFromString("_direct");
  const py::object found = checked(PyObject_GetAttr(self, attribute));
  return Py_TYPE(found.ptr()) == stream_type ? &stream_of(found.ptr()) : nullptr;
}

// step(self, x_t, out) and run(self, chunk) of it.
inline PyObject* direct_step(PyObject* const* a) {
  return guarded([&]() -> py::object {
    BoundStream* const stream = direct_stream(a[0]);
    return stream ? stream->step(a[1], a[2], false) : py::none();
  });
}
inline PyObject* direct_run(PyObject* const* a) {
  return guarded([&]() -> py::object {
    BoundStream* const stream = direct_stream(a[0]);
    return stream ? stream->run(a[1], false) : py::none();
  });
}

inline void expect_count(const char* method, Py_ssize_t count, Py_ssize_t expected) {
  if (count != expected)
    throw py::type_error(std::string(method) + ": expected " + std::to_string(expected) + " argument(s)");
}

inline PyObject* stream_step(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    expect_count("step", count, 2);
    return stream_of(self).step(arguments[0], arguments[1], true);
  });
}
inline PyObject* stream_run(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    expect_count("run", count, 1);
    return stream_of(self).run(arguments[0], true);
  });
}
inline PyObject* stream_save(PyObject* self, PyObject* const*, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    expect_count("save", count, 0);
    return stream_of(self).save();
  });
}
inline PyObject* stream_load(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    expect_count("load", count, 3);
    const auto of = [&](int i) { return py::reinterpret_borrow<py::object>(arguments[i]); };
    stream_of(self).load(of(0).cast<int64_t>(), of(1), of(2));
    return py::none();
  });
}

inline PyCFunction stream_method(PyObject* (*method)(PyObject*, PyObject* const*, Py_ssize_t)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(method));
}

inline PyMethodDef stream_methods[] = {
    {"step", stream_method(stream_step), METH_FASTCALL,
     "step($self, x_t, out, /)\n--\n\nThe outputs, or None when an argument needs checking or converting."},
    {"run", stream_method(stream_run), METH_FASTCALL,
     "run($self, chunk, /)\n--\n\nThe outputs of a few steps, or None as from step."},
    {"save", stream_method(stream_save), METH_FASTCALL,
     "save($self, /)\n--\n\nWhat is remembered: the states of each part, and memories (N, steps, ...)."},
    {"load", stream_method(stream_load), METH_FASTCALL,
     "load($self, steps, states, memories, /)\n--\n\nRemember what `save` gave after so many steps."},
    {nullptr, nullptr, 0, nullptr}};

inline PyGetSetDef stream_properties[] = {
    {"steps", [](PyObject* self, void*) { return PyLong_FromLongLong(stream_of(self).steps()); }, nullptr,
     "How many steps there were.", nullptr},
    {"ready", [](PyObject* self, void*) { return PyBool_FromLong(stream_of(self).ready); },
     [](PyObject* self, PyObject* value, void*) -> int {
       const int truth = value ? PyObject_IsTrue(value) : -1;
       if (truth >= 0) stream_of(self).ready = truth != 0;
       return truth < 0 ? -1 : 0;
     },
     "Whether the next step goes on from what is remembered here.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

inline PyType_Slot stream_slots[] = {
    {Py_tp_doc, const_cast<char*>("What the steps of a stream go through, one call each.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_stream)},
    {Py_tp_methods, stream_methods},
    {Py_tp_getset, stream_properties},
    {0, nullptr}};

inline PyType_Spec stream_spec{"rnncore._core.Stream", sizeof(StreamObject), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, stream_slots};

}  // namespace rnncore
