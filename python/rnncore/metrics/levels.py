"""The best of one share of rights and wrongs that can be had at a given level of another, over all thresholds."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnncore import _validation as check
from rnncore._data import Array
from rnncore.metrics.confusion import Confusion, optional_class_id, ratio

__all__ = ["PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity"]


class _AtLevel(Confusion):
    _sections = """
    Parameters
    ----------
    LEVEL : float in [0, 1]
    num_thresholds : int, default 200
        Evenly spread from 0 to 1; a single one is 0.5.
    class_id : int, optional
        Look at this output only.
    name : str, optional
    """
    level: ClassVar[str]  # the name of the argument that must be reached

    def __init_subclass__(cls, **options: Any) -> None:
        cls._sections = cls._sections.replace("LEVEL", cls.level)
        super().__init_subclass__(**options)

    def _set(self, level: float, num_thresholds: int, class_id: int | None) -> None:
        setattr(self, self.level, check.number(self.level, level, low=0.0, high=1.0))
        self.num_thresholds = check.positive_int("num_thresholds", num_thresholds)
        self.class_id = optional_class_id(class_id)
        inner = np.arange(1, num_thresholds - 1) / max(num_thresholds - 1, 1)
        self.cuts = [0.5] if num_thresholds == 1 else [0.0, *inner.tolist(), 1.0]

    def shares(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        """What must reach the level, and what is wanted, (K,) each."""
        raise NotImplementedError

    def compute(self, state: Array) -> float:
        given, wanted = self.shares(*self.counts(state))
        return float(np.max(np.where(given >= getattr(self, self.level), wanted, 0.0)))


class SensitivityAtSpecificity(_AtLevel):
    """The best sensitivity at a threshold where the specificity is at least the given one; 0 if there is none.

    Sensitivity is the share of the positive targets, specificity that of the negative ones that are told right.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SensitivityAtSpecificity(0.5)
    >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
    >>> metric.result()
    0.5
    """

    level = "specificity"

    def __init__(
        self, specificity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self._set(specificity, num_thresholds, class_id)

    def shares(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return ratio(tn, tn + fp), ratio(tp, tp + fn)


class SpecificityAtSensitivity(_AtLevel):
    """The best specificity at a threshold where the sensitivity is at least the given one; 0 if there is none.

    Sensitivity is the share of the positive targets, specificity that of the negative ones that are told right.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SpecificityAtSensitivity(0.5)
    >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
    >>> round(metric.result(), 4)
    0.6667
    """

    level = "sensitivity"

    def __init__(
        self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self._set(sensitivity, num_thresholds, class_id)

    def shares(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return ratio(tp, tp + fn), ratio(tn, tn + fp)


class PrecisionAtRecall(_AtLevel):
    """The best precision at a threshold where the recall is at least the given one; 0 if there is none.

    Recall is the share of the positive targets that are found, precision that of the found ones that are positive.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.PrecisionAtRecall(0.5)
    >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
    >>> metric.result()
    0.5
    """

    level = "recall"

    def __init__(
        self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self._set(recall, num_thresholds, class_id)

    def shares(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return ratio(tp, tp + fn), ratio(tp, tp + fp)


class RecallAtPrecision(_AtLevel):
    """The best recall at a threshold where the precision is at least the given one; 0 if there is none.

    Recall is the share of the positive targets that are found, precision that of the found ones that are positive.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.RecallAtPrecision(0.5)
    >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
    >>> metric.result()
    1.0
    """

    level = "precision"

    def __init__(
        self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self._set(precision, num_thresholds, class_id)

    def shares(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return ratio(tp, tp + fp), ratio(tp, tp + fn)
