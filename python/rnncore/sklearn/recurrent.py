"""A classifier and a regressor that read sequences by recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from rnncore import _validation as check
from rnncore import layers, optimizers
from rnncore.models import Model, Sequential
from rnncore.sklearn.training import Classifying, Trained

__all__ = ["RNNClassifier", "RNNRegressor"]

CELLS: dict[str, Any] = {"gru": layers.GRU, "lstm": layers.LSTM, "simple_rnn": layers.SimpleRNN}


class Recurrent(Trained):
    """The model of those below: recurrent layers, and a dense one after the last step."""

    cell: Any
    units: Any
    layers: Any
    bidirectional: Any
    dropout: Any
    recurrent_dropout: Any
    optimizer: Any
    learning_rate: Any
    dtype_policy: Any

    def _new_model(self, features: int, targets: Any) -> Model:
        cell = check.lookup("cell", self.cell, CELLS)
        both = check.boolean("bidirectional", self.bidirectional)
        depth = check.positive_int("layers", self.layers)
        chain: list[Any] = [layers.Input((None, features))]
        for k in range(depth):
            layer = cell(
                self.units,
                return_sequences=k + 1 < depth,
                dropout=self.dropout if k else 0.0,
                recurrent_dropout=self.recurrent_dropout,
            )
            chain.append(layers.Bidirectional(layer) if both else layer)
        chain += [layers.Dropout(self.dropout), layers.Dense(targets.units, targets.activation)]
        model = Sequential(chain)
        model.compile(self._new_optimizer(), self._loss(targets), dtype_policy=self.dtype_policy)
        return model

    def _loss(self, targets: Any) -> Any:
        return targets.loss

    def _new_optimizer(self) -> optimizers.Optimizer:
        """An optimizer by name gets the learning rate; one that is an object lends its configuration alone."""
        optimizer = optimizers.get(self.optimizer)
        if isinstance(self.optimizer, optimizers.Optimizer):
            return optimizers.deserialize(optimizers.serialize(optimizer))
        optimizer.learning_rate = self.learning_rate
        return optimizer


class RNNClassifier(Classifying, Recurrent, ClassifierMixin, BaseEstimator):
    """Classify sequences by recurrent layers.

    The sequences go through the layers, the last step's output through a dense layer with as many units as there are
    classes; the loss is the cross-entropy.

    Parameters
    ----------
    cell : {"gru", "lstm", "simple_rnn"}, default "gru"
    units : int, default 32
        Of each recurrent layer.
    layers : int, default 1
        Number of recurrent layers.
    bidirectional : bool, default False
        Whether each layer also reads the sequences from their ends.
    dropout : float from 0 to below 1, default 0.0
        In training, the part of each recurrent layer's outputs that is set to zero, the same at all steps.
    recurrent_dropout : float from 0 to below 1, default 0.0
        The same for the state that a layer reads at its next step.
    optimizer : str or Optimizer, default "adam"
        An object of `rnncore.optimizers` brings a learning rate of its own; each fit begins with a copy of it.
    learning_rate : float or schedule, default 0.003
    epochs : int, default 100
    batch_size : int, default 32
    early_stopping : bool, default False
        Whether training ends when the loss on sequences held out for validation stops improving. The model then has the
        weights of its best epoch.
    validation_fraction : float between 0 and 1, default 0.1
        The part of the sequences held out, drawn at random and with the same part of each class.
    n_iter_no_change : int, default 10
        Epochs without improvement after which training ends.
    tol : float, default 1e-4
        A change of the loss must be larger than this to count as an improvement.
    class_weight : dict of label to float, or "balanced", optional
        Weights of the classes, which multiply `sample_weight`; "balanced" gives classes equal shares of the whole.
    calibrate : bool, default False
        Whether probabilities are calibrated on the sequences held out: the logits are divided by the temperature that
        makes the cross-entropy there least (Guo et al., "On calibration of modern neural networks", 2017).
    layout : {"NTC", "NCT", "NC"}, default "NTC"
        The axes of X: N sequences, T steps, C features. In both "NTC" and "NCT" the axis of the features may be left
        out where there is one feature: two-dimensional data are N series of T steps. With "NC" they are N single steps
        of C features.
    callbacks : Callback or list of Callback, optional
        Each fit calls copies of them.
    dtype_policy : {"float32", "float64", "mixed_bfloat16"}, optional
        As `models.Model.compile` describes it.
    random_state : int, RandomState or None, default None
        Of the first weights, the order of the sequences, dropout and the sequences held out. An int gives the same bits
        again, for any number of threads and processes.
    warm_start : bool, default False
        Whether `fit` goes on from where the last one stopped, for as many epochs again. The parameters of the model and
        the optimizer are those of the first fit.
    verbose : {0, 1, 2}, default 0
        Silent, a progress bar, or one line for each epoch.
    n_jobs : int, optional
        The largest number of threads; negative numbers count from all processors, -1 means all. By default as many as
        rnncore uses elsewhere.

    Attributes
    ----------
    classes_ : ndarray, shape (K,)
        The labels in order. Where y has several labels for each row, as zeros and ones (N, K), the numbers of columns.
    temperature_ : float
        What `predict_proba` divides the logits by; 1 unless `calibrate`.
    model_ : Model
        The trained model.
    history_ : dict of str to list of float
        Loss, and loss of the validation as `val_loss`, of each epoch.
    loss_curve_ : list of float
        Loss of each epoch.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Features of a step; columns if X was two-dimensional.
    feature_names_in_ : ndarray of str
        Names of the columns, if X was a DataFrame.

    Raises
    ------
    TypeError, ValueError
        From `fit`, for a parameter that does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.sklearn import RNNClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 10, 2))
    >>> y = np.where(X[:, :, 0].sum(axis=1) > 0, "up", "down")
    >>> classifier = RNNClassifier(units=16, epochs=20, learning_rate=0.01, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.95
    True
    >>> classifier.predict(X[:3]).shape, classifier.predict_proba(X[:3]).shape
    ((3,), (3, 2))
    """

    def __init__(
        self,
        cell: str = "gru",
        units: int = 32,
        layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        optimizer: Any = "adam",
        learning_rate: Any = 0.003,
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
        dtype_policy: str | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.cell = cell
        self.units = units
        self.layers = layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
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
        self.dtype_policy = dtype_policy
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class RNNRegressor(Recurrent, RegressorMixin, BaseEstimator):
    """Predict numbers from sequences by recurrent layers.

    As `RNNClassifier`, with one output for each column of y. Targets far from zero or of large spread are learnt badly:
    put the regressor into `sklearn.compose.TransformedTargetRegressor` with a scaler then.

    Parameters
    ----------
    cell, units, layers, bidirectional, dropout, recurrent_dropout, optimizer, learning_rate, epochs, batch_size
        As for `RNNClassifier`.
    loss : str or Loss, default "mse"
        Of `rnncore.losses`.
    early_stopping, validation_fraction, n_iter_no_change, tol, layout, callbacks, dtype_policy, random_state
        As for `RNNClassifier`.
    warm_start, verbose, n_jobs
        As for `RNNClassifier`.

    Attributes
    ----------
    model_, history_, loss_curve_, n_iter_, n_features_in_, feature_names_in_
        As for `RNNClassifier`.

    Raises
    ------
    TypeError, ValueError
        From `fit`, for a parameter that does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.sklearn import RNNRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(rng.integers(3, 9), 2)) for _ in range(200)]  # of different lengths
    >>> y = [sequence[-1, 0] - sequence[-1, 1] for sequence in X]
    >>> regressor = RNNRegressor("lstm", 16, epochs=40, learning_rate=0.01, random_state=0).fit(X, y)
    >>> regressor.score(X, y) > 0.95
    True
    """

    _task = "regression"

    def __init__(
        self,
        cell: str = "gru",
        units: int = 32,
        layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        optimizer: Any = "adam",
        learning_rate: Any = 0.003,
        loss: Any = "mse",
        epochs: int = 100,
        batch_size: int = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        layout: str = "NTC",
        callbacks: Any = None,
        dtype_policy: str | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.cell = cell
        self.units = units
        self.layers = layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.layout = layout
        self.callbacks = callbacks
        self.dtype_policy = dtype_policy
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs

    def partial_fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None, lengths: Any = None) -> Any:
        """Train for one epoch on these sequences, from where training stopped.

        Parameters
        ----------
        X, y, sample_weight, lengths
            As for `fit`.

        Returns
        -------
        self
        """
        return self._train_once(X, y, sample_weight, lengths)

    def _loss(self, targets: Any) -> Any:
        return self.loss

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
