"""What all metrics share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rnncore import _configurable as configurable
from rnncore import _data as data
from rnncore import _validation as check
from rnncore import program
from rnncore._data import Array
from rnncore._keras_names import METRIC, PointsElsewhere
from rnncore._naming import snake_case
from rnncore._overrides import NoIgnoredOverrides, is_users
from rnncore.losses import Loss
from rnncore.program import Shape
from rnncore.reference.metrics import state_increment

Direction = Literal["min", "max"] | None


class Metric(NoIgnoredOverrides, PointsElsewhere, configurable.Configurable, registry="metric"):
    """Base of the metrics: by default the weighted mean of one value per position.

    A metric is a state, float64 numbers to which each batch adds, and a value computed from it. Your own metric
    is a function (`MeanMetricWrapper`), or a class with `state_size`, `increment` and `compute`, and a `direction`,
    "min" or "max", for callbacks with `mode="auto"`. Such a metric is computed in Python: `fit` calls it after each
    batch, and computes the outputs of the batch once more for it.

    Parameters
    ----------
    name : str, optional
        The key in logs and `History`; by default the class name in snake case.
    dtype, axis
        As in Keras, where they say what holds here: `dtype` may be None, "float32" or "float64" (states are float64),
        and `axis`, that of the classes, -1.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.BinaryAccuracy()
    >>> metric.update_state([[1], [0], [1]], [[0.9], [0.2], [0.4]])
    >>> round(metric.result(), 4)
    0.6667
    >>> metric.reset_state()
    >>> metric.result()
    0.0
    """

    _elsewhere = METRIC
    _ignored = frozenset(
        {
            "__call__",
            "call",
            "merge_state",
            "reset_state",
            "reset_states",
            "result",
            "stateless_reset_state",
            "stateless_result",
            "stateless_update_state",
            "update_state",
        }
    )
    _instead = (
        "fit and evaluate add up what increment(y_true, y_pred, sample_weight) gives for each batch, state_size()"
        " numbers, and log compute(state): define these, or give compile a function of (y_true, y_pred)"
    )

    kind: ClassVar[str] = ""  # what the executors call it; empty for a metric that they do not know
    sparse: ClassVar[bool | None] = False  # targets are class ids, without the last axis of the output; None: any
    _called: ClassVar[str] = ""  # its name by default; empty for that of the class in snake case
    direction: Direction = None  # which way is better; None where nobody can tell
    _keras_arguments: ClassVar[Mapping[str, configurable.Accepts]] = {
        "dtype": configurable.only(None, "float32", "float64"),
        "axis": configurable.only(-1),
    }
    measures_outputs: ClassVar[bool] = True  # it compares targets and outputs, so that `compile` may have it

    def __init__(self, name: str | None = None) -> None:
        self.name = self._called or snake_case(type(self).__name__) if name is None else check.name("name", name)

    @property
    def native(self) -> bool:
        """Whether executors compute it; otherwise `increment` does, batch by batch, as when it is the user's."""
        return bool(self.kind) and not any(
            name in vars(self) or is_users(type(self), name) for name in ("increment", "state_size")
        )

    def attributes(self) -> dict[str, Any]:
        """What the executors need to know besides the kind."""
        return self._own_arguments()

    def describe(self, output: int = 0, weighted: bool = False) -> program.Metric:
        """Describe this metric on output number `output`, as the executors read it."""
        return program.Metric(self.kind, output, weighted, self.attributes())

    def state_size(self, units: int = 1) -> int:
        """How many numbers the state has, for an output (N, ..., units)."""
        return self.describe().state_size() if self.native else 2

    def compute(self, state: Array) -> float | Array:
        """The value that a state stands for; 0 before any sample."""
        total, weight = state
        return float(total / weight) if weight else 0.0

    @property
    def state(self) -> Array:
        """What `update_state` has gathered, float64."""
        if not hasattr(self, "_state"):
            self._state = np.zeros(self.state_size())
        return self._state

    def update_state(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        y_true : array_like, shape (N, ..., U), or (N, ...) of class ids for a sparse metric
        y_pred : array_like, shape (N, ..., U)
        sample_weight : array_like, shape (N,) or (N, ...), optional

        Raises
        ------
        TypeError, ValueError
            If the shapes or types do not fit; labels out of range.
        """
        increment = self.increment(y_true, y_pred, sample_weight)
        if self.state.shape != increment.shape and not self.state.any():
            self._state = np.zeros(increment.shape)  # now that the number of units is known
        if self.state.shape != increment.shape:
            raise ValueError(f"y_pred must have as many units as before, got shape {np.shape(y_pred)}")
        self.state[:] += increment

    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state."""
        self._require_kind()
        return state_increment(self.describe(), *self._checked(y_true, y_pred, sample_weight))

    def _checked(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None
    ) -> tuple[Array, Array, Array | None]:
        """Target, output and weight as arrays that fit."""
        output = data.floating("y_pred", y_pred)
        target = self.target("y_true", y_true, output.shape, output.dtype)
        weight = None
        if sample_weight is not None:
            weight = data.sample_weight("sample_weight", sample_weight, output.shape[:-1] or output.shape, output.dtype)
        return target, output, weight

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        """Targets for an output of this shape, checked."""
        return data.target(argument, value, output, dtype, sparse=bool(self.sparse))

    def reset_state(self) -> None:
        """Forget all batches."""
        self.state[:] = 0

    def result(self) -> float | Array:
        """The value over all batches so far."""
        return self.compute(self.state)


class Error(Metric, registered=False):
    """Base of the metrics that are the mean of the loss `of`, and are found by its names: less is better."""

    direction: Direction = "min"

    def __init_subclass__(cls, *, of: type[Loss] | None = None, aliases: Sequence[str] = (), **options: Any) -> None:
        names = [] if of is None else [name for name, loss in of._registry.items() if loss is of][1:]
        super().__init_subclass__(aliases=(*names, *aliases), **options)
        if of is not None:
            cls.kind, cls.sparse = of.kind, of.sparse
