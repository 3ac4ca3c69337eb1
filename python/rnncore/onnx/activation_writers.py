"""Activations as nodes of a graph."""

from __future__ import annotations

import math
from typing import Any

from rnncore.onnx.exporter import Exporter
from rnncore.program import Node, option_attribute
from rnncore.reference.activations import ACTIVATIONS

__all__ = ["activated", "options_of"]


def options_of(node: Node, attribute: str) -> tuple[str, dict[str, Any]]:
    """The activation that an attribute names, and its options with their defaults."""
    name = node.attributes.get(attribute) or "linear"
    defaults = ACTIVATIONS[name].forward.__kwdefaults__ or {}
    given = {option: node.attributes.get(option_attribute(attribute, option)) for option in defaults}
    return name, {option: defaults[option] if value is None else value for option, value in given.items()}


SIMPLE = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "selu": "Selu",
    "exponential": "Exp",
    "softsign": "Softsign",
    "softplus": "Softplus",
}


def activated(exporter: Exporter, node: Node, x: str, attribute: str = "activation") -> str:
    """The array after an activation."""
    name, options = options_of(node, attribute)
    label = node.name if node.op == "activation" else f"{node.name}.{name}"

    def add(op: str, *inputs: str, **attributes: Any) -> str:
        return exporter.add(op, inputs, name=label, **attributes)

    number = exporter.number
    if name == "linear":
        return x
    if name == "relu" and options["negative_slope"] and not options["threshold"] and options["max_value"] is None:
        return add("LeakyRelu", x, alpha=options["negative_slope"])
    if name == "relu" and (options["negative_slope"] or options["threshold"]):
        return _general_relu(exporter, x, options)
    if name == "relu" and options["max_value"] is not None:
        return add("Clip", x, number(0.0), number(options["max_value"]))
    if name in SIMPLE:
        return add(SIMPLE[name], x)
    if name == "leaky_relu":
        return add("LeakyRelu", x, alpha=options["negative_slope"])
    if name in ("elu", "celu"):
        return add(name.capitalize(), x, alpha=options["alpha"])
    if name == "hard_sigmoid":
        return add("HardSigmoid", x, **options)
    if name == "softmax":
        return add("Softmax", x, axis=-1)
    if name == "silu":
        return add("Mul", x, add("Sigmoid", x))
    if name == "mish":
        return add("Mul", x, add("Tanh", add("Softplus", x)))
    if name == "affine":
        return add("Add", add("Mul", x, number(options["alpha"])), number(options["beta"]))
    if name == "scaled_tanh":
        return add("Mul", add("Tanh", add("Mul", x, number(options["beta"]))), number(options["alpha"]))
    if name == "threshold":
        return add("Where", add("Greater", x, number(options["threshold"])), x, number(options["default_value"]))
    if name == "gelu" and options["approximate"]:
        cube = add("Mul", add("Pow", x, number(3.0)), number(0.044715))
        inner = add("Tanh", add("Mul", add("Add", x, cube), number(math.sqrt(2 / math.pi))))
    elif name == "gelu":
        inner = add("Erf", add("Mul", x, number(math.sqrt(0.5))))
    else:
        exporter.fail(node, f"there is no operator for the activation {name!r}")
    return add("Mul", add("Mul", x, number(0.5)), add("Add", inner, number(1.0)))


def _general_relu(exporter: Exporter, x: str, options: dict[str, Any]) -> str:
    threshold = exporter.number(options["threshold"])
    below = exporter.add("Sub", [x, threshold])
    below = exporter.add("Mul", [below, exporter.number(options["negative_slope"])])
    y = exporter.add("Where", [exporter.add("Less", [x, threshold]), below, x])
    return y if options["max_value"] is None else exporter.add("Min", [y, exporter.number(options["max_value"])])
