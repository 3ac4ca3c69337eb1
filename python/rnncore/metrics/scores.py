"""Scores of several outputs at once, from sums over all samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._data import Array
from rnncore._quiet import quiet
from rnncore.metrics.base import Metric

__all__ = ["F1Score", "FBetaScore", "R2Score"]

EPSILON = 1e-7  # Keras's, beside divisors


class _Sums(Metric):
    """Four sums over all positions for each output, after some numbers for all of them: a state (head + 4·U,)."""

    direction = "max"
    head = 0

    def state_size(self, units: int = 1) -> int:
        return self.head + 4 * units

    def _positions(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None
    ) -> tuple[Array, Array, Array]:
        """Targets and outputs (positions, U) and weights (positions, 1), all float64."""
        target, output, weight = self._checked(y_true, y_pred, sample_weight)
        if weight is None:
            weight = np.ones(output.shape[:-1])
        inner = output.shape[:-1]
        weight = np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(inner) - weight.ndim)), inner)
        units = output.shape[-1]
        return (
            target.reshape(-1, units).astype(np.float64),
            output.reshape(-1, units).astype(np.float64),
            weight.reshape(-1, 1).astype(np.float64),
        )


class R2Score(_Sums):
    """The share of the targets' variance that the outputs explain: 1 − Σ(y_true − y_pred)² / Σ(y_true − mean)².

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}, default "uniform_average"
        What becomes of the scores of several outputs: their mean, their mean weighted by variance, or an array (U,).
    num_regressors : int, default 0
        Above 0 the adjusted score for so many regressors; the plain one where there are too few samples for it.
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.R2Score()
    >>> metric.update_state([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])
    >>> round(metric.result(), 4)
    0.5714
    """

    _called = "r2_score"
    head = 1

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if class_aggregation is not None:
            known = ("uniform_average", "variance_weighted_average")
            check.lookup("class_aggregation", class_aggregation, dict.fromkeys(known))
        self.class_aggregation = class_aggregation
        self.num_regressors = check.integer("num_regressors", num_regressors, low=0)

    @quiet
    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state."""
        target, output, weight = self._positions(y_true, y_pred, sample_weight)
        sums = [weight * target, weight * target**2, weight * (target - output) ** 2, weight * np.ones_like(target)]
        return np.concatenate([[target.size], *(part.sum(axis=0) for part in sums)])

    @quiet
    def compute(self, state: Array) -> float | Array:
        total, squares, residual, count = state[1:].reshape(4, -1)
        samples = state[0]
        if not samples:
            return 0.0
        mean = np.divide(total, count, where=count > 0, out=np.zeros_like(total))
        variance = squares - total * mean
        share = np.divide(residual, variance, where=variance != 0, out=np.where(residual == 0, np.nan, 1.0))
        scores = 1 - share
        if self.class_aggregation is None:
            score = scores
        elif self.class_aggregation == "uniform_average":
            score = scores.mean()
        else:
            score = np.sum(variance * scores) / np.sum(variance)
        if 0 < self.num_regressors < samples - 1:
            score = 1 - (1 - score) * (samples - 1) / (samples - self.num_regressors - 1)
        return score if self.class_aggregation is None else float(score)


class FBetaScore(_Sums, aliases=("fbeta_score",)):
    """The harmonic mean of precision and recall, where recall counts beta² times as much.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}, default None
        An array (U,) with the score of each class; the score of the counts of all classes together; the mean of the
        classes' scores; or their mean weighted by how often a class occurs.
    beta : float above 0, default 1.0
    threshold : float in (0, 1], optional
        Outputs above it mean yes; by default the largest output does.
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.FBetaScore(beta=2.0, threshold=0.5)
    >>> metric.update_state([[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
    >>> metric.result().round(3)
    array([0.385, 0.909, 0.833])
    """

    _called = "fbeta_score"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if average is not None:
            check.lookup("average", average, dict.fromkeys(("micro", "macro", "weighted")))
        self.average = average
        self.beta = check.number("beta", beta, low=0.0)
        self.threshold = None if threshold is None else check.number("threshold", threshold, low=0.0, high=1.0)
        for argument, value in (("beta", self.beta), ("threshold", self.threshold)):
            if value == 0:
                raise ValueError(f"{argument} must be above 0, got 0")

    @quiet
    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state."""
        target, output, weight = self._positions(y_true, y_pred, sample_weight)
        if self.threshold is None:
            chosen = (output >= output.max(axis=-1, keepdims=True)) & (np.abs(output) > 1e-9)
        else:
            chosen = output > self.threshold
        sums = [weight * chosen * target, weight * chosen * (1 - target), weight * ~chosen * target, weight * target]
        return np.concatenate([part.sum(axis=0) for part in sums])

    @quiet
    def compute(self, state: Array) -> float | Array:
        sums = state.reshape(4, -1)
        if self.average == "micro":
            sums = sums.sum(axis=1, keepdims=True)
        right, false, missed, support = sums
        precision = right / (right + false + EPSILON)
        recall = right / (right + missed + EPSILON)
        scores: Array = (1 + self.beta**2) * precision * recall / (self.beta**2 * precision + recall + EPSILON)
        if self.average is None:
            return scores
        if self.average == "weighted":
            return float(np.sum(scores * support / (support.sum() + EPSILON)))
        return float(scores.mean())


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: `FBetaScore` with beta 1.

    Parameters
    ----------
    average, threshold, name
        As for `FBetaScore`.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.F1Score(average="macro", threshold=0.5)
    >>> metric.update_state([[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
    >>> round(metric.result(), 4)
    0.6556
    """

    _called = "f1_score"

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str | None = None) -> None:
        super().__init__(average, 1.0, threshold, name)
