"""Operations on symbolic values that Keras keeps as layers: `x + y`, `x[:, -1]`, `ops.mean(x, axis=1)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnncore import layers

__all__ = ["MASKING", "is_operation", "operation"]

# What the masks of Masking and Embedding are made of: they follow here by themselves.
MASKING = frozenset(
    [
        "NotEqual",
        "Any",
        "LogicalOr",
        "LogicalAnd",
        "ExpandDims",
        "ZerosLike",
        "OnesLike",
        "Concatenate",
        "ConvertToTensor",
        "Cast",
    ]
)
_OF_TENSORFLOW = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_UNTRAINED = ("InputLayer", "SpatialDropout1D")


def is_operation(entry: Mapping[str, Any], version: tuple[int, ...]) -> bool:
    """Whether an entry of a model is an operation and no layer."""
    if entry.get("class_name") in _OF_TENSORFLOW or ".ops" in str(entry.get("module")):
        return True
    # HDF5 files of Keras 3 do not say where a class is from, but all layers but two say whether they are trained.
    is_plain = "trainable" not in entry["config"] and "layers" not in entry["config"]
    return version[0] >= 3 and "module" not in entry and is_plain and entry.get("class_name") not in _UNTRAINED


def operation(entry: Mapping[str, Any]) -> Callable[..., Any] | None:
    """The function of symbolic values that an operation stands for, or None if there is no equal.

    It takes the arguments of the call, and those of the entry's config.
    """
    config = entry.get("config")
    config = config if isinstance(config, dict) else {}
    name = str(config.get("function", entry.get("class_name")))
    name = name.rpartition(".")[2].replace("_", "").lower()
    found = _OPERATIONS.get(name)
    if found is None:
        return None
    options = {key: value for key, value in config.items() if key not in ("name", "function", "trainable", "dtype")}
    return lambda *args, **kwargs: found(*args, **{**options, **_without_names(kwargs)})


def _without_names(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The named arguments that say something."""
    return {key: value for key, value in kwargs.items() if key != "name" and value is not None}


def _index(x: Any, index: Any = None, slice_spec: Any = None, key: Any = None) -> Any:
    given = next((value for value in (index, slice_spec, key) if value is not None), None)
    return x[tuple(given) if isinstance(given, list) else given]


def _over_steps(layer: Any) -> Callable[..., Any]:
    def pooled(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        if len(x.shape) != 3 or axis not in (1, -2):
            raise ValueError(f"axis must be 1 of a sequence (N, T, C), got axis={axis} of {x.shape}")
        return layer(keepdims=keepdims)(x)

    return pooled


def _power(x: Any, y: Any = None, x2: Any = None) -> Any:
    return x ** (x2 if y is None else y)


def _binary(act: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def applied(x: Any, y: Any = None, x2: Any = None) -> Any:
        return act(x, x2 if y is None else y)

    return applied


def _concatenated(xs: Sequence[Any], *more: Any, axis: int = -1) -> Any:
    return layers.Concatenate(axis)([*xs, *more] if isinstance(xs, (list, tuple)) else [xs, *more])


def _activated(name: str) -> Callable[..., Any]:
    return lambda x: layers.Activation(name)(x)


def _clipped(x: Any, x_min: Any = None, x_max: Any = None, **names: Any) -> Any:
    low, high = names.get("clip_value_min", x_min), names.get("clip_value_max", x_max)
    return layers.Elementwise("clip", min_value=low, max_value=high)(x)


_SUM, _DIFFERENCE = _binary(lambda x, y: x + y), _binary(lambda x, y: x - y)
_PRODUCT, _QUOTIENT = _binary(lambda x, y: x * y), _binary(lambda x, y: x / y)

_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("add", "addv2"), _SUM),
    **dict.fromkeys(("subtract", "sub"), _DIFFERENCE),
    **dict.fromkeys(("multiply", "mul"), _PRODUCT),
    **dict.fromkeys(("truediv", "truedivide", "divide", "realdiv"), _QUOTIENT),
    **dict.fromkeys(("power", "pow"), _power),
    **dict.fromkeys(("negative", "neg"), lambda x: -x),
    **dict.fromkeys(("abs", "absolute"), abs),
    **dict.fromkeys(("getitem", "stridedslice"), _index),
    **dict.fromkeys(("mean", "reducemean"), _over_steps(layers.GlobalAveragePooling1D)),
    **dict.fromkeys(("max", "amax", "reducemax"), _over_steps(layers.GlobalMaxPooling1D)),
    **dict.fromkeys(("concatenate", "concat"), _concatenated),
    **dict.fromkeys(("clip", "clipbyvalue"), _clipped),
    **{name: _activated(name) for name in ("relu", "sigmoid", "tanh", "softmax", "softplus", "elu", "selu", "silu")},
    **{
        name: (lambda x, kind=name: layers.Elementwise(kind)(x))
        for name in ("exp", "log", "sqrt", "square", "sin", "cos")
    },
    "identity": lambda x: x,
    "stopgradient": lambda x: x,
}
