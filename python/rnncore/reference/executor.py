"""The NumPy executor: runs a Program node by node and trains it batch by batch."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from ..program import Node, Parameter, Program, Training
from .losses import LOSSES, weighted_loss
from .metrics import METRICS, state_increment
from .op import Arrays, Run
from .ops import OPS
from .optimizers import OPTIMIZERS, update

__all__ = ["Executor"]

OnBatch = Callable[[int], bool]
Weights = Sequence[Array | None]

CALL_INTERVAL = 0.05  # seconds between calls of on_batch when not every batch is asked for


class Executor:
    """Run a Program in NumPy; interchangeable with the compiled executor.

    Parameters
    ----------
    program : Program
    parameters, gradients : ndarray (P,), float32 or float64, C-contiguous
        Shared with the caller: weights are read from and updated in `parameters`, gradients are
        written into `gradients`.

    Raises
    ------
    TypeError, ValueError
        If the vectors do not fit the program or an op is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.program import Node, Parameter, Program, Value
    >>> program = Program(
    ...     values=(Value("x", (None, 2)), Value("y", (None, 1))),
    ...     parameters=(Parameter("kernel", (2, 1), 0),),
    ...     nodes=(Node("dense", "dense", (0,), (1,), (0,), {"activation": "linear"}),),
    ...     inputs=(0,),
    ...     outputs=(1,),
    ... )
    >>> executor = Executor(program, np.array([1.0, 2.0]), np.zeros(2))
    >>> executor.forward([np.array([[3.0, 4.0]])])
    [array([[11.]])]
    """

    def __init__(self, program: Program, parameters: Array, gradients: Array) -> None:
        if parameters.dtype not in (np.float32, np.float64):
            raise TypeError(f"parameters: expected dtype float32 or float64, got {parameters.dtype}")
        needed = max((parameter.offset + parameter.size for parameter in program.parameters), default=0)
        if parameters.ndim != 1 or parameters.size < needed:
            raise ValueError(f"parameters: expected shape (P,) with P at least {needed}, got {parameters.shape}")
        _check(gradients, "gradients", parameters.shape, parameters.dtype)
        for node in program.nodes:
            if node.op not in OPS:
                raise ValueError(f"program: unknown op {node.op!r} in node {node.name!r}; known: {sorted(OPS)}")
        self._program = program
        self._parameters = parameters
        self._gradients = gradients
        self._trainable = [parameter for parameter in program.parameters if parameter.trainable]
        self._trainable_elements = np.concatenate(
            [np.arange(0), *(np.arange(p.offset, p.offset + p.size) for p in self._trainable)]
        )
        self._training: Training | None = None
        self._slots = np.zeros((0, parameters.size), parameters.dtype)
        self._tape: list[tuple[Node, Any]] | None = None

    def forward(
        self,
        inputs: Sequence[Array],
        lengths: Array | None = None,
        *,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
    ) -> list[Array]:
        """Compute the outputs; with `training`, draw dropout masks and keep what `backward` needs."""
        program = self._program
        self._check_samples(inputs, lengths)
        values: Arrays = [None] * len(program.values)
        for value, array in zip(program.inputs, inputs, strict=True):
            values[value] = array
        if program.lengths >= 0:
            values[program.lengths] = lengths
        tape = []
        for index, node in enumerate(program.nodes):
            outputs, saved = OPS[node.op].forward(
                [values[i] if i >= 0 else None for i in node.inputs],
                [self._window(self._parameters, program.parameters[p]) for p in node.parameters],
                node.attributes,
                Run(training, seed, step, index),
            )
            for value, output in zip(node.outputs, outputs, strict=True):
                if value >= 0:
                    values[value] = output
            tape.append((node, saved))
        self._tape = tape if training else None
        return [values[i] for i in program.outputs]

    def backward(self, output_gradients: Sequence[Array | None]) -> list[Array | None]:
        """Write the gradients of the trainable parameters; return those of the inputs.

        A None among `output_gradients` stands for zeros; an integer input has no gradient, None.
        """
        if self._tape is None:
            raise ValueError("backward: expected a forward pass with training=True before it")
        program = self._program
        dvalues: Arrays = [None] * len(program.values)
        for value, array in zip(program.outputs, output_gradients, strict=True):
            _accumulate(dvalues, value, array)
        for parameter in self._trainable:
            self._window(self._gradients, parameter)[...] = 0
        for node, saved in reversed(self._tape):
            doutputs = [dvalues[i] if i >= 0 else None for i in node.outputs]
            if all(dy is None for dy in doutputs):
                continue
            dinputs, dweights = OPS[node.op].backward(doutputs, saved)
            for value, dx in zip(node.inputs, dinputs, strict=True):
                if value >= 0:
                    _accumulate(dvalues, value, dx)
            for number, dw in zip(node.parameters, dweights, strict=True):
                if program.parameters[number].trainable:
                    self._window(self._gradients, program.parameters[number])[...] += dw
        return [dvalues[i] for i in program.inputs]

    def configure(self, training: Training, slots: Array) -> None:
        """Set what `train` and `test` minimise and measure; `slots` (S, P) is shared like the parameters."""
        if training.optimizer is not None:
            if training.optimizer.kind not in OPTIMIZERS:
                raise ValueError(f"training: unknown optimizer {training.optimizer.kind!r}; known: {list(OPTIMIZERS)}")
            shape = (training.optimizer.slot_count(), self._parameters.size)
            _check(slots, "slots", shape, self._parameters.dtype)
        for loss in training.losses:
            if loss.kind not in LOSSES:
                raise ValueError(f"training: unknown loss {loss.kind!r}; known: {list(LOSSES)}")
        for metric in training.metrics:
            if metric.kind not in (*LOSSES, *METRICS, "confusion"):
                raise ValueError(f"training: unknown metric {metric.kind!r}; known: {[*LOSSES, *METRICS, 'confusion']}")
        self._training = training
        self._slots = slots

    def apply_gradients(self, learning_rate: float, step: int) -> None:
        """Clip `gradients` and update `parameters` and `slots`: all of them or, on an error, none."""
        optimizer = self._configured().optimizer
        if optimizer is None:
            raise ValueError("apply_gradients: expected an optimizer in the training description")
        elements = self._trainable_elements
        parameters, slots = update(
            optimizer,
            self._parameters[elements],
            [self._window(self._gradients, parameter).reshape(-1) for parameter in self._trainable],
            self._slots[:, elements],
            float(learning_rate),
            step,
        )
        with _uninterrupted():
            self._parameters[elements] = parameters
            self._slots[:, elements] = slots

    def train(
        self,
        inputs: Sequence[Array],
        targets: Sequence[Array],
        order: Array,
        *,
        batch_size: int,
        learning_rate: Array,
        step: int,
        seed: int,
        state: Array,
        sample_weight: Weights | None = None,
        lengths: Array | None = None,
        on_batch: OnBatch | None = None,
        every_batch: bool = False,
    ) -> int:
        """Train on the samples in `order`, batch by batch; return the number of batches done."""
        training = self._configured()
        batches = self._batches(inputs, order, batch_size, lengths)
        _check(learning_rate, "learning_rate", (len(batches),), np.dtype(np.float64))
        _check(state, "state", (training.state_size(),), np.dtype(np.float64))

        def run(number: int, rows: Array) -> None:
            outputs = self.forward(
                [array[rows] for array in inputs],
                None if lengths is None else lengths[rows],
                training=True,
                seed=seed,
                step=step + number,
            )
            increment, output_gradients = self._measure(outputs, targets, sample_weight, rows)
            self.backward(output_gradients)
            for regularizer in training.regularizers:
                parameter = self._program.parameters[regularizer.parameter]
                if parameter.trainable:
                    w = self._window(self._parameters, parameter)
                    gradient = self._window(self._gradients, parameter)
                    gradient += regularizer.l1 * np.sign(w) + 2 * regularizer.l2 * w
            with _uninterrupted():
                self.apply_gradients(learning_rate[number], step + number)
                state[...] += increment

        return _loop(batches, run, on_batch, every_batch)

    def test(
        self,
        inputs: Sequence[Array],
        targets: Sequence[Array],
        order: Array,
        *,
        batch_size: int,
        state: Array,
        sample_weight: Weights | None = None,
        lengths: Array | None = None,
        on_batch: OnBatch | None = None,
        every_batch: bool = False,
    ) -> int:
        """Measure losses and metrics on the samples in `order`; return the number of batches done."""
        training = self._configured()
        batches = self._batches(inputs, order, batch_size, lengths)
        _check(state, "state", (training.state_size(),), np.dtype(np.float64))

        def run(number: int, rows: Array) -> None:
            outputs = self.forward([array[rows] for array in inputs], None if lengths is None else lengths[rows])
            state[...] += self._measure(outputs, targets, sample_weight, rows)[0]

        return _loop(batches, run, on_batch, every_batch)

    def predict(
        self,
        inputs: Sequence[Array],
        order: Array,
        *,
        batch_size: int,
        outputs: Sequence[Array],
        lengths: Array | None = None,
        on_batch: OnBatch | None = None,
        every_batch: bool = False,
    ) -> int:
        """Fill `outputs` (len(order), ...) with the predictions; return the number of batches done."""
        batches = self._batches(inputs, order, batch_size, lengths)
        for output in outputs:
            if len(output) != len(order):
                raise ValueError(f"outputs: expected {len(order)} rows, as in order, got {len(output)}")

        def run(number: int, rows: Array) -> None:
            results = self.forward([array[rows] for array in inputs], None if lengths is None else lengths[rows])
            start = number * batch_size
            for output, result in zip(outputs, results, strict=True):
                output[start : start + len(rows)] = result

        return _loop(batches, run, on_batch, every_batch)

    def _measure(
        self, outputs: list[Array], targets: Sequence[Array], sample_weight: Weights | None, rows: Array
    ) -> tuple[Array, Arrays]:
        """What this batch adds to the state, and the gradient of its loss to each output."""
        training = self._configured()
        output_gradients: Arrays = [None] * len(outputs)
        weight_of_output: dict[int, Array | None] = {}
        batch_losses = []
        for number, loss in enumerate(training.losses):
            weight = None if sample_weight is None else sample_weight[number]
            weight = None if weight is None else weight[rows]
            weight_of_output[loss.output] = weight
            target = targets[loss.output][rows]
            value, gradient = LOSSES[loss.kind](target, outputs[loss.output], **loss.attributes)
            batch_loss, gradient = weighted_loss(value, gradient, weight)
            batch_losses.append(batch_loss)
            _accumulate(output_gradients, loss.output, loss.weight * gradient)

        total = sum(loss.weight * value for loss, value in zip(training.losses, batch_losses, strict=True))
        for regularizer in training.regularizers:
            w = self._window(self._parameters, self._program.parameters[regularizer.parameter]).astype(np.float64)
            total += regularizer.l1 * np.abs(w).sum() + regularizer.l2 * (w * w).sum()

        shown = [total, *(batch_losses if len(batch_losses) > 1 else [])]
        increments = [np.array([value * len(rows), len(rows)]) for value in shown]
        for metric in training.metrics:
            weight = weight_of_output.get(metric.output) if metric.weighted else None
            increments.append(state_increment(metric, targets[metric.output][rows], outputs[metric.output], weight))
        return np.concatenate(increments), output_gradients

    def _window(self, vector: Array, parameter: Parameter) -> Array:
        """The view of a parameter in a flat vector (P,)."""
        return vector[parameter.offset : parameter.offset + parameter.size].reshape(parameter.shape)

    def _configured(self) -> Training:
        if self._training is None:
            raise ValueError("executor: expected a call of configure before training or testing")
        return self._training

    def _batches(self, inputs: Sequence[Array], order: Array, batch_size: int, lengths: Array | None) -> list[Array]:
        """`order` cut into batches, after a check of the samples."""
        self._check_samples(inputs, lengths)
        samples = len(inputs[0])
        if order.ndim != 1 or order.dtype != np.int64:
            raise TypeError(f"order: expected a vector of int64, got {order.dtype} of shape {order.shape}")
        if order.size and not 0 <= order.min() <= order.max() < samples:
            raise ValueError(f"order: expected sample numbers from 0 to {samples - 1}")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

    def _check_samples(self, inputs: Sequence[Array], lengths: Array | None) -> None:
        program, dtype = self._program, self._parameters.dtype
        if len(inputs) != len(program.inputs):
            raise ValueError(f"inputs: expected {len(program.inputs)} array(s), got {len(inputs)}")
        samples = len(inputs[0])
        for number, array in zip(program.inputs, inputs, strict=True):
            value = program.values[number]
            expected = np.dtype(np.int32) if value.dtype == "int" else dtype
            _check(array, value.name, (samples, *value.shape[1:]), expected)
        if lengths is not None:
            _check(lengths, "lengths", (samples,), np.dtype(np.int32))


def _check(array: Array, name: str, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> None:
    """Check dtype and shape, where None fits any size."""
    if array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}")
    fits = len(array.shape) == len(shape) and all(
        expected in (None, given) for expected, given in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def _accumulate(gradients: Arrays, index: int, gradient: Array | None) -> None:
    """Add to a gradient that may still be absent; never in place, for the array may be the caller's."""
    held = gradients[index]
    if gradient is not None:
        gradients[index] = gradient if held is None else held + gradient


def _loop(batches: list[Array], run: Callable[[int, Array], None], on_batch: OnBatch | None, every_batch: bool) -> int:
    """Run every batch; report to `on_batch`, which may stop the loop by returning True."""
    last_call = time.monotonic()
    for number, rows in enumerate(batches):
        run(number, rows)
        if on_batch is not None and (every_batch or time.monotonic() - last_call >= CALL_INTERVAL):
            if on_batch(number + 1):
                return number + 1
            last_call = time.monotonic()
    return len(batches)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until the block is done, so that it cannot leave half a step."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if held and callable(previous):
            previous(*held[-1])
