"""An estimator around a model of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.metaestimators import available_if

from rnncore import _validation as check
from rnncore import losses
from rnncore._data import Array
from rnncore.activations import sigmoid, softmax
from rnncore.models import Model
from rnncore.sklearn.sequences import Sequences
from rnncore.sklearn.training import Classifying

__all__ = ["SequenceEstimator"]

GIVEN = ("n_features", "n_outputs")
TASKS = {"classification": "classifier", "regression": "regressor"}


def _classifies(estimator: Any) -> bool:
    return str(estimator.task) != "regression"


class SequenceEstimator(Classifying, BaseEstimator):
    """Make an estimator of any model that reads one input and has one output.

    Parameters
    ----------
    build_fn : callable
        Returns a model, compiled with a loss. It is called by each `fit` with those of these arguments that it takes:
        `n_features`, the number of features of a step; `n_outputs`, the number of classes, or of columns of y; and
        its other arguments, which are parameters of the estimator. For a classification of K classes the output is
        (N, K), or (N, 1) for the second class of two: probabilities, or logits if the loss has `from_logits=True`.
    task : {"classification", "regression"}, default "classification"
    epochs, batch_size, early_stopping, validation_fraction, n_iter_no_change, tol, layout, callbacks
        As for `RNNClassifier`.
    class_weight, calibrate
        As for `RNNClassifier`, in a classification.
    random_state, warm_start, verbose, n_jobs
        As for `RNNClassifier`.
    **build_arguments
        Arguments of `build_fn`, which searches and `set_params` find by their names.

    Attributes
    ----------
    classes_, temperature_, model_, history_, loss_curve_, n_iter_, n_features_in_, feature_names_in_
        As for `RNNClassifier`.

    Raises
    ------
    TypeError, ValueError
        From `fit`, for a parameter that does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> from rnncore.sklearn import SequenceEstimator
    >>> def build(n_features, n_outputs, filters=8):
    ...     chain = [layers.Input((None, n_features)), layers.Conv1D(filters, 3), layers.GlobalMaxPooling1D()]
    ...     model = models.Sequential([*chain, layers.Dense(n_outputs, "softmax")])
    ...     model.compile("adam", "sparse_categorical_crossentropy")
    ...     return model
    >>> X = np.random.default_rng(0).normal(size=(100, 12, 1))
    >>> y = X.max(axis=(1, 2)) > 1.6
    >>> estimator = SequenceEstimator(build, epochs=60, batch_size=8, random_state=0, filters=16).fit(X, y)
    >>> estimator.score(X, y) > 0.8, estimator.get_params()["filters"]
    (True, 16)
    """

    def __init__(
        self,
        build_fn: Callable[..., Model],
        task: str = "classification",
        *,
        epochs: int = 100,
        batch_size: int = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: Any = None,
        calibrate: bool = False,
        layout: str = "NTC",
        callbacks: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        n_jobs: int | None = None,
        **build_arguments: Any,
    ) -> None:
        self.build_fn: Any = build_fn
        self.task = task
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.calibrate = calibrate
        self.layout = layout
        self.callbacks = callbacks
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs
        own = self._build_parameters()
        for name, value in build_arguments.items():
            if name not in own:
                raise TypeError(f"{name} is an argument neither of SequenceEstimator nor of build_fn")
            setattr(self, name, value)

    def _build_parameters(self) -> dict[str, Any]:
        """The arguments that `build_fn` takes of the estimator, with their defaults."""
        taken = inspect.signature(self.build_fn).parameters if callable(self.build_fn) else {}
        return {name: parameter.default for name, parameter in taken.items() if name not in GIVEN}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, those of `build_fn` among them.

        Parameters
        ----------
        deep : bool, default True
            Whether parameters of parameters that are estimators are given too.

        Returns
        -------
        dict
        """
        found: dict[str, Any] = super().get_params(deep)
        values = {name: getattr(self, name, default) for name, default in self._build_parameters().items()}
        return found | {name: value for name, value in values.items() if value is not inspect.Parameter.empty}

    def _new_model(self, features: int, targets: Any) -> Model:
        check.lookup("task", self.task, TASKS)
        for name, off in (("class_weight", None), ("calibrate", False)):
            if is_regressor(self) and getattr(self, name) is not off:
                raise ValueError(f"{name} must be {off} for a regression, got {getattr(self, name)!r}")
        if not callable(self.build_fn):
            raise TypeError(f"build_fn must be a function that returns a Model, got {self.build_fn!r}")
        taken, own = inspect.signature(self.build_fn).parameters, self.get_params(deep=False)
        given = own | {"n_features": features, "n_outputs": targets.units}
        model = self.build_fn(**{name: given[name] for name in taken if name in given})
        if not isinstance(model, Model):
            raise TypeError(f"build_fn must return a Model, got {type(model).__name__}")
        if not model.built:
            model.build((None, None, features))
        shape, units = model.output_shape, targets.units
        if shape != (None, units) and not (shape == (None, 1) and targets.binary):
            raise ValueError(f"build_fn must return a model with an output of shape (None, {units}), got {shape}")
        return model

    def _for_model(self, model: Model, encoded: Array) -> Array:
        """Classes as the model's loss takes them."""
        if is_regressor(self) or losses.get(model.loss).sparse or encoded.ndim == 2:
            return encoded
        units = model.output_shape[-1]
        return encoded if units == 1 else np.eye(units)[encoded]

    def _predicted(self, sequences: Sequences) -> npt.NDArray[np.float64]:
        """Of a classification the probabilities of all classes."""
        found = super()._predicted(sequences)
        if is_regressor(self):
            return found
        single = self._targets.binary and found.shape[1] == 1
        if getattr(losses.get(self.model_.loss), "from_logits", False):
            found = sigmoid(found) if single or self._targets.several else softmax(found)
        return np.hstack([1 - found, found]) if single else found

    predict_proba = available_if(_classifies)(Classifying.predict_proba)
    predict_log_proba = available_if(_classifies)(Classifying.predict_log_proba)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = TASKS["classification" if _classifies(self) else "regression"]
        tags.target_tags.required = True
        if _classifies(self):
            tags.classifier_tags = ClassifierTags()
        else:
            tags.regressor_tags = RegressorTags()
            tags.target_tags.multi_output = True
        return tags
