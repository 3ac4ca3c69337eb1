"""Activation functions, by name, as functions on NumPy arrays, or with options as objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from rnncore import _configurable
from rnncore import _validation as check
from rnncore._namespace import public
from rnncore.activations import functions
from rnncore.activations.functions import (
    affine,
    celu,
    elu,
    exponential,
    gelu,
    hard_sigmoid,
    leaky_relu,
    linear,
    mish,
    relu,
    scaled_tanh,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    swish,
    tanh,
    threshold,
)
from rnncore.activations.options import (
    CELU,
    ELU,
    GELU,
    Affine,
    Array,
    HardSigmoid,
    LeakyReLU,
    Parametrized,
    ReLU,
    ScaledTanh,
    Threshold,
)
from rnncore.program import option_attribute

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "Affine",
    "HardSigmoid",
    "LeakyReLU",
    "ReLU",
    "ScaledTanh",
    "Threshold",
    "affine",
    "celu",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "scaled_tanh",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
    "threshold",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

Function = Callable[[npt.ArrayLike], Array]
Kept = str | Parametrized  # what a layer keeps


class ActivationLayer(Protocol):
    """A layer that stands for an activation."""

    @property
    def _as_activation(self) -> Kept: ...


Identifier = str | Function | ActivationLayer | dict[str, Any] | None

_TABLE: dict[str, Function] = {name: getattr(functions, name) for name in functions.__all__}


def get(identifier: Identifier) -> Function:
    """Find an activation by name or description; None is `linear`, what is one already is itself.

    Raises
    ------
    TypeError
        For another function: the engine runs its own activations only.
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.get("tanh") is activations.tanh
    True
    """
    return _find("activation", identifier)


def serialize(identifier: Identifier) -> str | dict[str, Any]:
    """Name an activation that `get` finds, or describe it if it has options.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.serialize(activations.relu)
    'relu'
    >>> activations.serialize(activations.ELU(0.5))
    {'class_name': 'ELU', 'config': {'alpha': 0.5}}
    """
    found = kept(identifier)
    return found if isinstance(found, str) else _configurable.serialize(found)


def kept(identifier: Identifier, argument: str = "activation", *, elementwise: bool = False) -> Kept:
    """What a layer keeps of an activation: its name, or the object with its options."""
    found = _find(argument, identifier)
    if elementwise and found is softmax:
        raise ValueError(f"{argument} of a recurrent layer must be elementwise, got 'softmax', which mixes the units")
    return found if isinstance(found, Parametrized) else found.__name__


def attributes(attribute: str, activation: Kept) -> dict[str, Any]:
    """What a node says of an activation: its name as `attribute`, and its options."""
    if isinstance(activation, str):
        return {attribute: activation}
    options = {option_attribute(attribute, name): value for name, value in activation.get_config().items()}
    return {attribute: activation._function, **{name: value for name, value in options.items() if value is not None}}


def _find(argument: str, identifier: Identifier) -> Function:
    """The activation that an argument stands for."""
    if identifier is None:
        return linear
    given: Any = getattr(identifier, "_as_activation", identifier)  # of a layer
    if isinstance(given, (Parametrized, dict)):
        return _configurable.find(Parametrized, given)
    if callable(given):
        if given not in _TABLE.values():
            raise TypeError(
                f"{argument} must be a name, or a function or an object of rnncore.activations, got {given!r}"
            )
        function: Function = given
        return function
    return check.lookup(argument, given, _TABLE)
