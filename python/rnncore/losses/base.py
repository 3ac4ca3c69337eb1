"""What all losses share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy.typing as npt

from rnncore import _configurable as configurable
from rnncore import _data as data
from rnncore import _validation as check
from rnncore import program
from rnncore._data import Array
from rnncore._naming import snake_case
from rnncore._overrides import NoIgnoredOverrides, is_own
from rnncore._quiet import quiet
from rnncore.program import Shape
from rnncore.reference.losses import LOSSES, REDUCTIONS, weighted_loss


class Loss(NoIgnoredOverrides, configurable.Configurable, registry="loss"):
    """Base of the losses: one value per position (N, ...), averaged over the batch.

    Parameters
    ----------
    reduction : str or None, default "sum_over_batch_size"
        What becomes of the values l with sample weights w (1 by default): "sum_over_batch_size", or "mean", is
        Σ w·l / number of positions; "sum" is Σ w·l; "mean_with_sample_weight" is Σ w·l / Σ w; "none", or None, leaves
        an array of w·l, which no model can be trained on.
    name : str, optional
    dtype, axis
        As in Keras, where they say what holds here: `dtype`, the model's precision, may be None, "float32" or
        "float64", and `axis`, that of the classes, -1.

    Raises
    ------
    ValueError
        For an unknown or unsupported `reduction`, or another `axis`.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.get("mse")([[0.0, 2.0]], [[1.0, 0.0]])
    2.5
    """

    _ignored = frozenset({"__call__", "call", "forward", "values"})
    _instead = (
        "the engine computes the losses there are by their kind; give compile a function"
        " loss(y_true, y_pred) -> (value, gradient)"
    )

    kind: ClassVar[str]  # what the executors call it: the name of the class in snake case
    sparse: ClassVar[bool] = False  # targets are class ids, without the last axis of the output
    probabilities: ClassVar[bool] = False  # targets lie in [0, 1]
    _keras_arguments: ClassVar[Mapping[str, configurable.Accepts]] = {
        "dtype": configurable.only(None, "float32", "float64"),
        "axis": configurable.only(-1),
    }

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if is_own(cls):
            cls.kind = snake_case(cls.__name__)

    def __init__(self, *, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction is not None:
            check.lookup("reduction", reduction, dict.fromkeys([*REDUCTIONS, "mean", "none"]))
        self._require_kind()
        self.reduction = reduction
        self.name = self.kind if name is None else check.name("name", name)

    def attributes(self) -> dict[str, Any]:
        """What the executors need to know besides the kind."""
        return self._own_arguments()

    def describe(self, output: int = 0, weight: float = 1.0) -> program.Loss:
        """Describe this loss on output number `output`, as the executors read it."""
        if self.reduction in (None, "none"):
            raise ValueError(f"loss {self.name!r} has no reduction, so that its values are no loss to train on")
        attributes = self.attributes()
        if self.reduction in ("sum", "mean_with_sample_weight"):
            attributes["reduction"] = self.reduction
        return program.Loss(self.kind, output, weight, attributes)

    def values(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Array:
        """The value of each position, (N, ...), without weights."""
        return self._evaluate(y_true, y_pred)[2]

    @quiet
    def _evaluate(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[Array, Array, Array, Array]:
        """Target, output, values and their gradients."""
        output = data.floating("y_pred", y_pred)
        target = self.target("y_true", y_true, output.shape, output.dtype)
        return (target, output, *LOSSES[self.kind](target, output, **self.attributes()))

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        """Targets for an output of this shape, checked."""
        return data.target(argument, value, output, dtype, sparse=self.sparse, probabilities=self.probabilities)

    def positions(self, target: Array) -> tuple[int, ...]:
        """The shape of the values, and of weights of positions."""
        return target.shape if self.sparse else target.shape[:-1]

    def counted(self, target: Array) -> Array | None:
        """Which positions count, by their target; None for all."""
        return None

    @quiet
    def __call__(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Any:
        """The loss of a batch.

        Parameters
        ----------
        y_true : array_like, shape (N, ..., U), or (N, ...) of class ids for a sparse loss
        y_pred : array_like, shape (N, ..., U)
        sample_weight : array_like, shape (N,) or (N, ...), optional

        Returns
        -------
        float, or ndarray (N, ...) without a reduction

        Raises
        ------
        TypeError, ValueError
            If the shapes or types do not fit; labels out of range.
        """
        target, output, value, gradient = self._evaluate(y_true, y_pred)
        weight = None
        if sample_weight is not None:
            weight = data.sample_weight("sample_weight", sample_weight, value.shape, output.dtype)
        if self.reduction in (None, "none"):
            return value if weight is None else value * weight.reshape(weight.shape + (1,) * (value.ndim - weight.ndim))
        return weighted_loss(value, gradient, weight, self.reduction or "", self.counted(target))[0]
