"""What training minimises. Each loss describes itself to the executors and can be called on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnncore import _configurable as configurable
from rnncore._namespace import public
from rnncore.losses import crossentropies, distributions, errors, hinges
from rnncore.losses.base import Loss
from rnncore.losses.crf import CRF, crf
from rnncore.losses.crossentropies import *
from rnncore.losses.ctc import CTC, ctc
from rnncore.losses.distributions import *
from rnncore.losses.errors import *
from rnncore.losses.functions import FUNCTIONS
from rnncore.losses.hinges import *

__all__ = ["CRF", "CTC", "Loss", "crf", "ctc", "deserialize", "get", "serialize"]
__all__ += crossentropies.__all__
__all__ += distributions.__all__
__all__ += errors.__all__
__all__ += hinges.__all__

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)


def get(identifier: Any) -> Loss:
    """Find a loss by name, class, function of this module or description; a loss stays itself.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.get("huber")
    Huber(delta=1.0, reduction='sum_over_batch_size', name='huber')
    """
    if callable(identifier) and identifier in FUNCTIONS:
        return FUNCTIONS[identifier]()
    return configurable.find(Loss, identifier)


def serialize(loss: Loss) -> dict[str, Any]:
    """Describe a loss as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.serialize(losses.Huber(2.0))["config"]["delta"]
    2.0
    """
    return configurable.serialize(loss)


def deserialize(config: dict[str, Any]) -> Loss:
    """Make a loss from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.deserialize({"class_name": "Huber", "config": {"delta": 2.0}}).delta
    2.0
    """
    return get(config)
