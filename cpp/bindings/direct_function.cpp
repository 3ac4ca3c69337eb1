#include "bindings/direct_function.h"

#include <structmember.h>

#include <cstddef>
#include <cstring>
#include <string>

namespace py = pybind11;

namespace rnncore {
namespace {

constexpr int kMostParameters = 12;

// It lives as long as the process, as the module that it is made for does.
struct DirectFunction {
  PyObject ob_base;
  vectorcallfunc call;
  PyObject* attributes;
  PyObject* function;
  DirectBody body;
  int parameters, positional;
  PyObject* names[kMostParameters];     // interned
  PyObject* defaults[kMostParameters];  // or null
};

DirectFunction& direct(PyObject* self) { return *reinterpret_cast<DirectFunction*>(self); }

// The values of all parameters; false where Python's own call has something to say.
bool bind_arguments(const DirectFunction& f, PyObject* const* arguments, Py_ssize_t given, PyObject* keywords,
                    PyObject** values) {
  if (given > f.positional) return false;
  std::memcpy(values, f.defaults, sizeof(f.defaults));
  for (Py_ssize_t i = 0; i < given; ++i) values[i] = arguments[i];
  const Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
  for (Py_ssize_t k = 0; k < named; ++k) {
    Py_ssize_t i = given;
    while (i < f.parameters && f.names[i] != PyTuple_GET_ITEM(keywords, k)) ++i;
    if (i == f.parameters) return false;
    values[i] = arguments[given + k];
  }
  for (int i = 0; i < f.parameters; ++i)
    if (!values[i]) return false;
  return true;
}

PyObject* call_direct(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) {
  const DirectFunction& f = direct(self);
  PyObject* values[kMostParameters];
  if (bind_arguments(f, arguments, PyVectorcall_NARGS(count), keywords, values)) {
    PyObject* result = f.body(values);
    if (result != Py_None) return result;
    Py_DECREF(result);
  }
  return PyObject_Vectorcall(f.function, arguments, count, keywords);
}

PyObject* represent(PyObject* self) { return PyObject_Repr(direct(self).function); }

// Binds in a class as functions do; tools for documentation know them by it.
PyObject* bind_method(PyObject* self, PyObject* object, PyObject*) {
  if (object) return PyMethod_New(self, object);
  Py_INCREF(self);
  return self;
}

// Pickled by name, as functions are.
PyObject* reduce(PyObject* self, PyObject*) { return PyObject_GetAttrString(direct(self).function, "__qualname__"); }

PyMethodDef direct_methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};

PyMemberDef direct_members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(DirectFunction, call), READONLY, nullptr},
                                {"__dictoffset__", T_PYSSIZET, offsetof(DirectFunction, attributes), READONLY, nullptr},
                                {nullptr, 0, 0, 0, nullptr}};

PyGetSetDef direct_properties[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
                                   {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot direct_slots[] = {{Py_tp_doc, const_cast<char*>("A Python function with a direct way into the core.")},
                              {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                              {Py_tp_repr, reinterpret_cast<void*>(represent)},
                              {Py_tp_descr_get, reinterpret_cast<void*>(bind_method)},
                              {Py_tp_methods, direct_methods},
                              {Py_tp_members, direct_members},
                              {Py_tp_getset, direct_properties},
                              {0, nullptr}};

PyType_Spec direct_spec{"rnncore._core.DirectFunction", sizeof(DirectFunction), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_HAVE_VECTORCALL,
                        direct_slots};

py::object make_direct(PyTypeObject* type, const DirectWay& way, const py::object& function) {
  const py::object code = function.attr("__code__");
  const py::tuple names = code.attr("co_varnames");
  const int positional = code.attr("co_argcount").cast<int>();
  const int parameters = positional + code.attr("co_kwonlyargcount").cast<int>();
  if (parameters != way.parameters || parameters > kMostParameters)
    throw py::type_error(std::string(way.name) + ": the core expects " + std::to_string(way.parameters) +
                         " parameters, got " + std::to_string(parameters));
  PyObject* object = PyType_GenericAlloc(type, 0);
  if (!object) throw py::error_already_set();
  DirectFunction& f = direct(object);
  f.call = call_direct;
  f.function = py::object(function).release().ptr();
  f.body = way.body;
  f.parameters = parameters;
  f.positional = positional;
  const py::object defaults = function.attr("__defaults__"), keyword_defaults = function.attr("__kwdefaults__");
  const int ready = defaults.is_none() ? 0 : static_cast<int>(py::len(defaults));
  for (int i = 0; i < parameters; ++i) {
    f.names[i] = py::object(names[static_cast<size_t>(i)]).release().ptr();
    const int place = i - (positional - ready);  // among the defaults of those that may be positional
    if (i < positional && place >= 0)
      f.defaults[i] = py::object(py::tuple(defaults)[static_cast<size_t>(place)]).release().ptr();
    else if (i >= positional && !keyword_defaults.is_none() && keyword_defaults.contains(names[static_cast<size_t>(i)]))
      f.defaults[i] = py::object(keyword_defaults[names[static_cast<size_t>(i)]]).release().ptr();
  }
  const py::object wrapper = py::reinterpret_steal<py::object>(object);
  return py::module_::import("functools").attr("update_wrapper")(wrapper, function);
}

}  // namespace

void bind_direct_functions(py::module_& m, const DirectWay* ways, size_t count) {
  static PyTypeObject* const type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&direct_spec));
  if (!type) throw py::error_already_set();
  m.def(
      "direct",
      [ways, count](const py::object& function) {
        const auto name = function.attr("__name__").cast<std::string>();
        for (size_t i = 0; i < count; ++i)
          if (name == ways[i].name) return make_direct(type, ways[i], function);
        throw py::value_error("function: the core has no direct way for '" + name + "'");
      },
      py::arg("function"),
      "Decorator: calls whose arguments are right already go straight to the core's function of that name.");
}

}  // namespace rnncore
