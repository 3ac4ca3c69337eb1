"""What all estimators do: read sequences, train a model, predict."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import effective_n_jobs
from sklearn.base import is_regressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from threadpoolctl import threadpool_limits

from rnncore import _validation as check
from rnncore import seeds
from rnncore._data import Array
from rnncore.callbacks import Callback, EarlyStopping
from rnncore.models import Model
from rnncore.policies import POLICIES
from rnncore.sklearn.sequences import Sequences, read
from rnncore.sklearn.targets import Classes, Numbers

PREDICTED = 256  # rows at a time, if batches are smaller


class Trained:
    """Methods of estimators, which have a constructor of their own and say which model they train."""

    epochs: Any
    batch_size: Any
    early_stopping: Any
    validation_fraction: Any
    n_iter_no_change: Any
    tol: Any
    class_weight: Any
    calibrate: Any  # of classifiers, as class_weight
    callbacks: Any
    random_state: Any
    warm_start: Any
    verbose: Any
    n_jobs: Any

    _by_columns: bool
    _targets: Any
    n_features_in_: int
    model_: Model
    classes_: Array
    temperature_: float
    history_: dict[str, list[float]]

    def _new_model(self, features: int, targets: Any) -> Model:
        """A compiled model for sequences of so many features."""
        raise NotImplementedError

    def _for_model(self, model: Model, encoded: Array) -> Array:
        """The targets that the model takes."""
        return encoded

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None, lengths: Any = None) -> Any:
        """Train.

        Parameters
        ----------
        X : array_like, shape (N, T, C) or as `layout` says, or list of N arrays (T_n, C) or (T_n,)
            Sequences may end in steps of NaN, which are padding.
        y : array_like, shape (N,) or (N, K)
        sample_weight : array_like, shape (N,), optional
            Weights of the sequences; those of weight 0 are left out.
        lengths : array_like of int, shape (N,), optional
            How many leading steps of each sequence are valid.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For a parameter or an argument that does not fit.
        """
        epochs = check.positive_int("epochs", self.epochs)
        go_on = check.boolean("warm_start", self.warm_start) and hasattr(self, "model_")
        stop_early = check.boolean("early_stopping", self.early_stopping)
        return self._train(X, y, sample_weight, lengths, epochs, go_on=go_on, stop_early=stop_early)

    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        lengths: Any,
        epochs: int,
        *,
        go_on: bool,
        stop_early: bool = False,
        classes: Any = None,
    ) -> Any:
        numeric = is_regressor(self)
        calibrate = not numeric and check.boolean("calibrate", self.calibrate)
        sequences, y = read(self, X, y, lengths=lengths, reset=not go_on, multi_output=True, y_numeric=numeric)
        targets: Any = self._targets if go_on else Numbers(y) if numeric else Classes(y, classes)
        encoded = targets.encoded(y)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, sequences.values, dtype=np.float64)
        rows = np.arange(len(encoded)) if weights is None else np.flatnonzero(weights)
        if not rows.size:
            raise ValueError("sample_weight must have a weight that is not 0")
        if not go_on:
            state = check_random_state(self.random_state)
            seed, self._seed_of_split = (int(state.randint(2**31 - 1)) for _ in range(2))
            self._seeds = np.random.default_rng(seed)
        held_out = rows[:0]
        if stop_early or calibrate:
            rows, held_out = self._split(rows, None if numeric or targets.several else encoded)
        with threads(self.n_jobs), seeds.drawn_from(self._seeds):
            model = self.model_ if go_on else self._new_model(sequences.values.shape[2], targets)
            wanted = self._for_model(model, encoded)

            def chosen(rows: Array) -> tuple[Any, ...]:
                if len(rows) == len(encoded):  # which they are in order then: no copy
                    return fed(model, sequences), wanted, weights, sequences.lengths
                part = sequences[rows]
                return fed(model, part), wanted[rows], None if weights is None else weights[rows], part.lengths

            x, y, of_rows, steps = chosen(rows)
            if not numeric and self.class_weight is not None:
                by_class = targets.weights(self.class_weight, encoded[rows])
                of_rows = by_class if of_rows is None else of_rows * by_class
            history = model.fit(
                x,
                y,
                batch_size=self.batch_size,
                epochs=epochs,
                verbose=int(self.verbose),
                callbacks=self._watching(stop_early),
                validation_data=chosen(held_out) if stop_early else None,
                sample_weight=of_rows,
                lengths=steps,
            ).history
        before = self.history_ if go_on else {}
        self.history_ = {key: [*before.get(key, []), *values] for key, values in history.items()}
        self.model_, self._targets = model, targets
        if not numeric:
            self.classes_, self.temperature_ = targets.classes, 1.0
        if calibrate:
            made, of_rows = self._predicted(sequences[held_out]), None if weights is None else weights[held_out]
            self.temperature_ = targets.temperature(made, encoded[held_out], of_rows)
        return self

    def _split(self, rows: Array, strata: Array | None) -> tuple[Array, Array]:
        """Rows to train on, and rows to validate with."""
        part = check.number("validation_fraction", self.validation_fraction)
        if not 0 < part < 1:
            raise ValueError(f"validation_fraction must lie between 0 and 1, got {part}")
        strata = None if strata is None else strata[rows]
        kept, held_out = train_test_split(rows, test_size=part, random_state=self._seed_of_split, stratify=strata)
        return kept, held_out

    def _watching(self, stop_early: bool) -> list[Callback]:
        """Copies of the user's callbacks, and what stops early."""
        given = [] if self.callbacks is None else self.callbacks
        found = copy.deepcopy(list(given) if isinstance(given, (list, tuple)) else [given])
        if stop_early:
            found.append(EarlyStopping("val_loss", self.tol, self.n_iter_no_change, restore_best_weights=True))
        return found

    def _train_once(self, X: Any, y: Any, sample_weight: Any, lengths: Any, classes: Any = None) -> Any:
        for name in ("early_stopping", "calibrate"):
            if getattr(self, name, False):
                raise ValueError(f"partial_fit does not support {name}=True")
        return self._train(X, y, sample_weight, lengths, 1, go_on=hasattr(self, "model_"), classes=classes)

    @property
    def loss_curve_(self) -> list[float]:
        """The loss of each epoch while training."""
        return self.history_["loss"]

    @property
    def n_iter_(self) -> int:
        """Number of epochs of training."""
        return len(self.loss_curve_)

    def _outputs(self, X: Any, lengths: Any) -> npt.NDArray[np.float64]:
        """What the model gives for these sequences."""
        check_is_fitted(self)
        return self._predicted(read(self, X, lengths=lengths)[0])

    def _predicted(self, sequences: Sequences) -> npt.NDArray[np.float64]:
        size = max(PREDICTED, check.positive_int("batch_size", self.batch_size))
        with threads(self.n_jobs):
            made = self.model_.predict(fed(self.model_, sequences), size, 0, lengths=sequences.lengths)
        return np.asarray(made, np.float64)

    def predict(self, X: Any, lengths: Any = None) -> Array:
        """Predict the targets of sequences.

        Parameters
        ----------
        X, lengths
            As for `fit`.

        Returns
        -------
        ndarray, shape (N,) or (N, K) as y
        """
        outputs = self._outputs(X, lengths)
        return np.asarray(self._targets.decoded(outputs))

    def score(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None, lengths: Any = None) -> float:
        """Compute the accuracy, or R² in a regression.

        Parameters
        ----------
        X, y, sample_weight, lengths
            As for `fit`.

        Returns
        -------
        float
        """
        measure = r2_score if is_regressor(self) else accuracy_score
        return float(measure(y, self.predict(X, lengths), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.three_d_array = True
        return tags


class Classifying(Trained):
    """The methods of those that predict classes."""

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        lengths: Any = None,
    ) -> Any:
        """Train for one epoch on these sequences, from where training stopped.

        Parameters
        ----------
        X, y, sample_weight, lengths
            As for `fit`.
        classes : array_like, optional
            All labels that may ever come: needed in the first call.

        Returns
        -------
        self
        """
        if classes is None and not hasattr(self, "model_") and not is_regressor(self):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._train_once(X, y, sample_weight, lengths, classes)

    def predict_proba(self, X: Any, lengths: Any = None) -> npt.NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X, lengths
            As for `fit`.

        Returns
        -------
        ndarray, shape (N, K)
            In the order of `classes_`.
        """
        outputs = self._outputs(X, lengths)
        return np.asarray(self._targets.probabilities(outputs, self.temperature_))

    def predict_log_proba(self, X: Any, lengths: Any = None) -> npt.NDArray[np.float64]:
        """Predict the logarithms of the probabilities.

        Parameters
        ----------
        X, lengths
            As for `fit`.

        Returns
        -------
        ndarray, shape (N, K)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, lengths))


def fed(model: Model, sequences: Sequences) -> Array:
    """The values that the model reads."""
    return sequences.filled(POLICIES[model.dtype_policy].dtype)


@contextmanager
def threads(limit: int | None) -> Iterator[None]:
    """Let calls of this thread use so many threads at most; a negative number counts from all processors."""
    if limit is None:
        yield
        return
    with threadpool_limits(effective_n_jobs(limit), user_api="openmp"):
        yield
