"""Labels without their times."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore._data import Array
from rnncore.losses.base import Loss
from rnncore.losses.functions import function_of
from rnncore.program import Shape
from rnncore.reference.ctc import check_labels
from rnncore.reference.ctc import ctc as value_and_gradient

__all__ = ["CTC", "ctc"]


class CTC(Loss):
    """Minus the log-probability of a sequence of labels, summed over all ways to place them in time.

    The model's output are logits (N, T, classes), of which class 0 is the blank; targets are labels (N, L) from 1 on,
    followed by zeros. Steps that a mask or the lengths of a batch leave out do not count. `rnncore.decoding` reads the
    labels off a trained model's output.

    Raises
    ------
    ValueError
        If the labels of a sample do not fit into its steps; the message names the sample.

    References
    ----------
    A. Graves et al., "Connectionist temporal classification", ICML (2006).

    Examples
    --------
    Of the nine pairs of three classes, three say 1 alone: (1, 1), (0, 1) and (1, 0).

    >>> import numpy as np
    >>> from rnncore import losses
    >>> round(float(np.exp(-losses.CTC()([[1, 0]], np.zeros((1, 2, 3))))), 4)
    0.3333
    """

    sparse = True

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        array = data.real(argument, value)
        if array.ndim != 2:
            raise ValueError(f"{argument} must have shape (N, labels) for CTC, got {array.shape}")
        return data.whole(argument, array, 0, output[-1])

    def positions(self, target: Array) -> tuple[int, ...]:
        """One value for each sample."""
        return target.shape[:1]

    def _evaluate(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[Array, Array, Array, Array]:
        output = data.floating("y_pred", y_pred)
        if output.ndim != 3:
            raise ValueError(f"y_pred must have shape (N, T, classes) for CTC, got {output.shape}")
        target = self.target("y_true", y_true, output.shape, output.dtype)
        data.same_rows({"y_true": target, "y_pred": output})
        check_labels(target, output.shape[-1], np.full(len(output), output.shape[1]))
        return (target, output, *value_and_gradient(target, output))


ctc = function_of(CTC)
