#include "bindings/description.h"

#include <pybind11/stl.h>

namespace py = pybind11;

namespace rnncore {
namespace {

template <class A>
A read(py::handle object, const char* attribute) {
  return object.attr(attribute).cast<A>();
}

Shape read_shape(py::handle shape) {
  Shape sizes;
  for (const py::handle size : shape) sizes.push_back(size.is_none() ? kUnknown : size.cast<int64_t>());
  return sizes;
}

Attribute read_attribute(py::handle value) {
  if (value.is_none()) return std::monostate{};
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::int_>(value)) {
    // Seeds may use all 64 bits.
    const unsigned long long bits = PyLong_AsUnsignedLongLongMask(value.ptr());
    return static_cast<int64_t>(bits);
  }
  if (py::isinstance<py::str>(value)) return value.cast<std::string>();
  if (py::isinstance<py::sequence>(value)) return value.cast<std::vector<double>>();
  return value.cast<double>();
}

Attributes read_attributes(py::handle object) {
  Attributes attributes;
  for (const auto& [name, value] : object.attr("attributes").cast<py::dict>())
    attributes.items[name.cast<std::string>()] = read_attribute(value);
  return attributes;
}

}  // namespace

Program read_program(py::handle program) {
  Program p;
  for (const py::handle value : program.attr("values"))
    p.values.push_back({read<std::string>(value, "name"), read_shape(value.attr("shape")),
                        read<std::string>(value, "dtype") == "int"});
  for (const py::handle parameter : program.attr("parameters"))
    p.parameters.push_back({read<std::string>(parameter, "name"), read_shape(parameter.attr("shape")),
                            read<int64_t>(parameter, "offset"), read<int64_t>(parameter, "size"),
                            read<bool>(parameter, "trainable")});
  for (const py::handle node : program.attr("nodes"))
    p.nodes.push_back({read<std::string>(node, "op"), read<std::string>(node, "name"),
                       read<std::vector<int>>(node, "inputs"), read<std::vector<int>>(node, "outputs"),
                       read<std::vector<int>>(node, "parameters"), read_attributes(node)});
  p.inputs = read<std::vector<int>>(program, "inputs");
  p.outputs = read<std::vector<int>>(program, "outputs");
  p.lengths = read<int>(program, "lengths");
  p.masks = read<std::vector<int>>(program, "masks");
  return p;
}

Training read_training(py::handle training) {
  Training t;
  for (const py::handle loss : training.attr("losses"))
    t.losses.push_back({read<std::string>(loss, "kind"), read<int>(loss, "output"), read<double>(loss, "weight"),
                        read_attributes(loss)});
  for (const py::handle metric : training.attr("metrics"))
    t.metrics.push_back({read<std::string>(metric, "kind"), read<int>(metric, "output"), read<bool>(metric, "weighted"),
                         read_attributes(metric)});
  for (const py::handle r : training.attr("regularizers"))
    t.regularizers.push_back({read<int>(r, "parameter"), read<double>(r, "l1"), read<double>(r, "l2"),
                              read<double>(r, "orthogonal"), read<bool>(r, "columns")});
  for (const py::handle r : training.attr("activity_regularizers"))
    t.activity_regularizers.push_back({read<int>(r, "value"), read<double>(r, "l1"), read<double>(r, "l2")});
  for (const py::handle c : training.attr("constraints"))
    t.constraints.push_back({read<int>(c, "parameter"), read<std::string>(c, "kind"), read_attributes(c)});
  if (const py::object optimizer = training.attr("optimizer"); !optimizer.is_none())
    t.optimizer = {read<std::string>(optimizer, "kind"), read_attributes(optimizer)};
  return t;
}

}  // namespace rnncore
