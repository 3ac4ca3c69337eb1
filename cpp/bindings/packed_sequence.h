// rnncore._core.PackedWeights: what the recurrent functions take in place of kernel, recurrent kernel and bias.
#pragma once

#include <variant>

#include "bindings/numpy_arrays.h"
#include "engine/sequence_weights.h"

namespace rnncore {

struct PackedSequence {
  Cell cell;
  int64_t inputs, units;
  std::variant<SequenceWeights<float>, SequenceWeights<double>> weights;

  // Null where they are of another type.
  template <class T>
  const SequenceWeights<T>* as() const {
    return std::get_if<SequenceWeights<T>>(&weights);
  }
};

struct PackedObject {
  PyObject ob_base;
  PackedSequence* packed;
};

inline PyTypeObject* packed_type = nullptr;

inline const PackedSequence& packed_of(PyObject* self) { return *reinterpret_cast<PackedObject*>(self)->packed; }

inline void delete_packed(PyObject* self) {
  delete reinterpret_cast<PackedObject*>(self)->packed;
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

inline PyObject* represent_packed(PyObject* self) {
  const PackedSequence& packed = packed_of(self);
  const char* dtype = packed.as<float>() ? "float32" : "float64";
  return PyUnicode_FromFormat("<PackedWeights of %s, %lld inputs, %lld units, %s>", facts_of(packed.cell).name,
                              static_cast<long long>(packed.inputs), static_cast<long long>(packed.units), dtype);
}

inline PyGetSetDef packed_properties[] = {
    {"cell", [](PyObject* self, void*) { return PyUnicode_FromString(facts_of(packed_of(self).cell).name); }, nullptr,
     "Name of the cell.", nullptr},
    {"inputs", [](PyObject* self, void*) { return PyLong_FromLongLong(packed_of(self).inputs); }, nullptr,
     "Number of input features.", nullptr},
    {"units", [](PyObject* self, void*) { return PyLong_FromLongLong(packed_of(self).units); }, nullptr,
     "Number of units.", nullptr},
    {"dtype",
     [](PyObject* self, void*) {
       return Py_NewRef(packed_of(self).as<float>() ? dtype_of<float>() : dtype_of<double>());
     },
     nullptr, "dtype of the weights.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

inline PyType_Slot packed_slots[] = {
    {Py_tp_doc,
     const_cast<char*>("The weights of a recurrent layer as `pack` gives them: packed once for many calls.\n\n"
                       "Attributes\n----------\ncell : str\ninputs, units : int\ndtype : dtype\n\n"
                       "Examples\n--------\n>>> import numpy as np\n"
                       ">>> from rnncore.functional import pack\n"
                       ">>> pack(np.ones((3, 16)), np.ones((4, 16)), cell=\"lstm\").units\n4\n")},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_packed)},
    {Py_tp_repr, reinterpret_cast<void*>(represent_packed)},
    {Py_tp_getset, packed_properties},
    {0, nullptr}};

inline PyType_Spec packed_spec{"rnncore._core.PackedWeights", sizeof(PackedObject), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, packed_slots};

template <class T>
py::object pack_typed(Cell cell, PyObject* kernel, PyObject* recurrent_kernel, PyObject* bias) {
  if (!has_dtype<T>(kernel) || fields(kernel).nd != 2) throw py::type_error("kernel: expected two axes");
  const int64_t I = fields(kernel).dimensions[0], G = gates_of(cell), H = fields(kernel).dimensions[1] / G;
  const T *k, *r, *b;
  const int64_t biases = facts_of(cell).bias_rows;
  if (!plain<T>(kernel, {I, G * H}, k) || !plain<T>(recurrent_kernel, {H, G * H}, r) || !k || !r ||
      !(biases == 1 ? plain<T>(bias, {G * H}, b) : plain<T>(bias, {biases, G * H}, b)))
    throw py::type_error("pack: expected C-contiguous arrays of one dtype and of fitting shapes");
  auto packed =
      std::make_unique<PackedSequence>(PackedSequence{cell, I, H, SequenceWeights<T>(cell, I, H, k, r, b, kernels())});
  py::object object = checked(reinterpret_cast<PyObject*>(PyObject_New(PackedObject, packed_type)));
  reinterpret_cast<PackedObject*>(object.ptr())->packed = packed.release();
  return object;
}

}  // namespace rnncore
