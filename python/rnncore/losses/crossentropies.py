"""Cross-entropies and what comes of them."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore._data import Array
from rnncore.losses.base import Loss
from rnncore.losses.functions import function_of
from rnncore.program import Shape

__all__ = [
    "BCE",
    "KLD",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "KLDivergence",
    "SparseCategoricalCrossentropy",
    "bce",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "cce",
    "kl_divergence",
    "kld",
    "kullback_leibler_divergence",
    "sparse_categorical_crossentropy",
]


class _Crossentropy(Loss):
    probabilities = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.label_smoothing = check.number("label_smoothing", label_smoothing, low=0.0, high=1.0)


class BinaryCrossentropy(_Crossentropy, aliases=("bce", "BCE")):
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


binary_crossentropy = bce = BCE = function_of(BinaryCrossentropy)


class CategoricalCrossentropy(_Crossentropy, aliases=("cce",)):
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


categorical_crossentropy = cce = function_of(CategoricalCrossentropy)


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy between classes; targets are class ids (N, ...).

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's output goes through a softmax here; otherwise it holds probabilities.
    ignore_class : int, optional
        Positions with this label, which may be none of the classes, do not count.

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    sparse = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.ignore_class = None if ignore_class is None else check.integer("ignore_class", ignore_class)

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        if self.ignore_class is None:
            return super().target(argument, value, output, dtype)
        given = data.whole(argument, data.matched(argument, data.real(argument, value), output[:-1]), -(2**31), None)
        data.whole(argument, given[given != self.ignore_class].reshape(-1), 0, output[-1])
        return given

    def counted(self, target: Array) -> Array | None:
        return None if self.ignore_class is None else target != self.ignore_class


sparse_categorical_crossentropy = function_of(SparseCategoricalCrossentropy)


class _Focal(_Crossentropy):
    def __init__(
        self,
        alpha: float,
        gamma: float,
        from_logits: bool,
        label_smoothing: float,
        reduction: str | None,
        name: str | None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction=reduction, name=name)
        self.alpha = check.number("alpha", alpha)
        self.gamma = check.number("gamma", gamma, low=0.0)


class BinaryFocalCrossentropy(_Focal):
    """Binary cross-entropy times (1 − probability of the target)^gamma: what is right already counts less.

    Parameters
    ----------
    apply_class_balancing : bool, default False
        Whether a target of 1 weighs `alpha` and one of 0 weighs 1 − `alpha`.
    alpha : float, default 0.25
    gamma : float, default 2.0
    from_logits : bool, default False
    label_smoothing : float in [0, 1], default 0.0
        How far the targets are moved towards 0.5.

    References
    ----------
    T.-Y. Lin et al., "Focal loss for dense object detection", ICCV (2017).

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.BinaryFocalCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]]), 4)
    0.1733
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(alpha, gamma, from_logits, label_smoothing, reduction, name)
        self.apply_class_balancing = check.boolean("apply_class_balancing", apply_class_balancing)


binary_focal_crossentropy = function_of(BinaryFocalCrossentropy)


class CategoricalFocalCrossentropy(_Focal):
    """Categorical cross-entropy whose terms are multiplied by alpha · (1 − probability)^gamma.

    Parameters
    ----------
    alpha : float, default 0.25
    gamma : float, default 2.0
    from_logits : bool, default False
    label_smoothing : float in [0, 1], default 0.0
        How far the targets are moved towards 1 / classes.

    References
    ----------
    T.-Y. Lin et al., "Focal loss for dense object detection", ICCV (2017).

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.0433
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(alpha, gamma, from_logits, label_smoothing, reduction, name)


categorical_focal_crossentropy = function_of(CategoricalFocalCrossentropy)


class KLDivergence(Loss, aliases=("kld", "KLD", "kullback_leibler_divergence")):
    """The divergence Σ y_true · log(y_true / y_pred) of two distributions over the last axis, both at least 1e-7.

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    probabilities = True


kl_divergence = kld = KLD = kullback_leibler_divergence = function_of(KLDivergence)
