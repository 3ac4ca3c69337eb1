"""What estimators predict: numbers or classes, as users give them and as models do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from rnncore._data import Array


class Numbers:
    """Targets (N,) or (N, K) of a regression."""

    activation = None
    binary = False

    def __init__(self, y: Array) -> None:
        if y.ndim > 2:
            raise ValueError(f"y must have shape (N,) or (N, K), got {y.shape}")
        self.single = y.ndim == 1
        self.units = 1 if self.single else y.shape[1]

    def encoded(self, y: Array) -> Array:
        """The targets (N, K) of the model."""
        targets = y[:, None] if y.ndim == 1 else y
        if y.ndim > 2 or targets.shape[1] != self.units:
            raise ValueError(f"y must have {self.units} outputs as before, got shape {y.shape}")
        return targets

    def decoded(self, outputs: Array) -> Array:
        """What the outputs (N, K) of the model predict."""
        return outputs[:, 0] if self.single else outputs


class Classes:
    """Targets of a classification: labels (N,) of any type, or sets of labels as zeros and ones (N, L)."""

    def __init__(self, y: Any, classes: Any = None) -> None:
        y = labels(y)
        self.several = y.ndim == 2
        if classes is not None:
            self.classes = np.unique(np.asarray(classes))
        else:
            self.classes = np.arange(y.shape[1]) if self.several else np.unique(y)
        self.units = len(self.classes)
        self.binary = self.units == 2 and not self.several
        self.activation = "sigmoid" if self.several else "softmax"
        self.loss = "binary_crossentropy" if self.several else "sparse_categorical_crossentropy"

    def encoded(self, y: Any) -> Array:
        """The numbers (N,) of the labels, or the zeros and ones (N, L)."""
        given = labels(y)
        if self.several:
            if given.shape != (len(given), self.units):
                raise ValueError(f"y must hold zeros and ones for {self.units} labels as before, got {given.shape}")
            return given
        if given.ndim == 2:
            raise ValueError(f"y must hold one label for each row as before, got shape {given.shape}")
        numbers = np.searchsorted(self.classes, given).clip(max=self.units - 1)
        if (unknown := self.classes[numbers] != given).any():
            raise ValueError(f"y must hold labels of {self.classes}, got {given[unknown][0]!r}")
        return np.asarray(numbers)

    def probabilities(self, outputs: npt.NDArray[np.float64], temperature: float = 1.0) -> npt.NDArray[np.float64]:
        """Those (N, K) of the classes, which add up to 1, or those (N, L) of the labels."""
        if temperature == 1.0:
            return outputs if self.several else np.asarray(outputs / outputs.sum(axis=1, keepdims=True))
        if self.several:
            least = np.finfo(np.float32).epsneg  # what a sigmoid of float32 tells from 1
            return np.asarray(expit(logit(outputs.clip(least, 1 - least)) / temperature))
        with np.errstate(divide="ignore"):
            return np.asarray(softmax(np.log(outputs) / temperature, axis=1))

    def temperature(self, outputs: npt.NDArray[np.float64], encoded: Array, weights: Array | None) -> float:
        """The one at which the cross-entropy of these targets is least, from 1/20 to 20."""

        def loss(logarithm: float) -> float:
            found = self.probabilities(outputs, np.exp(logarithm))
            right = np.where(encoded, found, 1 - found) if self.several else found[np.arange(len(found)), encoded]
            losses = -np.log(np.maximum(right, np.finfo(right.dtype).tiny))
            return float(np.average(losses.reshape(len(found), -1).mean(axis=1), weights=weights))

        limit = np.log(20)
        return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x))

    def decoded(self, outputs: Array) -> Array:
        """The labels that the outputs of the model predict."""
        if self.several:
            return np.asarray(outputs > 0.5, int)
        return np.asarray(self.classes[outputs.argmax(axis=1)])

    def weights(self, class_weight: Any, numbers: Array) -> Array:
        """The weights of rows by their classes."""
        if self.several:
            raise ValueError("class_weight must be None where a row has several labels: give sample_weight")
        return np.asarray(compute_sample_weight(class_weight, self.classes[numbers]))


def labels(y: Any) -> Array:
    """Labels (N,), or zeros and ones (N, L); ValueError for other targets."""
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y")
    if kind == "multilabel-indicator":
        return np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    if kind == "multiclass-multioutput":
        raise ValueError("y must hold one label for each row, or zeros and ones for each label, got several classes")
    return np.asarray(column_or_1d(y, warn=True))
