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
from .constraints import CONSTRAINTS
from .objective import Objective
from .op import Arrays, Run
from .ops import OPS
from .optimizers import OPTIMIZERS, update
from .sequence import Tape

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
        if not (parameters.flags.c_contiguous and gradients.flags.c_contiguous):
            raise ValueError("parameters, gradients: expected contiguous vectors")
        for node in program.nodes:
            if node.op not in OPS:
                raise ValueError(f"program: unknown op {node.op!r} in node {node.name!r}; known: {sorted(OPS)}")
        _check_order(program)
        _check_masks(program)
        self._program = program
        self._parameters = parameters
        self._gradients = gradients
        self._trainable = [parameter for parameter in program.parameters if parameter.trainable]
        self._trainable_elements = np.concatenate(
            [np.arange(0), *(np.arange(p.offset, p.offset + p.size) for p in self._trainable)]
        )
        self._training: Training | None = None
        self._objective: Objective | None = None
        self._slots = np.zeros((0, parameters.size), parameters.dtype)
        self._tape: list[tuple[Node, Any]] | None = None
        self._seen: list[Array] | None = None  # the parameters that `forward` with training read, for `backward`
        self._output_shapes: list[tuple[int, ...]] = []
        self._output_masks: Arrays = []
        self._penalised: list[Array] = []  # the values with activity regularizers

    def forward(
        self,
        inputs: Sequence[Array],
        lengths: Array | None = None,
        *,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
        states: Array | None = None,
        resume: bool = True,
    ) -> list[Array]:
        """Compute the outputs; with `training`, draw dropout masks and keep what `backward` needs."""
        if states is not None:
            self._check_states(states, len(inputs[0]))
        written = None if states is None else states.copy()
        if training:  # the tape holds them
            inputs, lengths = [np.copy(array) for array in inputs], None if lengths is None else np.copy(lengths)
        outputs = self._forward(inputs, lengths, training, seed, step, written, resume)
        _commit(states, written)
        self._seen = [window.copy() for window in self._windows()] if training else None
        return outputs

    def _forward(
        self,
        inputs: Sequence[Array],
        lengths: Array | None,
        training: bool,
        seed: int,
        step: int,
        states: Array | None,
        resume: bool,
    ) -> list[Array]:
        program = self._program
        self._seen = None
        self._check_samples(inputs, lengths)
        values: Arrays = [None] * len(program.values)
        for value, array in zip(program.inputs, inputs, strict=True):
            values[value] = array
        if program.lengths >= 0:
            values[program.lengths] = lengths
        tape = []
        for index, node in enumerate(program.nodes):
            try:
                outputs, saved = OPS[node.op].forward(
                    [values[i] if i >= 0 else None for i in node.inputs],
                    [self._window(self._parameters, program.parameters[p]) for p in node.parameters],
                    node.attributes,
                    Run(training, seed, step, index, self._parameters.dtype, states, resume),
                )
            except ValueError as error:
                raise ValueError(f"{node.name}: {error}") from error
            for value, output in zip(node.outputs, outputs, strict=True):
                if value >= 0:
                    values[value] = output
            tape.append((node, saved))
        outputs = [np.copy(values[i]) for i in program.outputs]  # what the caller does to them is not felt here
        self._tape = tape if training else None
        self._output_masks = [None if mask < 0 else values[mask] for mask in program.masks or [-1] * len(outputs)]
        self._output_shapes = [output.shape for output in outputs]
        self._penalised = [] if self._objective is None else [values[i] for i in self._objective.penalised]
        return outputs

    def backward(self, output_gradients: Sequence[Array | None]) -> list[Array | None]:
        """Write the gradients of the trainable parameters; return those of the inputs.

        A None among `output_gradients` stands for zeros; an integer input has no gradient, None.
        """
        if self._seen is None:
            raise ValueError("backward: expected a forward pass with training=True before it")
        if any(seen.tobytes() != window.tobytes() for seen, window in zip(self._seen, self._windows(), strict=True)):
            self._seen = None
            raise ValueError("backward: the weights have changed since the forward pass; run it again")
        found = self._backward(output_gradients, [])
        self._seen = None
        return found

    def _backward(self, output_gradients: Sequence[Array | None], penalties: Sequence[Array]) -> list[Array | None]:
        """As `backward`; `penalties` are the gradients to the values with activity regularizers."""
        assert self._tape is not None
        program = self._program
        dvalues: Arrays = [None] * len(program.values)
        if len(output_gradients) != len(program.outputs):
            raise ValueError(f"output_gradients: expected {len(program.outputs)}, got {len(output_gradients)}")
        for number, array in enumerate(output_gradients):
            if array is not None:
                _check(array, f"output_gradients[{number}]", self._output_shapes[number], self._parameters.dtype)
                _accumulate(dvalues, program.outputs[number], np.copy(array))
        if self._objective is not None:
            for value, gradient in zip(self._objective.penalised, penalties, strict=False):
                _accumulate(dvalues, value, gradient)
        for parameter in self._trainable:
            self._window(self._gradients, parameter)[...] = 0
        for node, saved in reversed(self._tape):
            doutputs = [dvalues[i] if i >= 0 else None for i in node.outputs]
            if all(dy is None for dy in doutputs):  # also of a node without outputs
                continue
            dinputs, dweights = OPS[node.op].backward(doutputs, saved)
            for value, dx in zip(node.inputs, dinputs, strict=True):
                if value >= 0:
                    _accumulate(dvalues, value, dx)
            for number, dw in zip(node.parameters, dweights, strict=True):
                if program.parameters[number].trainable:
                    self._window(self._gradients, program.parameters[number])[...] += dw
        return [dvalues[i] for i in program.inputs]

    def state_gradients(self) -> dict[str, Array]:
        """After `backward` or `train`: the gradient (N, T, H) to h after each step of each recurrent node, by name.

        It counts what h does by way of all later steps; at steps that are not real it is zero.
        """
        found = {}
        for node, saved in self._tape or []:
            for entry in saved if isinstance(saved, tuple) else ():
                if isinstance(entry, Tape):
                    found[node.name] = entry.dhidden
        return found

    def configure(self, training: Training, slots: Array) -> None:
        """Set what `train` and `test` minimise and measure; `slots` (S, P) is shared like the parameters."""
        if training.optimizer is not None:
            if training.optimizer.kind not in OPTIMIZERS:
                raise ValueError(f"training: unknown optimizer {training.optimizer.kind!r}; known: {list(OPTIMIZERS)}")
            shape = (training.optimizer.slot_count(), self._parameters.size)
            _check(slots, "slots", shape, self._parameters.dtype)
        parameters = self._program.parameters
        for constraint in training.constraints:
            if constraint.kind not in CONSTRAINTS:
                raise ValueError(f"training: unknown constraint {constraint.kind!r}; known: {sorted(CONSTRAINTS)}")
            if not 0 <= constraint.parameter < len(parameters):
                raise ValueError(
                    f"training: a constraint is on parameter {constraint.parameter}, the program has {len(parameters)}"
                )
        self._objective = Objective(
            training,
            self._program,
            [self._window(self._parameters, parameter) for parameter in parameters],
            [self._window(self._gradients, parameter) if parameter.trainable else None for parameter in parameters],
        )
        self._training = training
        self._slots = slots

    def apply_gradients(self, learning_rate: float, step: int) -> None:
        """Clip `gradients` and update `parameters` and `slots`: all of them or, on an error, none."""
        optimizer = self._configured()[0].optimizer
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
        for constraint in self._configured()[0].constraints:
            parameter = self._program.parameters[constraint.parameter]
            if parameter.trainable:
                window = self._place(parameter)
                w = parameters[window].reshape(parameter.shape)
                parameters[window] = CONSTRAINTS[constraint.kind](w, **constraint.attributes).reshape(-1)
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
        states: Array | None = None,
        resume: bool = True,
    ) -> int:
        """Train on the samples in `order`, batch by batch; return the number of batches done."""
        batches = self._batches(inputs, order, batch_size, lengths, states)
        lengths = None if lengths is None else lengths.copy()
        evaluate = self._evaluation(len(inputs[0]), targets, sample_weight, state)
        _check(learning_rate, "learning_rate", (len(batches),), np.dtype(np.float64))
        _, objective = self._configured()

        def run(number: int, rows: Array) -> None:
            written = None if states is None else states.copy()
            outputs = self._forward(
                [array[rows] for array in inputs],
                None if lengths is None else lengths[rows],
                True,
                seed,
                step + number,
                written,
                resume,
            )
            increment, output_gradients = evaluate(outputs, rows)
            self._backward(output_gradients, objective.activity_gradients(self._penalised))
            objective.regularize()
            with _uninterrupted():
                self.apply_gradients(learning_rate[number], step + number)
                state[...] += increment
                _commit(states, written)

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
        states: Array | None = None,
        resume: bool = True,
    ) -> int:
        """Measure losses and metrics on the samples in `order`; return the number of batches done."""
        batches = self._batches(inputs, order, batch_size, lengths, states)
        lengths = None if lengths is None else lengths.copy()
        evaluate = self._evaluation(len(inputs[0]), targets, sample_weight, state)

        def run(number: int, rows: Array) -> None:
            written = None if states is None else states.copy()
            batch = [array[rows] for array in inputs]
            outputs = self._forward(batch, None if lengths is None else lengths[rows], False, 0, 0, written, resume)
            increment, _ = evaluate(outputs, rows)
            with _uninterrupted():
                state[...] += increment
                _commit(states, written)

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
        states: Array | None = None,
        resume: bool = True,
    ) -> int:
        """Fill `outputs` (len(order), ...) with the predictions; return the number of batches done."""
        batches = self._batches(inputs, order, batch_size, lengths, states)
        lengths = None if lengths is None else lengths.copy()
        for output in outputs:
            if len(output) != len(order):
                raise ValueError(f"outputs: expected {len(order)} rows, as in order, got {len(output)}")

        def run(number: int, rows: Array) -> None:
            results = self.forward(
                [array[rows] for array in inputs],
                None if lengths is None else lengths[rows],
                states=states,
                resume=resume,
            )
            start = number * batch_size
            for output, result in zip(outputs, results, strict=True):
                output[start : start + len(rows)] = result

        return _loop(batches, run, on_batch, every_batch)

    def _windows(self) -> list[Array]:
        return [self._window(self._parameters, parameter) for parameter in self._program.parameters]

    def _window(self, vector: Array, parameter: Parameter) -> Array:
        """The view of a parameter in a flat vector (P,)."""
        return vector[parameter.offset : parameter.offset + parameter.size].reshape(parameter.shape)

    def _place(self, parameter: Parameter) -> slice:
        """Where a trainable parameter lies in the vector of all trainable ones."""
        start = sum(other.size for other in self._trainable[: self._trainable.index(parameter)])
        return slice(start, start + parameter.size)

    def _configured(self) -> tuple[Training, Objective]:
        if self._training is None or self._objective is None:
            raise ValueError("executor: expected a call of configure before training or testing")
        return self._training, self._objective

    def _evaluation(
        self,
        samples: int,
        targets: Sequence[Array],
        sample_weight: Weights | None,
        state: Array,
    ) -> Callable[[list[Array], Array], tuple[Array, Arrays]]:
        """A function of the outputs of a batch and its rows, after a check of what belongs to the samples."""
        training, objective = self._configured()
        _check(state, "state", (training.state_size(),), np.dtype(np.float64))
        weights = [None] * len(training.losses) if sample_weight is None else sample_weight
        for name, arrays, count in (
            ("targets", targets, len(self._program.outputs)),
            ("sample_weight", weights, len(training.losses)),
        ):
            if len(arrays) != count:
                raise ValueError(f"{name}: expected {count} array(s), got {len(arrays)}")
            for array in arrays:
                if array is not None and len(array) != samples:
                    raise ValueError(f"{name}: expected {samples} rows, as in the inputs, got {len(array)}")

        def evaluate(outputs: list[Array], rows: Array) -> tuple[Array, Arrays]:
            return objective.evaluate(
                outputs,
                [array[rows] for array in targets],
                [None if weight is None else weight[rows] for weight in weights],
                self._output_masks,
                self._penalised,
                rows,
            )

        return evaluate

    def _check_states(self, states: Array, samples: int) -> None:
        _check(states, "states", (samples * self._program.state_size,), self._parameters.dtype)

    def _batches(
        self,
        inputs: Sequence[Array],
        order: Array,
        batch_size: int,
        lengths: Array | None,
        states: Array | None,
    ) -> list[Array]:
        """`order` cut into batches, after a check of the samples."""
        self._check_samples(inputs, lengths)
        samples = len(inputs[0])
        if order.ndim != 1 or order.dtype != np.int64:
            raise TypeError(f"order: expected a vector of int64, got {order.dtype} of shape {order.shape}")
        if order.size and not 0 <= order.min() <= order.max() < samples:
            raise ValueError(f"order: expected sample numbers from 0 to {samples - 1}")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        if states is not None:
            if len(order) % batch_size:
                raise ValueError(
                    f"states: expected batches of {batch_size} samples, the last one has {len(order) % batch_size}"
                )
            self._check_states(states, batch_size)
        order = order.copy()  # callbacks may write to it, as to the lengths
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


def _check_order(program: Program) -> None:
    """Nodes are in an order in which each value is made, once, before it is read; so there is no cycle."""
    made = {*program.inputs, program.lengths} - {-1}

    def read(reader: str, ids: Sequence[int]) -> None:
        for value in ids:
            if value != -1 and not 0 <= value < len(program.values):
                raise ValueError(f"program: value {value} does not exist")
            if value != -1 and value not in made:
                raise ValueError(f"program: {reader} reads value {value} before it is made")

    for node in program.nodes:
        read(node.name, node.inputs)
        for value in node.outputs:
            if value in made:
                raise ValueError(f"program: {node.name} makes value {value}, which is there already")
            made |= {value} - {-1}
    read("an output", program.outputs)
    read("a mask of an output", program.masks)


def _check_masks(program: Program) -> None:
    """Check that masks belong to outputs with a time axis."""
    if program.masks and len(program.masks) != len(program.outputs):
        raise ValueError(
            f"program: expected one mask for each of {len(program.outputs)} output(s), got {len(program.masks)}"
        )
    for number, mask in enumerate(program.masks):
        if mask >= 0 and len(program.values[program.outputs[number]].shape) < 3:
            raise ValueError(f"program: output {number} has a mask, but no time axis")
        if mask not in (-1, program.lengths) and len(program.values[mask].shape) != 2:
            raise ValueError(
                f"program: the mask of output {number} must be (N, T), got shape {program.values[mask].shape}"
            )


def _check(array: Array, name: str, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> None:
    """Check dtype and shape, where None fits any size."""
    if array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}")
    fits = len(array.shape) == len(shape) and all(
        expected in (None, given) for expected, given in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def _commit(states: Array | None, written: Array | None) -> None:
    """Let the caller's states be those after the step."""
    if states is not None and written is not None:
        states[...] = written


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
    is_main = threading.current_thread() is threading.main_thread()  # no other thread is interrupted
    if not is_main or signal.getsignal(signal.SIGINT) is None:  # None: handled outside Python
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
