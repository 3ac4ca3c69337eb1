"""A model run on sequences that come a few steps at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore import _core
from rnncore import _data as data
from rnncore import _validation as check
from rnncore._data import Array
from rnncore._turns import Turns
from rnncore.layers.symbolic import packed
from rnncore.training.stream_arguments import check_target, given_array, given_states, row_numbers
from rnncore.training.streaming import Kept
from rnncore.training.timeline import Clock

if TYPE_CHECKING:
    from rnncore.training.session import Runnable
    from rnncore.training.streaming import Streaming

__all__ = ["SequenceStream"]

MOST_STEPS = 16  # of a chunk that the core does step by step


class SequenceStream:
    """What `Model.stream` returns: a model that gets its sequences in chunks of steps and remembers what it needs.

    However a sequence is cut, the outputs are those of `predict` on the whole: bit for bit on the compiled backend, and
    but for rounding on the reference, as NumPy's products add up in an order that depends on their sizes.

    Parameters
    ----------
    model : Model
    batch_size : int
        How many sequences go side by side.
    weights : {"bfloat16", "int8"}, optional
        As for `Model.stream`.

    Notes
    -----
    A stream remembers the states of recurrent layers, the steps that windows of convolutions and pooling still need,
    and all keys and values of causal attention. Threads that share a stream take turns.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.Conv1D(4, 2, padding="causal"), layers.GRU(2)])
    >>> x = np.random.default_rng(0).normal(size=(1, 5, 3))
    >>> stream = model.stream()
    >>> for t in range(5):
    ...     y = stream.step(x[:, t])
    >>> bool(np.allclose(y, model.predict(x, verbose=0), atol=1e-6))
    True
    >>> stream.reset()
    """

    def __init__(self, model: Runnable, batch_size: int, weights: str | None = None) -> None:
        self.batch_size = check.positive_int("batch_size", batch_size)
        self._model = model
        self._weights = weights
        self._turns = Turns()
        self._takes_array = len(model.inputs) == 1 and model._input_keys is None
        self._gives_array = len(model.outputs) == 1 and model._output_keys is None
        self._read(model._session.streaming(model, weights))
        self._kept = self._streaming.begin(self.batch_size)

    def __repr__(self) -> str:
        return f"<SequenceStream of {self._model!r}, {self.batch_size} side by side>"

    def _read(self, streaming: Streaming) -> None:
        """Read the inputs by these Programs from now on."""
        self._streaming = streaming
        self._direct: _core.Stream | None = None  # what does steps in the core, once one was done
        self._specs: list[tuple[str, tuple[int | None, ...], np.dtype[Any], bool]] = [
            (
                f"[{number}]" if len(streaming.input_values) > 1 else "",
                spec.shape[2 if sequence else 1 :],
                np.dtype(np.int32) if spec.dtype == "int" else streaming.dtype,
                sequence,
            )
            for number, (spec, sequence) in enumerate(zip(streaming.input_values, streaming.are_sequences, strict=True))
        ]
        self._one_to_one = all(clock in (None, Clock()) for clock in streaming.clocks)

    # Steps and chunks

    @_core.direct
    def step(self, x_t: Any, out: Any = None) -> Any:
        """Compute the outputs for the next time step.

        Parameters
        ----------
        x_t : array_like, shape (batch_size, I), or ids (batch_size,), or a list, or dict by name, of one for each input
            Inputs without a time axis come whole, in each step.
        out : ndarray, shape (batch_size, U), or a list or dict as the outputs are, optional
            Receives the outputs and is returned. C-contiguous and writable, of the model's dtype.

        Returns
        -------
        ndarray, shape (batch_size, U), or list of ndarray, or dict as from `predict`
            Outputs without a time axis are those of a sequence that ends here.

        Raises
        ------
        TypeError, ValueError
            If `x_t` or `out` does not fit, or an output has not one step for each step of the input; the states are
            unchanged.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
        >>> stream, y = model.stream(), np.empty((1, 2), "float32")
        >>> stream.step([[1.0, 2.0, 3.0]], out=y) is y
        True
        """
        if (direct := self._direct) is not None and not self._turns.mine:
            with self._turns:
                if (y := direct.step(x_t, out)) is not None:
                    return y
        with self._turn(syncs=False):
            if not self._one_to_one:
                self._refuse_step()
            inputs = self._inputs("x_t", x_t, one_step=True)
            targets = None if out is None else self._targets(out, inputs)
            if (direct := self._stepper()) is not None:
                sequences = self._streaming.are_sequences
                given = [x[:, 0] if sequence else x for x, sequence in zip(inputs, sequences, strict=True)]
                if (y := direct.step(given[0] if self._takes_array else given, out)) is not None:
                    return y
            self._sync()
            found, kept = self._streaming.advance(self._kept, inputs, 1)
            clocks = self._streaming.clocks
            results = [y if clock is None else y[:, 0] for y, clock in zip(found, clocks, strict=True)]
            if targets is not None:
                for target, result in zip(targets, results, strict=True):
                    target[...] = result
            self._kept = kept
            return self._packed(results) if out is None else out

    def _stepper(self) -> _core.Stream | None:
        """What does steps in the core, going on from what is kept; None where that cannot be."""
        if self._direct is None:
            self._direct = self._streaming.stepper(
                self.batch_size,
                takes_array=self._takes_array,
                input_names=tuple(self._model.input_names),
                gives_array=self._gives_array,
                output_names=self._model._output_keys,
            )
        if (direct := self._direct) is not None and not direct.ready:
            direct.load(self._kept.steps, self._kept.states, self._kept.memories)
            direct.ready = True
        return direct

    @_core.direct
    def run(self, chunk: Any) -> Any:
        """Compute the outputs for the next time steps, as many as there are.

        Parameters
        ----------
        chunk : array_like, shape (batch_size, T, I), or ids (batch_size, T), or a list, or dict by name
            Of one for each input; those without a time axis come whole, in each chunk. T may be 0.

        Returns
        -------
        ndarray, shape (batch_size, T', U), or list of ndarray, or dict as from `predict`
            The steps that are known now and were not before: T' may be 0. Outputs without a time axis are those of a
            sequence that ends here; before a first step of theirs, those of the initial states.

        Raises
        ------
        TypeError, ValueError
            If `chunk` does not fit; the states are unchanged.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.Conv1D(4, 3, strides=2)])
        >>> stream = model.stream()
        >>> [stream.run(np.ones((1, steps, 3))).shape for steps in (2, 1, 0, 5)]
        [(1, 0, 4), (1, 1, 4), (1, 0, 4), (1, 2, 4)]
        """
        if (direct := self._direct) is not None and not self._turns.mine:
            with self._turns:
                if (y := direct.run(chunk)) is not None:
                    return y
        with self._turn(syncs=False):
            inputs = self._inputs("chunk", chunk, one_step=False)
            lengths = {
                x.shape[1] for x, sequence in zip(inputs, self._streaming.are_sequences, strict=True) if sequence
            }
            if len(lengths) > 1:
                raise ValueError(f"chunk must have the same number of steps for each sequence, got {sorted(lengths)}")
            (steps,) = lengths
            direct = self._stepper() if 0 < steps <= MOST_STEPS else None
            if direct is not None and (y := direct.run(inputs[0] if self._takes_array else inputs)) is not None:
                return y
            self._sync()
            found, self._kept = self._streaming.advance(self._kept, inputs, steps)
            return self._packed(found)

    # What is remembered

    def reset(self, rows: npt.ArrayLike | None = None) -> None:
        """Begin new sequences.

        The states are zeros again, or what the layers have learned, or the initial states that the model has as inputs.

        Parameters
        ----------
        rows : array_like of int, optional
            Begin anew in these rows alone. The model must then have one output step for each step, no attention, and
            no initial states as inputs.

        Raises
        ------
        IndexError, TypeError, ValueError
            If a row does not exist, or rows cannot begin by themselves in this model.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
        >>> stream = model.stream(batch_size=2)
        >>> first, second = stream.step(np.ones((2, 3))), stream.step(np.ones((2, 3)))
        >>> stream.reset(rows=[1])
        >>> bool(np.array_equal(stream.step(np.ones((2, 3)))[1], first[1]))
        True
        """
        with self._turn():
            if rows is None:
                self._kept = self._streaming.begin(self.batch_size)
                return
            chosen = row_numbers(rows, self.batch_size)
            if reason := self._streaming.rows_go_together:
                raise ValueError(f"rows must be left out, they cannot begin by themselves: {reason}")
            arrays, firsts = self._streaming.arrays(self._kept), self._streaming.first_states()
            for array, first in zip(arrays, [*firsts, *[0] * (len(arrays) - len(firsts))], strict=True):
                array[chosen] = first
            self._kept = self._streaming.kept(arrays, self.batch_size, self._kept.steps)

    @property
    def states(self) -> dict[str, Array]:
        """All that is remembered, in copies: `steps` (), the number of steps so far, and arrays by layer.

        The states of recurrent layers are (N, H), the steps that windows still need and keys and values (N, T, ...).
        They can be set, in this stream or another one of the same model and batch size; states of one's own belong to a
        sequence that has begun, after 1 step or more.

        Raises
        ------
        TypeError, ValueError
            When set, if an array is missing or does not fit; nothing has changed then.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2, name="gru")])
        >>> stream = model.stream()
        >>> y = stream.run(np.ones((1, 4, 3)))
        >>> {name: array.shape for name, array in stream.states.items()}
        {'steps': (), 'gru/h': (1, 2)}
        >>> other = model.stream()
        >>> other.states = stream.states
        >>> bool(np.array_equal(other.run(np.ones((1, 2, 3))), stream.run(np.ones((1, 2, 3)))))
        True
        """
        with self._turn():
            arrays = self._streaming.arrays(self._kept)
            names = self._streaming.names
            return {"steps": np.array(self._kept.steps, np.int64), **dict(zip(names, arrays, strict=True))}

    @states.setter
    def states(self, states: Mapping[str, npt.ArrayLike]) -> None:
        with self._turn():
            streaming, rows = self._streaming, self.batch_size
            steps, arrays = given_states(states, streaming.names, lambda steps: streaming.specs(rows, steps))
            if steps == 0:  # the first step does not read them
                for name, array, first in zip(streaming.names, arrays, streaming.first_states(), strict=False):
                    if not np.array_equal(array, np.broadcast_to(first, array.shape)):
                        raise ValueError(
                            f"states['steps'] must be at least 1 where a sequence has begun, got 0 and a"
                            f" states[{name!r}] that it does not begin with"
                        )
            self._kept = streaming.kept(arrays, rows, steps)

    def copy(self) -> SequenceStream:
        """A new stream that goes on from here.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> stream = models.Sequential([layers.Input((None, 3)), layers.GRU(2)]).stream()
        >>> y, other = stream.step(np.ones((1, 3))), stream.copy()
        >>> bool(np.array_equal(other.step(np.ones((1, 3))), stream.step(np.ones((1, 3)))))
        True
        """
        return self.fork(range(self.batch_size))

    def fork(self, rows: npt.ArrayLike | Sequence[int]) -> SequenceStream:
        """A new stream whose row i goes on from row `rows[i]` of this one, which goes on as before.

        Parameters
        ----------
        rows : array_like of int, shape (n,)
            In any order, some more than once, others not at all: n is the batch size of the new stream.

        Raises
        ------
        IndexError, TypeError, ValueError
            If a row does not exist, or `rows` is no list of whole numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> stream = models.Sequential([layers.Input((None, 3)), layers.GRU(2)]).stream()
        >>> y = stream.step(np.ones((1, 3)))
        >>> stream.fork([0, 0, 0]).step(np.eye(3)).shape
        (3, 2)
        """
        with self._turn():
            chosen = row_numbers(rows, self.batch_size)
            arrays = [array[chosen] for array in self._streaming.arrays(self._kept)]
            other = copy.copy(self)
            other.batch_size, other._turns, other._direct = len(chosen), Turns(), None
            other._kept = self._streaming.kept(arrays, len(chosen), self._kept.steps)
            return other

    # Checks

    @contextmanager
    def _turn(self, *, syncs: bool = True) -> Iterator[None]:
        """The turn of a thread with the stream, with the Programs for where the weights are now.

        What is kept may be with the core still where that is not asked for.
        """
        if self._turns.mine:
            raise RuntimeError("a stream cannot be used within one of its own steps")
        with self._turns:
            if syncs:
                self._sync()
            if not self._streaming.is_current:
                self._follow_weights()
            yield

    def _sync(self) -> None:
        """Take back what the core remembers."""
        if (direct := self._direct) is not None and direct.ready:
            self._kept = Kept(self.batch_size, direct.steps, *direct.save())
            direct.ready = False

    def _follow_weights(self) -> None:
        """Go on where the weights have moved to."""
        self._sync()
        before, now = self._streaming, self._model._session.streaming(self._model, self._weights)
        if now.names != before.names:
            raise ValueError("the layers of the model have changed since the stream was made: make a new one")
        if now is not before:
            kept = self._kept
            arrays = [
                array.astype(dtype)
                for array, (_, dtype) in zip(before.arrays(kept), now.specs(kept.rows, kept.steps), strict=True)
            ]
            self._read(now)
            self._kept = now.kept(arrays, kept.rows, kept.steps)

    def _refuse_step(self) -> None:
        """Say which output has not one step for each of the input."""
        for value, clock in zip(self._model.outputs, self._streaming.clocks, strict=True):
            if clock not in (None, Clock()):
                raise ValueError(
                    f"step needs outputs with one step for each step of the input, but {value.name!r} has one for"
                    f" every {clock.stride}, the first after {clock.first}: use run, which takes any number of steps"
                )

    def _inputs(self, argument: str, given: Any, *, one_step: bool) -> list[Array]:
        """The checked inputs, with their time axis."""
        specs = self._specs
        values = [given] if self._takes_array else given
        labels = [argument + number for number, *_ in specs]
        if not isinstance(values, (list, tuple)) or len(values) != len(specs):
            if not isinstance(values, Mapping):
                raise ValueError(
                    f"{argument} must be a list of {len(specs)} arrays, one for each input, or a dict by name"
                )
            named = data.named(argument, values, self._model.input_names)
            labels, values = list(named), list(named.values())
        found = []
        for label, value, (_, sizes, dtype, sequence) in zip(labels, values, specs, strict=True):
            steps = () if one_step or not sequence else (None,)
            note = ", one step" if one_step and sequence else ""
            array = given_array(label, value, (self.batch_size, *steps, *sizes), dtype, note)
            found.append(np.ascontiguousarray(array[:, None] if one_step and sequence else array))
        return found

    def _targets(self, out: Any, inputs: Sequence[Array]) -> list[Array]:
        """The arrays that receive the outputs of a step."""
        count, keys = len(self._streaming.clocks), self._model._output_keys
        if self._gives_array:
            targets = [out]
        elif keys is not None:
            if not isinstance(out, Mapping) or set(out) != set(keys):
                raise ValueError(f"out must be a dict of arrays with the keys {list(keys)}, got {type(out).__name__}")
            targets = [out[key] for key in keys]
        elif not isinstance(out, (list, tuple)) or len(out) != count:
            raise ValueError(f"out must be a list of {count} arrays, one for each output, got {type(out).__name__}")
        else:
            targets = list(out)
        for number, (target, tail) in enumerate(zip(targets, self._streaming.tails(inputs), strict=True)):
            key = "" if self._gives_array else f"[{number if keys is None else keys[number]!r}]"
            check_target(f"out{key}", target, (self.batch_size, *tail), self._streaming.dtype)
        return targets

    def _packed(self, results: list[Array]) -> Any:
        return results[0] if self._gives_array else packed(results, self._model._output_keys)
