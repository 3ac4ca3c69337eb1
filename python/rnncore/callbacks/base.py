"""The hooks of a training run and the list that calls them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from rnncore import _html
from rnncore._overrides import OnlyKnownHooks

if TYPE_CHECKING:
    from rnncore.models import Model

Logs = dict[str, Any]  # numbers; an array (U,) of a metric that has a value for each output


class Callback(OnlyKnownHooks):
    """Base of the callbacks: override the hooks you need.

    An epoch runs as one call of the executor; a hook for batches makes it call Python after each of them.

    Attributes
    ----------
    model : Model
        Set before training; `model.stop_training = True` ends it after the batch or epoch.
    params : dict
        `verbose`, `epochs` and `steps`.
    writes : bool
        Of a class that is to be called by the first one alone of several processes that train together
        (`rnncore.distributed`), as it writes files or shows something; by default False.

    Examples
    --------
    >>> from rnncore.callbacks import Callback
    >>> class Best(Callback):
    ...     best = float("inf")
    ...
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.best = min(self.best, logs["loss"])
    """

    model: Model
    params: dict[str, Any]
    writes: ClassVar[bool] = False

    def __repr__(self) -> str:
        shown = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name, parameter.default)
            if isinstance(value, (str, int, float, os.PathLike)) and value != parameter.default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def set_model(self, model: Model) -> None:
        """Called with the model before the first hook."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called with the run's parameters before the first hook."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch of `fit`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch of `fit`."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before epoch number `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; what a callback adds to `logs`, `History` keeps."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step; by default calls `on_batch_begin`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step; `logs` are the running means of the epoch. By default calls `on_batch_end`."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation or validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation or validation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_end`."""


Callback._hooks = frozenset(name for name in vars(Callback) if name.startswith("on_"))


class CallbackList(Callback):
    """Passes each hook on to all callbacks, in order."""

    def __init__(self, callbacks: Iterable[Callback], model: Model, params: dict[str, Any]) -> None:
        self.callbacks: list[Callback] = []
        self.model = model
        self.params = params
        for callback in callbacks:
            self.append(callback)

    @classmethod
    def of(cls, model: Any, callbacks: Any, params: dict[str, Any]) -> CallbackList:
        """The callbacks that a run of a model is given: one, a list of them, or None."""
        found = list(callbacks) if isinstance(callbacks, (list, tuple)) else [] if callbacks is None else [callbacks]
        for callback in found:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks must be a Callback or a list of them, got {type(callback).__name__}")
        return cls(found, model, params)

    def append(self, callback: Callback) -> None:
        """Add a callback and introduce it to the model."""
        callback.set_params(self.params)
        callback.set_model(self.model)
        self.callbacks.append(callback)

    def wants_batches(self, mode: str) -> bool:
        """Whether any callback overrides a batch hook of `mode`: "train", "test" or "predict"."""
        if not self.callbacks:
            return False
        hooks = [f"on_{mode}_batch_begin", f"on_{mode}_batch_end"]
        if mode == "train":
            hooks += ["on_batch_begin", "on_batch_end"]
        return any(_overrides(callback, hook) for callback in self.callbacks for hook in hooks)

    def begin(self, mode: str) -> None:
        self._call(f"on_{mode}_begin")

    def end(self, mode: str, logs: Logs) -> None:
        self._call(f"on_{mode}_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, {} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, {} if logs is None else logs)

    def batch_begin(self, mode: str, batch: int) -> None:
        self._call(f"on_{mode}_batch_begin", batch, {})

    def batch_end(self, mode: str, batch: int, logs: Logs) -> None:
        self._call(f"on_{mode}_batch_end", batch, logs)

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)


def _overrides(callback: Callback, hook: str) -> bool:
    method = getattr(callback, hook)
    return getattr(method, "__func__", method) is not getattr(Callback, hook)


class History(Callback):
    """The logs of each epoch; `fit` returns one.

    Attributes
    ----------
    history : dict of lists
        For each key (`loss`, metrics, `val_loss`, ...) one number per epoch.
    epoch : list of int
        The epochs done, counted from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), epochs=3, verbose=0)
    >>> history.epoch, list(history.history), len(history.history["loss"])
    ([0, 1, 2], ['loss'], 3)
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._epochs: dict[str, list[int]] = {}

    def __repr__(self) -> str:
        count = len(self.epoch)
        return f"<History of {count} epoch{'' if count == 1 else 's'}: {', '.join(self.history) or 'no logs'}>"

    def _repr_html_(self) -> str:
        return _html.history(len(self.epoch), self.history, {key: self.epochs_of(key) for key in self.history})

    def epochs_of(self, key: str) -> list[int]:
        """The epochs, counted from 0, of the numbers of a key; with `validation_freq` not all have a `val_...`."""
        known, count = self._epochs.get(key, []), len(self.history[key])
        return list(known) if len(known) == count else list(range(count))  # of logs that were put there by hand

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history, self.epoch, self._epochs = {}, [], {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)
            self._epochs.setdefault(key, []).append(epoch)


class LambdaCallback(Callback):
    """A callback made of functions, given under the names of the hooks.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, on_train_batch_end : callable
        For example `on_epoch_end=lambda epoch, logs: ...`.
    **hooks : callable
        Any other hook of `Callback`.

    Raises
    ------
    TypeError, ValueError
        If a name is not a hook or the value not callable.

    Examples
    --------
    >>> from rnncore.callbacks import LambdaCallback
    >>> losses = []
    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any] | None,
    ) -> None:
        hooks |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for hook, function in hooks.items():
            if not hook.startswith("on_") or not hasattr(Callback, hook):
                raise ValueError(f"{hook} is not a hook of Callback")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{hook} must be callable, got {type(function).__name__}")
            setattr(self, hook, function)
