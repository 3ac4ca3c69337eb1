// Arrays by NumPy's C interface, for calls that take microseconds: views of those given, new ones over pooled memory.
#pragma once

#include <pybind11/numpy.h>

#include <initializer_list>
#include <utility>

#include "engine/sequence_call.h"

namespace rnncore {

namespace py = pybind11;

inline const py::detail::npy_api& numpy() { return py::detail::npy_api::get(); }

// A reference to NumPy's dtype of T, held for the life of the process.
template <class T>
PyObject* dtype_of() {
  static PyObject* const descr = py::dtype::of<T>().release().ptr();
  return descr;
}

inline const py::detail::PyArray_Proxy& fields(PyObject* array) { return *py::detail::array_proxy(array); }

template <class T>
bool has_dtype(PyObject* object) {
  if (!numpy().PyArray_Check_(object)) return false;
  PyObject* descr = fields(object).descr;
  return descr == dtype_of<T>() || numpy().PyArray_EquivTypes_(descr, dtype_of<T>());
}

template <class T>
bool aligned(PyObject* array) {
  return reinterpret_cast<uintptr_t>(fields(array).data) % alignof(T) == 0;
}

// Fills `data` when the object is a C-contiguous array of T of this shape; null when it is None.
template <class T>
bool plain(PyObject* object, std::initializer_list<int64_t> shape, const T*& data) {
  data = nullptr;
  if (object == Py_None) return true;
  if (!has_dtype<T>(object) || !aligned<T>(object)) return false;
  const auto& a = fields(object);
  if (a.nd != static_cast<int>(shape.size()) || !(a.flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_)) return false;
  int i = 0;
  for (int64_t n : shape)
    if (a.dimensions[i++] != n) return false;
  data = reinterpret_cast<const T*>(a.data);
  return true;
}

// A (N, T, C) array whose last axis is contiguous; the other strides are free, and that of an axis of one element says
// nothing.
template <class T>
bool strided(PyObject* object, BatchView<const T>& view) {
  if (!has_dtype<T>(object) || !aligned<T>(object)) return false;
  const auto& a = fields(object);
  constexpr py::ssize_t size = sizeof(T);
  if (a.nd != 3) return false;
  const bool empty = a.dimensions[0] == 0 || a.dimensions[1] == 0 || a.dimensions[2] == 0;
  if (a.strides[2] != size && a.dimensions[2] > 1 && !empty) return false;
  const py::ssize_t step = a.dimensions[1] > 1 ? a.strides[1] : a.dimensions[2] * size;
  const py::ssize_t row = a.dimensions[0] > 1 ? a.strides[0] : a.dimensions[1] * step;
  if (step % size || row % size) return false;
  view = {reinterpret_cast<const T*>(a.data), row / size, step / size};
  return true;
}

inline py::object checked(PyObject* result) {
  if (!result) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

inline PyObject* array_from(PyObject* descr, int axes, const Py_intptr_t* shape, const Py_intptr_t* strides,
                            void* data) {
  Py_INCREF(descr);
  // Without data, flags would ask for Fortran order.
  const int flags = data ? py::detail::npy_api::NPY_ARRAY_WRITEABLE_ : 0;
  return numpy().PyArray_NewFromDescr_(numpy().PyArray_Type_, descr, axes, shape, strides, data, flags, nullptr);
}

// The Python object that owns pooled memory. A type of its own, as that of tapes: a small call makes and frees it in a
// good part of its time.
struct MemoryObject {
  PyObject ob_base;
  Buffer buffer;
};

inline PyTypeObject* memory_type = nullptr;

inline py::object memory_object(Buffer buffer) {
  py::object object = checked(reinterpret_cast<PyObject*>(PyObject_New(MemoryObject, memory_type)));
  new (&reinterpret_cast<MemoryObject*>(object.ptr())->buffer) Buffer(std::move(buffer));
  return object;
}

inline void delete_memory(PyObject* self) {
  reinterpret_cast<MemoryObject*>(self)->buffer.~Buffer();
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

inline PyType_Slot memory_slots[] = {{Py_tp_doc, const_cast<char*>("Memory of arrays.")},
                                     {Py_tp_dealloc, reinterpret_cast<void*>(delete_memory)},
                                     {0, nullptr}};

inline PyType_Spec memory_spec{"rnncore._core.Memory", sizeof(MemoryObject), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, memory_slots};

// Once, before all else here.
inline void make_memory_type() {
  memory_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&memory_spec)).release().ptr());
}

inline int64_t count_of(std::initializer_list<Py_intptr_t> shape) {
  int64_t count = 1;
  for (Py_intptr_t n : shape) count *= n;
  return count;
}

// A new C-contiguous array and its memory, which is NumPy's.
template <class T>
py::object new_array(std::initializer_list<Py_intptr_t> shape, T*& data) {
  py::object array =
      checked(array_from(dtype_of<T>(), static_cast<int>(shape.size()), shape.begin(), nullptr, nullptr));
  data = reinterpret_cast<T*>(fields(array.ptr()).data);
  return array;
}

// An array over part of some memory, which lives as long. C-contiguous where there are no strides.
template <class T>
py::object array_over(const py::object& memory, std::initializer_list<Py_intptr_t> shape, const Py_intptr_t* strides,
                      T* first) {
  if (!first) return new_array<T>(shape, first);  // no elements
  py::object array = checked(array_from(dtype_of<T>(), static_cast<int>(shape.size()), shape.begin(), strides, first));
  if (numpy().PyArray_SetBaseObject_(array.ptr(), py::object(memory).release().ptr()) < 0)
    throw py::error_already_set();
  return array;
}

// New arrays of one call. Small ones share one memory; of large ones, each of which may be kept for long, each has its
// own.
template <class T>
class NewArrays {
 public:
  explicit NewArrays(int64_t most) {
    if (most <= kSharedNumbers) {
      Buffer buffer(static_cast<size_t>(most) * sizeof(T));
      next_ = buffer.as<T>();
      shared_ = memory_object(std::move(buffer));
    }
  }

  // What a C-contiguous array takes of `most`.
  static int64_t room(std::initializer_list<Py_intptr_t> shape) {
    return (count_of(shape) + kLine - 1) / kLine * kLine;
  }

  // `data` is where the array's memory begins; its first element lies `first` numbers behind.
  py::object take(std::initializer_list<Py_intptr_t> shape, T*& data, const Py_intptr_t* strides = nullptr,
                  Py_intptr_t first = 0) {
    if (!shared_) {
      Buffer buffer(static_cast<size_t>(count_of(shape)) * sizeof(T));
      data = buffer.as<T>();
      return array_over<T>(memory_object(std::move(buffer)), shape, strides, data + first);
    }
    data = count_of(shape) > 0 ? next_ : nullptr;
    next_ += room(shape);
    return array_over<T>(shared_, shape, strides, data + first);
  }

 private:
  static constexpr int64_t kSharedNumbers = (1 << 14), kLine = 64 / static_cast<int64_t>(sizeof(T));
  py::object shared_;
  T* next_ = nullptr;
};

}  // namespace rnncore
