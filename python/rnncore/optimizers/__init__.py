"""How weights follow gradients. An optimizer describes its update; executors perform it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnncore import _configurable as configurable
from rnncore._namespace import public
from rnncore.optimizers import adam, adaptive, rmsprop, schedules, sgd
from rnncore.optimizers.adam import *
from rnncore.optimizers.adaptive import *
from rnncore.optimizers.base import Optimizer
from rnncore.optimizers.rmsprop import *
from rnncore.optimizers.sgd import *

__all__ = ["Optimizer", "deserialize", "get", "schedules", "serialize"]
__all__ += adam.__all__
__all__ += adaptive.__all__
__all__ += rmsprop.__all__
__all__ += sgd.__all__

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)


def get(identifier: Any) -> Optimizer:
    """Find an optimizer by name in upper or lower case, class or description; an optimizer stays itself.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.get("rmsprop").learning_rate
    0.001
    """
    if isinstance(identifier, str) and identifier.lower() in Optimizer._registry:
        identifier = identifier.lower()
    return configurable.find(Optimizer, identifier)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Describe an optimizer, without its state, as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.serialize(optimizers.SGD(0.5))["config"]["learning_rate"]
    0.5
    """
    return configurable.serialize(optimizer)


def deserialize(config: dict[str, Any]) -> Optimizer:
    """Make an optimizer, without state, from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.deserialize({"class_name": "SGD", "config": {"learning_rate": 0.5}}).learning_rate
    0.5
    """
    return get(config)
