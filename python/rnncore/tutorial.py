"""The recurrent network of the textbook in three names: a model, `train` and `predict`.

h_t = relu(W_ih x_t + W_hh h_{t-1} + b_h),   y_t = W_hy h_t + b_y,   p_t = sigmoid(y_t)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore.callbacks import LambdaCallback
from rnncore.layers import Dense, Input, SimpleRNN
from rnncore.losses import BinaryCrossentropy
from rnncore.models import Model
from rnncore.optimizers import Adam

__all__ = ["RNNModel", "predict", "train"]


class RNNModel:
    """A recurrent layer with ReLU and a linear output at every time step.

    Parameters
    ----------
    n_input : int
        Features of x_t.
    n_hidden : int
        Hidden units, the size of h_t.
    n_output : int
        Outputs, the size of y_t.

    Attributes
    ----------
    every_step, last_step : Model
        The network with the outputs of all time steps (N, T, n_output) and with those of the last
        one (N, n_output). Both have the same weights.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer.

    Examples
    --------
    >>> from rnncore import RNNModel
    >>> model = RNNModel(n_input=3, n_hidden=8, n_output=2)
    >>> [w.shape for w in model.get_weights()]
    [(3, 8), (8, 8), (8,), (8, 2), (2,)]
    """

    def __init__(self, n_input: int, n_hidden: int, n_output: int) -> None:
        self.n_input = check.positive_int("n_input", n_input)
        self.n_hidden = check.positive_int("n_hidden", n_hidden)
        self.n_output = check.positive_int("n_output", n_output)
        x = Input((None, n_input))
        hidden = SimpleRNN(n_hidden, activation="relu", return_sequences=True, return_state=True)
        output = Dense(n_output)
        sequence, last = hidden(x)
        self.every_step = Model(x, output(sequence))
        self.last_step = Model(x, output(last))
        self._trained_on_last = False

    def __call__(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """The linear outputs (logits) at every time step: x (N, T, n_input) -> (N, T, n_output)."""
        logits: npt.NDArray[Any] = self.every_step.predict(x, verbose=0)
        return logits

    def get_weights(self) -> list[npt.NDArray[Any]]:
        """Copies of W_ih (I, H), W_hh (H, H), b_h (H,), W_hy (H, O) and b_y (O,)."""
        return self.every_step.get_weights()

    def set_weights(self, weights: list[npt.ArrayLike]) -> None:
        """Overwrite the weights, in the order of `get_weights`."""
        self.every_step.set_weights(weights)


def train(model: RNNModel, x: npt.ArrayLike, y: npt.ArrayLike, learning_rate: float, epochs: int) -> None:
    """Train on all samples at once with Adam; each epoch is one step and prints its loss.

    The loss is the sigmoid cross-entropy of the logits, averaged over all outputs.

    Parameters
    ----------
    model : RNNModel
    x : array_like, shape (N, T, n_input)
    y : array_like, shape (N, T, n_output) or (N, n_output)
        Targets from 0 to 1: for every time step, or for the last one alone; (N,) for a single output.
    learning_rate : float
    epochs : int

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the model is unchanged.

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import RNNModel, train, utils
    >>> utils.set_random_seed(0)
    >>> bits = np.random.default_rng(0).integers(0, 2, size=(64, 5, 1))
    >>> model = RNNModel(n_input=1, n_hidden=8, n_output=1)
    >>> train(model, bits, bits, learning_rate=0.01, epochs=2)  # doctest: +ELLIPSIS
    Epoch 1: Loss 0...
    Epoch 2: Loss 0...
    """
    if not isinstance(model, RNNModel):
        raise TypeError(f"model must be an RNNModel, got {type(model).__name__}")
    epochs = check.integer("epochs", epochs, low=0)
    on_last = data.real("y", y).ndim <= 2
    network = model.last_step if on_last else model.every_step
    network.compile(Adam(learning_rate), BinaryCrossentropy(from_logits=True))
    show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(f"Epoch {epoch + 1}: Loss {logs['loss']:f}"))
    rows = len(data.real("x", x))
    network.fit(x, y, batch_size=max(rows, 1), epochs=epochs, shuffle=False, verbose=0, callbacks=show)
    model._trained_on_last = on_last


def predict(model: RNNModel, x: npt.ArrayLike) -> npt.NDArray[Any]:
    """The probabilities sigmoid(y_t).

    Parameters
    ----------
    model : RNNModel
    x : array_like, shape (N, T, n_input)

    Returns
    -------
    ndarray, shape (N, T, n_output)
        Or (N, n_output), the last time step, if the model was trained last on such targets.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import RNNModel, predict
    >>> predict(RNNModel(n_input=1, n_hidden=8, n_output=1), np.zeros((2, 5, 1))).shape
    (2, 5, 1)
    """
    if not isinstance(model, RNNModel):
        raise TypeError(f"model must be an RNNModel, got {type(model).__name__}")
    network = model.last_step if model._trained_on_last else model.every_step
    logits = network.predict(x, verbose=0)
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))  # the sigmoid, without overflow
