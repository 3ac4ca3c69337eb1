"""Mean errors and cross-entropies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import losses
from rnncore.data import Array
from rnncore.metrics.base import Error
from rnncore.program import Shape


class MeanSquaredError(Error):
    """The mean squared error.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanSquaredError()
    >>> metric.update_state([[0.0], [1.0]], [[1.0], [1.0]])
    >>> metric.result()
    0.5
    """

    kind = "mean_squared_error"


class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean squared error over all samples.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.RootMeanSquaredError()
    >>> metric.update_state([[0.0], [0.0]], [[2.0], [2.0]])
    >>> metric.result()
    2.0
    """

    def compute(self, state: Array) -> float | Array:
        return float(np.sqrt(super().compute(state)))


class MeanAbsoluteError(Error):
    """The mean absolute error.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanAbsoluteError()
    >>> metric.update_state([[0.0], [1.0]], [[3.0], [1.0]])
    >>> metric.result()
    1.5
    """

    kind = "mean_absolute_error"


class _Crossentropy(Error):
    def __init__(self, name: str | None = None, *, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(name)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.label_smoothing = check.number("label_smoothing", label_smoothing, low=0.0, high=1.0)

    def attributes(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class BinaryCrossentropy(_Crossentropy):
    """The mean cross-entropy of independent yes/no outputs.

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    label_smoothing : float in [0, 1], default 0.0

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.BinaryCrossentropy(from_logits=True)
    >>> metric.update_state([[1.0]], [[0.0]])
    >>> round(metric.result(), 4)
    0.6931
    """

    kind = "binary_crossentropy"


class CategoricalCrossentropy(_Crossentropy):
    """The mean cross-entropy between classes, with one-hot targets.

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    label_smoothing : float in [0, 1], default 0.0

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.CategoricalCrossentropy()
    >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
    >>> round(metric.result(), 4)
    0.6931
    """

    kind = "categorical_crossentropy"


class SparseCategoricalCrossentropy(Error):
    """The mean cross-entropy between classes, with class ids as targets.

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    ignore_class : int, optional
        Positions with this label, which may be none of the classes, add nothing. As in Keras they count nevertheless,
        unless there are sample weights or a mask. By default the label that the loss of the output ignores.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SparseCategoricalCrossentropy()
    >>> metric.update_state([1], [[0.5, 0.5]])
    >>> round(metric.result(), 4)
    0.6931
    """

    kind = "sparse_categorical_crossentropy"
    sparse = True

    def __init__(self, name: str | None = None, *, from_logits: bool = False, ignore_class: int | None = None) -> None:
        super().__init__(name)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.ignore_class = None if ignore_class is None else check.integer("ignore_class", ignore_class)

    def attributes(self) -> dict[str, Any]:
        ignored = {} if self.ignore_class is None else {"ignore_class": self.ignore_class}
        return {"from_logits": self.from_logits, **ignored}

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        return losses.SparseCategoricalCrossentropy(ignore_class=self.ignore_class).target(
            argument, value, output, dtype
        )
