"""A penalty on values that pass as they are."""

from __future__ import annotations

from typing import Any

from rnncore import regularizers
from rnncore.layers.activation import AppliesActivation
from rnncore.layers.arguments import OwnArguments, Unpack

__all__ = ["ActivityRegularization"]


class ActivityRegularization(AppliesActivation):
    """Hand x on as it is; training adds l1 · Σ|x| + l2 · Σx², divided by the number of samples, to the loss.

    Parameters
    ----------
    l1, l2 : float, default 0.0
        Not negative.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((2,)), layers.ActivityRegularization(l1=0.5)])
    >>> model.compile("sgd", "mse")
    >>> model.evaluate(np.array([[1.0, -3.0]]), np.array([[1.0, -3.0]]), verbose=0)
    2.0
    """

    _function = "linear"

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **arguments: Unpack[OwnArguments]) -> None:
        penalty = regularizers.L1L2(l1, l2)
        super().__init__(activity_regularizer=penalty, **arguments)
        self.l1, self.l2 = penalty.l1, penalty.l2

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data."""
        config = super().get_config()
        del config["activity_regularizer"]
        return config
