// rnncore._core.WatchedMemory: lends the memory of an array to others, by the buffer protocol, and knows whether they
// may have written to it.
#pragma once

#include <pybind11/numpy.h>

#include "bindings/numpy_arrays.h"
#include "engine/packed_weights.h"

namespace rnncore {

struct WatchedMemory {
  PyObject ob_base;
  PyObject* array;
  WeightWatch watch;
};

inline PyTypeObject* watched_memory_type = nullptr;

inline WatchedMemory& watched(PyObject* self) { return *reinterpret_cast<WatchedMemory*>(self); }

inline PyObject* new_watched_memory(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"array", nullptr};
  PyObject* array = nullptr;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O", const_cast<char**>(names), &array)) return nullptr;
  if (!numpy().PyArray_Check_(array)) return PyErr_Format(PyExc_TypeError, "array: expected a NumPy array"), nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&watched(self).watch) WeightWatch;
  Py_INCREF(array);
  watched(self).array = array;
  return self;
}

inline void delete_watched_memory(PyObject* self) {
  Py_XDECREF(watched(self).array);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

inline int lend_memory(PyObject* self, Py_buffer* view, int flags) {
  WatchedMemory& memory = watched(self);
  Py_buffer* const lent = new (std::nothrow) Py_buffer;
  if (!lent) return PyErr_NoMemory(), -1;
  if (PyObject_GetBuffer(memory.array, lent, flags) < 0) {
    delete lent;
    return -1;
  }
  *view = *lent;
  Py_INCREF(self);
  view->obj = self;
  view->internal = lent;
  ++memory.watch.held;
  ++memory.watch.lent;
  return 0;
}

inline void take_memory_back(PyObject* self, Py_buffer* view) {
  auto* lent = static_cast<Py_buffer*>(view->internal);
  PyBuffer_Release(lent);
  delete lent;
  ++watched(self).watch.lent;  // what was written last
  --watched(self).watch.held;
}

inline PyMethodDef watched_memory_methods[] = {
    {"note_writing",
     [](PyObject* self, PyObject*) -> PyObject* { return ++watched(self).watch.lent, Py_NewRef(Py_None); }, METH_NOARGS,
     "note_writing($self, /)\n--\n\nSay that the array was written to."},
    {nullptr, nullptr, 0, nullptr}};

inline PyGetSetDef watched_memory_properties[] = {
    {"held", [](PyObject* self, void*) { return PyLong_FromLongLong(watched(self).watch.held); }, nullptr,
     "How many hold the memory now.", nullptr},
    {"moved", [](PyObject* self, void*) { return PyBool_FromLong(watched(self).watch.moved); },
     [](PyObject* self, PyObject* value, void*) -> int {
       const int truth = value ? PyObject_IsTrue(value) : -1;
       if (truth >= 0) watched(self).watch.moved = truth != 0;
       return truth < 0 ? -1 : 0;
     },
     "Whether the numbers live elsewhere by now.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

inline PyType_Slot watched_memory_slots[] = {
    {Py_tp_doc, const_cast<char*>("WatchedMemory(array)\n--\n\nThe memory of an array, lent out by the buffer protocol "
                                  "and watched for writing.")},
    {Py_tp_new, reinterpret_cast<void*>(new_watched_memory)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_watched_memory)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(lend_memory)},
    {Py_bf_releasebuffer, reinterpret_cast<void*>(take_memory_back)},
    {Py_tp_methods, watched_memory_methods},
    {Py_tp_getset, watched_memory_properties},
    {0, nullptr}};

inline PyType_Spec watched_memory_spec{"rnncore._core.WatchedMemory", sizeof(WatchedMemory), 0, Py_TPFLAGS_DEFAULT,
                                       watched_memory_slots};

}  // namespace rnncore
