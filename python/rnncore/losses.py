"""What training minimises. Each loss describes itself to the executors and can be called on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy.typing as npt

from rnncore import _configurable as configurable
from rnncore import _validation as check
from rnncore import data, program
from rnncore.data import Array
from rnncore.reference.losses import LOSSES, weighted_loss

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "deserialize",
    "get",
    "serialize",
]

LossFunction = Callable[[Array, Array], tuple[Any, npt.ArrayLike]]


class Loss(configurable.Configurable):
    """Base of the losses: one value per position (N, ...), averaged over the batch.

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "mean"}, default "sum_over_batch_size"
        Two names for one thing: Σ w·l / number of positions, with sample weights w (1 by default).
    name : str, optional

    Raises
    ------
    ValueError
        For an unknown or unsupported `reduction`.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.get("mse")([[0.0, 2.0]], [[1.0, 0.0]])
    2.5
    """

    kind: ClassVar[str]
    sparse: ClassVar[bool] = False  # targets are class ids, without the last axis of the output
    probabilities: ClassVar[bool] = False  # targets lie in [0, 1]

    def __init__(self, *, reduction: str = "sum_over_batch_size", name: str | None = None) -> None:
        check.lookup("reduction", reduction, {"sum_over_batch_size": None, "mean": None})
        self.reduction = reduction
        self.name = name if name is not None else self.kind

    def attributes(self) -> dict[str, Any]:
        """What the executors need to know besides the kind."""
        return {}

    def describe(self, output: int = 0, weight: float = 1.0) -> program.Loss:
        """Describe this loss on output number `output`, as the executors read it."""
        return program.Loss(self.kind, output, weight, self.attributes())

    def __call__(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """The loss of a batch.

        Parameters
        ----------
        y_true : array_like, shape (N, ..., U), or (N, ...) of class ids for a sparse loss
        y_pred : array_like, shape (N, ..., U)
        sample_weight : array_like, shape (N,) or (N, ...), optional

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If the shapes or types do not fit; labels out of range.
        """
        output = data.floating("y_pred", y_pred)
        target = data.target(
            "y_true", y_true, output.shape, output.dtype, sparse=self.sparse, probabilities=self.probabilities
        )
        value, gradient = LOSSES[self.kind](target, output, **self.attributes())
        weight = None
        if sample_weight is not None:
            weight = data.sample_weight("sample_weight", sample_weight, value.shape, output.dtype)
        return weighted_loss(value, gradient, weight)[0]


class MeanSquaredError(Loss):
    """The mean of (y_pred − y_true)² over the last axis.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.MeanSquaredError()([[0.0], [1.0]], [[1.0], [1.0]])
    0.5
    """

    kind = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """The mean of |y_pred − y_true| over the last axis.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.MeanAbsoluteError()([[0.0], [1.0]], [[3.0], [1.0]])
    1.5
    """

    kind = "mean_absolute_error"


class Huber(Loss):
    """Half the squared error up to `delta`, linear beyond; the mean over the last axis.

    Parameters
    ----------
    delta : float, default 1.0
        Where the loss turns linear; above 0.

    References
    ----------
    P. Huber, "Robust estimation of a location parameter", Ann. Math. Stat. 35 (1964).

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.Huber(delta=1.0)([[0.0], [0.0]], [[1.0], [3.0]])
    1.5
    """

    kind = "huber"

    def __init__(self, delta: float = 1.0, *, reduction: str = "sum_over_batch_size", name: str | None = None) -> None:
        super().__init__(reduction=reduction, name=name)
        self.delta = check.number("delta", delta, low=0.0)
        if self.delta == 0:
            raise ValueError("delta must be above 0, got 0")

    def attributes(self) -> dict[str, Any]:
        return {"delta": self.delta}


class _Crossentropy(Loss):
    probabilities = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.label_smoothing = check.number("label_smoothing", label_smoothing, low=0.0, high=1.0)

    def attributes(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class BinaryCrossentropy(_Crossentropy):
    """Cross-entropy of independent yes/no outputs; the mean over the last axis.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's output is a logit; otherwise it is a probability, kept 1e-7 away from 0 and 1.
    label_smoothing : float in [0, 1], default 0.0
        How far the targets are moved towards 0.5.

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]]), 4)
    0.6931
    """

    kind = "binary_crossentropy"


class CategoricalCrossentropy(_Crossentropy):
    """Cross-entropy between classes; targets are one-hot or probabilities (N, ..., classes).

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's output goes through a softmax here; otherwise it holds probabilities.
    label_smoothing : float in [0, 1], default 0.0
        How far the targets are moved towards 1 / classes.

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    kind = "categorical_crossentropy"


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy between classes; targets are class ids (N, ...).

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's output goes through a softmax here; otherwise it holds probabilities.

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    kind = "sparse_categorical_crossentropy"
    sparse = True

    def __init__(
        self, from_logits: bool = False, *, reduction: str = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.from_logits = check.boolean("from_logits", from_logits)

    def attributes(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits}


_CLASSES: tuple[type[Loss], ...] = (
    MeanSquaredError,
    MeanAbsoluteError,
    Huber,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)

_TABLE: dict[str, type[Loss]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{cls.kind: cls for cls in _CLASSES},
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    "cce": CategoricalCrossentropy,
}


def get(identifier: Any) -> Loss:
    """Find a loss by name, class or description; a loss stays itself.

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
    return configurable.find("loss", identifier, Loss, _TABLE)


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
