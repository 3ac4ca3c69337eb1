#include "bindings/description.h"

#include <pybind11/stl.h>

namespace py = pybind11;

namespace rnncore {
namespace {

Shape read_shape(py::handle object) {
  Shape sizes;
  for (const py::handle size : member(object, "shape")) {
    sizes.push_back(size.is_none() ? kUnknown : cast<int64_t>(size, "shape"));
    if (!size.is_none() && sizes.back() < 0)
      throw py::value_error("shape: expected sizes of at least 0, got " + std::to_string(sizes.back()));
  }
  return sizes;
}

Attribute read_attribute(const std::string& name, py::handle value) {
  if (value.is_none()) return std::monostate{};
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::int_>(value)) {
    // Seeds may use all 64 bits.
    if (name == "seed") return static_cast<int64_t>(PyLong_AsUnsignedLongLongMask(value.ptr()));
    return cast<int64_t>(value, name);
  }
  if (py::isinstance<py::str>(value)) return cast<std::string>(value, name);
  if (py::isinstance<py::sequence>(value)) return cast<std::vector<double>>(value, name);
  return cast<double>(value, name);
}

Attributes attributes_of(py::handle object) { return read_attributes(read<py::dict>(object, "attributes")); }

}  // namespace

Attributes read_attributes(py::dict attributes) {
  Attributes found;
  for (const auto& [key, value] : attributes) {
    const auto name = cast<std::string>(key, "attributes");
    found.items[name] = read_attribute(name, value);
  }
  return found;
}

py::object member(py::handle object, const char* attribute) {
  auto found = py::reinterpret_steal<py::object>(PyObject_GetAttrString(object.ptr(), attribute));
  if (found) return found;
  if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
  PyErr_Clear();
  throw py::type_error(std::string("expected an object with ") + attribute + ", got " +
                       std::string(py::str(py::type::of(object).attr("__name__"))));
}

Program read_program(py::handle program) {
  Program p;
  for (const py::handle value : member(program, "values"))
    p.values.push_back(
        {read<std::string>(value, "name"), read_shape(value), read<std::string>(value, "dtype") == "int"});
  for (const py::handle parameter : member(program, "parameters"))
    p.parameters.push_back({read<std::string>(parameter, "name"), read_shape(parameter),
                            read<int64_t>(parameter, "offset"), read<int64_t>(parameter, "size"),
                            read<bool>(parameter, "trainable")});
  for (const py::handle node : member(program, "nodes"))
    p.nodes.push_back({read<std::string>(node, "op"), read<std::string>(node, "name"),
                       read<std::vector<int>>(node, "inputs"), read<std::vector<int>>(node, "outputs"),
                       read<std::vector<int>>(node, "parameters"), attributes_of(node)});
  p.inputs = read<std::vector<int>>(program, "inputs");
  p.outputs = read<std::vector<int>>(program, "outputs");
  p.lengths = read<int>(program, "lengths");
  p.masks = read<std::vector<int>>(program, "masks");
  return p;
}

Training read_training(py::handle training) {
  Training t;
  for (const py::handle loss : member(training, "losses"))
    t.losses.push_back({read<std::string>(loss, "kind"), read<int>(loss, "output"), read<double>(loss, "weight"),
                        attributes_of(loss)});
  for (const py::handle metric : member(training, "metrics"))
    t.metrics.push_back({read<std::string>(metric, "kind"), read<int>(metric, "output"), read<bool>(metric, "weighted"),
                         attributes_of(metric)});
  for (const py::handle r : member(training, "regularizers"))
    t.regularizers.push_back({read<int>(r, "parameter"), read<double>(r, "l1"), read<double>(r, "l2"),
                              read<double>(r, "orthogonal"), read<bool>(r, "columns")});
  for (const py::handle r : member(training, "activity_regularizers"))
    t.activity_regularizers.push_back({read<int>(r, "value"), read<double>(r, "l1"), read<double>(r, "l2")});
  for (const py::handle c : member(training, "constraints"))
    t.constraints.push_back({read<int>(c, "parameter"), read<std::string>(c, "kind"), attributes_of(c)});
  if (const py::object optimizer = member(training, "optimizer"); !optimizer.is_none())
    t.optimizer = read_optimizer(optimizer);
  t.divisors = read<bool>(training, "divisors");
  return t;
}

OptimizerDescription read_optimizer(py::handle optimizer) {
  return {read<std::string>(optimizer, "kind"), attributes_of(optimizer)};
}

}  // namespace rnncore
