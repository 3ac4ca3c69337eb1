"""A model run one time step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore import _validation as check
from rnncore import data
from rnncore.data import Array, show
from rnncore.layers.symbolic import packed
from rnncore.training.windows import is_sequence, timed_outputs

if TYPE_CHECKING:
    from rnncore.training.session import Runnable

__all__ = ["SequenceStream"]


class SequenceStream:
    """What `Model.stream` returns: a model that gets its sequences step by step and remembers its states.

    Parameters
    ----------
    model : Model
    batch_size : int
        How many sequences go side by side.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(4, return_sequences=True), layers.Dense(1)])
    >>> x = np.random.default_rng(0).normal(size=(1, 5, 3))
    >>> stream = model.stream()
    >>> steps = np.stack([stream.step(x[:, t]) for t in range(5)], axis=1)
    >>> bool(np.allclose(steps, model.predict(x, verbose=0), atol=1e-6))
    True
    >>> stream.reset()
    """

    def __init__(self, model: Runnable, batch_size: int) -> None:
        self.batch_size = check.positive_int("batch_size", batch_size)
        model._session.engine(model)
        self._timed = timed_outputs("stream", model.inputs, model.outputs, every_step=False)
        self._model = model
        self._takes_array = len(model.inputs) == 1 and model._input_keys is None
        self._gives_array = len(model.outputs) == 1 and model._output_keys is None
        self._prepare()
        self.reset()

    def __repr__(self) -> str:
        return f"<SequenceStream of {self._model!r}, {self.batch_size} side by side>"

    def _prepare(self) -> None:
        """Take the engine for where the weights are now."""
        self._engine = engine = self._model._session.carrying(self._model)
        self._specs = [
            (
                f"x_t[{number}]" if len(engine.input_values) > 1 else "x_t",
                (self.batch_size, *spec.shape[2 if sequence else 1 :]),
                np.dtype(np.int32) if spec.dtype == "int" else engine.dtype,
                sequence,
            )
            for number, (spec, sequence) in enumerate(
                zip(engine.input_values, map(is_sequence, self._model.inputs), strict=True)
            )
        ]

    def reset(self) -> None:
        """Begin new sequences: the states are zeros again, or the initial states that the model has as inputs."""
        engine = self._engine
        self._states = np.zeros(self.batch_size * engine.program.state_size, engine.dtype)
        self._resume = False

    def step(self, x_t: Any) -> Array | Any:
        """Compute the outputs for the next time step.

        Parameters
        ----------
        x_t : array_like, shape (batch_size, I), or ids (batch_size,), or a list, or dict by name, of one for each input
            Inputs without a time axis come whole, in each step.

        Returns
        -------
        ndarray, shape (batch_size, U), or list of ndarray, or dict as from `predict`
            Outputs without a time axis are those of a sequence that ends here.

        Raises
        ------
        TypeError, ValueError
            If `x_t` does not fit; the states are unchanged.
        """
        if not self._engine.is_current:
            states = self._states
            self._prepare()
            self._states = states.astype(self._engine.dtype)
        given = [x_t] if self._takes_array else x_t
        if not isinstance(given, (list, tuple)) or len(given) != len(self._specs):
            given = self._by_name(given)
        inputs = [_array(value, *spec) for value, spec in zip(given, self._specs, strict=True)]
        resume, self._resume = self._resume, True
        try:
            outputs = self._engine.executor.forward(inputs, states=self._states, resume=resume)
        except BaseException:
            self._resume = resume
            raise
        results = [y[:, 0] if timed else y for y, timed in zip(outputs, self._timed, strict=True)]
        return results[0] if self._gives_array else packed(results, self._model._output_keys)

    def _by_name(self, x_t: Any) -> list[Any]:
        """The arrays of a dict in the order of the inputs."""
        if not isinstance(x_t, Mapping):
            raise ValueError(f"x_t must be a list of {len(self._specs)} arrays, one for each input, or a dict by name")
        return list(data.named("x_t", x_t, self._model.input_names).values())


def _array(value: Any, argument: str, shape: tuple[int | None, ...], dtype: np.dtype[Any], sequence: bool) -> Array:
    """One step as a sequence of one step."""
    array = np.asarray(value)
    if array.dtype != dtype:
        if array.dtype.kind not in ("iub" if dtype.kind == "i" else "fiub"):
            raise TypeError(
                f"{argument} must hold {'whole' if dtype.kind == 'i' else 'real'} numbers, got {array.dtype}"
            )
        array = array.astype(dtype)
    if array.shape != shape and (
        array.ndim != len(shape) or any(m not in (None, n) for n, m in zip(array.shape, shape, strict=True))
    ):
        raise ValueError(f"{argument} must have shape {show(shape)}, one step, got {show(array.shape)}")
    return np.ascontiguousarray(array[:, None] if sequence else array)
