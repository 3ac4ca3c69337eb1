// rnncore._core.Stream: one step of a model with one input and one output, in one call.
#pragma once

#include <memory>

#include "bindings/tape.h"
#include "bindings/watched_memory.h"
#include "engine/stream.h"

namespace rnncore {

class BoundStream {
 public:
  virtual ~BoundStream() = default;
  // None where the arguments need checking or converting, or the weights are elsewhere by now. If `waits`, other
  // threads have the GIL meanwhile; else None as well where the step is long, or others are at the weights.
  virtual py::object step(PyObject* x_t, PyObject* out, bool waits) = 0;

  virtual int64_t steps() const = 0;
  virtual void set_steps(int64_t steps) = 0;

  bool ready = false;  // the states are those that the next step goes on from
};

using ArrayShape = std::vector<Py_intptr_t>;

// A C-contiguous array of E of this shape.
template <class E>
bool is_plain(PyObject* object, const ArrayShape& shape) {
  if (!has_dtype<E>(object) || !aligned<E>(object)) return false;
  const auto& a = fields(object);
  return a.nd == static_cast<int>(shape.size()) && std::equal(shape.begin(), shape.end(), a.dimensions) &&
         (a.flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_);
}

template <class T>
class TypedStream final : public BoundStream {
 public:
  // `owner` keeps the executor, `states` its states.
  TypedStream(py::object owner, Executor<T>& executor, const WeightWatch* watch, const Tensor& input,
              ArrayShape x_shape, ArrayShape y_shape, py::object states, T* state_numbers)
      : owner_(std::move(owner)),
        states_(std::move(states)),
        watch_(watch),
        integer_(input.integer),
        x_shape_(std::move(x_shape)),
        y_shape_(std::move(y_shape)),
        stream_(executor, {input}, state_numbers) {}

  py::object step(PyObject* x_t, PyObject* out, bool waits) override {
    if (!ready || (watch_ && watch_->moved)) return py::none();
    if (!waits && stream_.flops() > kLongStep) return py::none();
    if (!(integer_ ? is_plain<int32_t>(x_t, x_shape_) : is_plain<T>(x_t, x_shape_))) return py::none();
    py::object y;
    if (out == Py_None) {
      const int axes = static_cast<int>(y_shape_.size());
      y = checked(array_from(dtype_of<T>(), axes, y_shape_.data(), nullptr, nullptr));
    } else {
      if (!is_plain<T>(out, y_shape_) || !(fields(out).flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_))
        return py::none();
      y = py::reinterpret_borrow<py::object>(out);
    }
    const void* const x = fields(x_t).data;
    T* const to = reinterpret_cast<T*>(fields(y.ptr()).data);
    bool done = false;
    if (waits) {
      SignalPoll signals;
      run_interruptible(signals, [&](const Interrupt& interrupt) { done = stream_.step(&x, &to, true, interrupt); });
    } else {  // with the GIL, thus without waiting for threads that may want it
      done = stream_.step(&x, &to, false, Interrupt{});
    }
    return done ? y : py::none();
  }

  int64_t steps() const override { return stream_.steps(); }
  void set_steps(int64_t steps) override { stream_.set_steps(steps); }

 private:
  static constexpr double kLongStep = 1e6;  // operations

  py::object owner_, states_;
  const WeightWatch* watch_;
  bool integer_;
  ArrayShape x_shape_, y_shape_;
  Stream<T> stream_;
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

// step(self, x_t, out) of the Python object that has a stream.
inline PyObject* direct_step(PyObject* const* a) {
  static PyObject* const attribute = PyUnicode_InternFromString("_direct");
  return guarded([&]() -> py::object {
    const py::object found = checked(PyObject_GetAttr(a[0], attribute));
    if (Py_TYPE(found.ptr()) != stream_type) return py::none();
    return stream_of(found.ptr()).step(a[1], a[2], false);
  });
}

inline PyObject* stream_step(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  return guarded([&]() -> py::object {
    if (count != 2) throw py::type_error("step: expected 2 arguments");
    return stream_of(self).step(arguments[0], arguments[1], true);
  });
}

inline PyMethodDef stream_methods[] = {
    {"step", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(stream_step)), METH_FASTCALL,
     "step($self, x_t, out, /)\n--\n\nThe outputs, or None when an argument needs checking or converting."},
    {nullptr, nullptr, 0, nullptr}};

inline PyGetSetDef stream_properties[] = {
    {"steps", [](PyObject* self, void*) { return PyLong_FromLongLong(stream_of(self).steps()); },
     [](PyObject* self, PyObject* value, void*) -> int {
       const long long steps = value ? PyLong_AsLongLong(value) : -1;
       if (PyErr_Occurred()) return -1;
       stream_of(self).set_steps(steps);
       return 0;
     },
     "How many steps the states have seen.", nullptr},
    {"ready", [](PyObject* self, void*) { return PyBool_FromLong(stream_of(self).ready); },
     [](PyObject* self, PyObject* value, void*) -> int {
       const int truth = value ? PyObject_IsTrue(value) : -1;
       if (truth >= 0) stream_of(self).ready = truth != 0;
       return truth < 0 ? -1 : 0;
     },
     "Whether the next step goes on from the states.", nullptr},
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
