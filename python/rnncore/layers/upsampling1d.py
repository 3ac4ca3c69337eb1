"""Steps repeated."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.changes_steps import ChangesSteps

__all__ = ["UpSampling1D"]


class UpSampling1D(ChangesSteps):
    """Repeat each step: (N, T, C) to (N, T·size, C).

    Parameters
    ----------
    size : int, default 2
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input that is not (N, T, C).

    Notes
    -----
    Masks end here, as in Keras; the lengths of a batch go on.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.UpSampling1D(3)(layers.Input((5, 2))).shape
    (None, 15, 2)
    """

    _op = "upsampling1d"
    _node_arguments = ("size",)

    def __init__(self, size: int = 2, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.size = check.positive_int("size", size)

    def _steps_of(self, steps: int) -> int:
        return steps * self.size
