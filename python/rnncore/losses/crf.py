"""Labels of a chain."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from rnncore import _data as data
from rnncore._data import Array
from rnncore.losses.base import Loss
from rnncore.losses.functions import function_of
from rnncore.program import Shape
from rnncore.reference.crf_loss import crf_loss as value_and_gradient

__all__ = ["CRF", "crf"]


class CRF(Loss):
    """Minus the log-probability of the labels of a sequence, in a conditional random field.

    The model's output is that of `layers.CRF`; targets are labels (N, T) from 0 on. Steps that a mask or the lengths of
    a batch leave out do not count, whatever their labels. There is one value for each sample. `rnncore.decoding` reads
    the labels off a trained model's output, and `metrics.ViterbiAccuracy` tells how many are right.

    Examples
    --------
    Four labels that are equally likely, whatever the one before:

    >>> import numpy as np
    >>> from rnncore import losses
    >>> round(float(np.exp(-losses.CRF()([[1, 3]], np.full((1, 2, 4, 4), np.log(0.25))))), 4)
    0.0625
    """

    sparse = True

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        if len(output) != 4 or output[-1] != output[-2]:
            raise ValueError(
                f"the loss CRF needs an output (N, T, K, K), as the layer CRF makes, got shape {tuple(output)}"
            )
        return data.whole(argument, data.matched(argument, data.real(argument, value), output[:2]), 0, output[-1])

    def positions(self, target: Array) -> tuple[int, ...]:
        """One value for each sample."""
        return target.shape[:1]

    def _evaluate(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[Array, Array, Array, Array]:
        output = data.floating("y_pred", y_pred)
        target = self.target("y_true", y_true, output.shape, output.dtype)
        return (target, output, *value_and_gradient(target, output))


crf = function_of(CRF)
