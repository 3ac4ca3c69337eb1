"""A node as operators read it: attributes with defaults, and errors that name it."""

from __future__ import annotations

from typing import Any, NoReturn

from rnncore.onnx.files import label, package

__all__ = ["NodeError", "Reader"]


class NodeError(ValueError):
    """A node that cannot be part of a model, for a reason that no other reading of the graph changes."""


class Reader:
    """The attributes of a node; `finish` refuses those that nobody asked for.

    Attributes
    ----------
    node : NodeProto
    op : str
    opset : int
    """

    def __init__(self, node: Any, opset: int) -> None:
        self.node = node
        self.op: str = node.op_type
        self.opset = opset
        self._given = {attribute.name: attribute for attribute in node.attribute}
        self._asked: set[str] = set()

    def get(self, name: str, default: Any) -> Any:
        """An attribute; text is str, numbers are Python's, a list is a list, a tensor an array."""
        self._asked.add(name)
        if name not in self._given:
            return default
        attribute = self._given[name]
        onnx = package()
        if attribute.ref_attr_name:
            self.fail(f"its attribute {name} refers to one of a function, which there is not")
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            return onnx.numpy_helper.to_array(value)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if attribute.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
            return list(value)
        if attribute.type == onnx.AttributeProto.STRINGS:
            return [text.decode("utf-8", "replace") for text in value]
        if default is not None and not isinstance(value, (type(default), int)):
            self.fail(f"its attribute {name} must be {type(default).__name__}, got {value!r}")
        return value

    def ignore(self, *names: str) -> None:
        """Pass over attributes that make no difference to what is computed here."""
        self._asked.update(names)

    def finish(self) -> None:
        """Raise if the node has attributes that nobody has read."""
        unknown = sorted(set(self._given) - self._asked)
        if unknown:
            self.fail(f"its attribute {unknown[0]} is not supported")

    def reason(self, text: str) -> str:
        """The text of an error that names the node."""
        return f"{label(self.node)}: {text}"

    def fail(self, reason: str) -> NoReturn:
        """Raise an error that names the node."""
        raise NodeError(self.reason(reason))
