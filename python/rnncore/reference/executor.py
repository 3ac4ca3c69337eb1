"""The NumPy executor: runs a Program node by node and trains it batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from .._quiet import quiet
from .._sequence_arguments import Array
from .._turns import Turns, turns_with
from .._whole_steps import undone_on_error, uninterrupted
from ..batches import Batches, Samples, Update
from ..program import Parameter, Program, Training
from .checks import check_array, check_program, check_rows, check_samples, check_states, check_training, checked
from .constraints import CONSTRAINTS
from .masking import real_steps
from .objective import Objective
from .op import Arrays, Run
from .ops import OPS
from .optimizers import update
from .passes import Pass, Passes
from .sequence import Tape

__all__ = ["Executor"]

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
        check_program(program, parameters, gradients)
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
        self._passes = Passes()
        self._turns = turns_with(parameters)  # a step each, executors of the same weights among them
        self._own_turns = Turns()

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
        masks: bool = False,
    ) -> list[Any]:
        """Compute the outputs; with `training`, draw dropout masks and keep what `backward` needs.

        With `masks` there follows for each output which of its steps are valid (N, T), or None for all.
        """
        if states is not None:
            check_states(self._program, self._parameters.dtype, states, len(inputs[0]))
        if training:
            self._refuse_within_step("forward with training=True")
            # The tape holds them.
            inputs, lengths = [np.copy(array) for array in inputs], None if lengths is None else np.copy(lengths)
        with self._turn():
            written = None if states is None else states.copy()
            with undone_on_error(self._program, self._parameters) if training else nullcontext():
                done = self._forward(inputs, lengths, Run(training, seed, step, states=written, resume=resume))
            _commit(states, written)
            if training:
                done = replace(done, parameters=[window.copy() for window in self._windows()])
        if training:
            self._passes.forward = done
        if not masks:
            return done.outputs
        return [*done.outputs, *(_own_mask(mask, y) for mask, y in zip(done.masks, done.outputs, strict=True))]

    @quiet
    def _forward(
        self,
        inputs: Sequence[Array],
        lengths: Array | None,
        run: Run,
    ) -> Pass:
        program, dtype = self._program, self._parameters.dtype
        check_samples(program, dtype, inputs, lengths)
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
                    replace(run, node=index, dtype=dtype),
                )
            except ValueError as error:
                raise ValueError(f"{node.name}: {error}") from error
            for value, output in zip(node.outputs, outputs, strict=True):
                if value >= 0:
                    values[value] = output
            tape.append((node, saved))
        outputs = [np.copy(values[i]) for i in program.outputs]  # what the caller does to them is not felt here
        masks = [None if mask < 0 else values[mask] for mask in program.masks or [-1] * len(outputs)]
        penalised = [] if self._objective is None else [values[i] for i in self._objective.penalised]
        return Pass(outputs, masks, penalised, tape if run.training else [])

    def backward(self, output_gradients: Sequence[Array | None]) -> list[Array | None]:
        """Write the gradients of the trainable parameters; return those of the inputs.

        Goes through the last forward pass with `training` of the same thread, once. A None among `output_gradients`
        stands for zeros; an integer input has no gradient, None.
        """
        self._refuse_within_step("backward")
        done = self._passes.forward
        if done is None:
            raise ValueError("backward: expected a forward pass with training=True before it")
        with self._turn():
            if any(a.tobytes() != b.tobytes() for a, b in zip(done.parameters, self._windows(), strict=True)):
                self._passes.forward = None
                raise ValueError("backward: the weights have changed since the forward pass; run it again")
            gradients = self._backward(done, output_gradients, [])
        self._passes.forward = None
        return gradients

    def turn(self) -> Turns:
        """Around what others must not compute in, or change the weights."""
        return self._turns

    @property
    def last_pass(self) -> Pass | None:
        """What `backward` goes through: this thread's last forward pass in training, or None."""
        return self._passes.forward

    @last_pass.setter
    def last_pass(self, last_pass: Pass | None) -> None:
        self._passes.forward = last_pass

    @quiet
    def _backward(
        self, done: Pass, output_gradients: Sequence[Array | None], penalties: Sequence[Array]
    ) -> list[Array | None]:
        """As `backward`; `penalties` are the gradients to the values with activity regularizers."""
        program = self._program
        dvalues: Arrays = [None] * len(program.values)
        if len(output_gradients) != len(program.outputs):
            raise ValueError(f"output_gradients: expected {len(program.outputs)}, got {len(output_gradients)}")
        for number, array in enumerate(output_gradients):
            if array is not None:
                check_array(array, f"output_gradients[{number}]", done.outputs[number].shape, self._parameters.dtype)
                _accumulate(dvalues, program.outputs[number], np.copy(array))
        if self._objective is not None:
            for value, gradient in zip(self._objective.penalised, penalties, strict=False):
                _accumulate(dvalues, value, gradient)
        self._gradients[self._trainable_elements] = 0
        for node, saved in reversed(done.tape):
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
        self._passes.last = done
        return [dvalues[i] for i in program.inputs]

    def state_gradients(self) -> dict[str, Array]:
        """After `backward` or `train` of this thread: the gradient (N, T, H) to h after each step, by recurrent node.

        It counts what h does by way of all later steps; at steps that are not valid it is zero.
        """
        found = {}
        for node, saved in self._passes.last.tape if self._passes.last else []:
            for entry in saved if isinstance(saved, tuple) else ():
                if isinstance(entry, Tape):
                    found[node.name] = entry.dhidden
        return found

    def configure(self, training: Training, slots: Array) -> None:
        """Set what `train` and `test` minimise and measure; `slots` (S, P) is shared like the parameters."""
        self._refuse_within_step("configure")
        if self._own_turns.in_series:
            raise ValueError("configure: not possible while the executor trains, tests or predicts")
        check_training(training, slots, self._program, self._parameters)
        parameters = self._program.parameters
        objective = Objective(
            training,
            self._program,
            [self._window(self._parameters, parameter) for parameter in parameters],
            [self._window(self._gradients, parameter) if parameter.trainable else None for parameter in parameters],
        )
        with self._turn():
            self._objective, self._training, self._slots = objective, training, slots

    def apply_gradients(self, learning_rate: float, step: int) -> None:
        """Clip `gradients` and update `parameters` and `slots`: all of them or, on an error, none."""
        self._refuse_within_step("apply_gradients")
        with self._turn():
            self._apply_gradients(learning_rate, step)

    @quiet
    def _apply_gradients(self, learning_rate: float, step: int) -> None:
        training, _ = self._configured()
        if (optimizer := training.optimizer) is None:
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
        for constraint in training.constraints:
            parameter = self._program.parameters[constraint.parameter]
            if parameter.trainable:
                window = self._place(parameter)
                w = parameters[window].reshape(parameter.shape)
                parameters[window] = CONSTRAINTS[constraint.kind](w, **constraint.attributes).reshape(-1)
        with uninterrupted():
            self._parameters[elements] = parameters
            self._slots[:, elements] = slots

    def train(self, batches: Batches, update: Update, state: Array) -> int:
        """Train on the samples batch by batch, and add what they measure to `state`; return how many batches were."""
        self._refuse_within_step("train")
        batches = checked(self._program, self._parameters.dtype, batches)
        evaluate = self._evaluation(batches.samples, state)
        check_array(update.rates, "rates", (batches.count,), np.dtype(np.float64))
        training, objective = self._configured()
        self._passes.forward = None

        def run(number: int, rows: Array) -> None:
            with undone_on_error(self._program, self._parameters) as undo:
                done, states = self._batch(batches, rows, True, update.seed, update.step + number)
                increment, output_gradients = evaluate(done, rows)
                self._backward(done, output_gradients, objective.activity_gradients(done.penalised))
                objective.regularize()
                with uninterrupted():
                    if training.optimizer is not None:
                        self._apply_gradients(update.rates[number], update.step + number)
                    state[...] += increment
                    _commit(batches.states, states)
                    undo.clear()

        return self._loop(batches, run)

    def test(self, batches: Batches, state: Array) -> int:
        """Add what the samples measure, losses and metrics, to `state`; return the number of batches done."""
        batches = checked(self._program, self._parameters.dtype, batches)
        evaluate = self._evaluation(batches.samples, state)

        def run(number: int, rows: Array) -> None:
            done, states = self._batch(batches, rows)
            increment, _ = evaluate(done, rows)
            with uninterrupted():
                state[...] += increment
                _commit(batches.states, states)

        return self._loop(batches, run)

    def predict(self, batches: Batches, outputs: Sequence[Array]) -> int:
        """Fill `outputs` (len(order), ...) with the predictions; return the number of batches done."""
        batches = checked(self._program, self._parameters.dtype, batches)
        for output in outputs:
            if len(output) != len(batches.order):
                raise ValueError(f"outputs: expected {len(batches.order)} rows, as in order, got {len(output)}")

        def run(number: int, rows: Array) -> None:
            done, states = self._batch(batches, rows)
            _commit(batches.states, states)
            start = number * batches.batch_size
            for output, result in zip(outputs, done.outputs, strict=True):
                output[start : start + len(rows)] = result

        return self._loop(batches, run)

    def _batch(
        self, batches: Batches, rows: Array, training: bool = False, seed: int = 0, step: int = 0
    ) -> tuple[Pass, Array | None]:
        """A forward pass over the samples of these numbers, and the states after it."""
        samples, states = batches.samples, None if batches.states is None else batches.states.copy()
        inputs = [array[rows] for array in samples.inputs]
        lengths = None if samples.lengths is None else samples.lengths[rows]
        run = Run(training, seed, step, states=states, resume=batches.resume)
        return self._forward(inputs, lengths, run), states

    def _loop(self, batches: Batches, run: Callable[[int, Array], None]) -> int:
        """Run every batch; report to `on_batch`, which may stop the loop by returning True.

        Others have their turn between batches.
        """
        last_call = time.monotonic()
        with self._own_turns.series():
            for number, batch in enumerate(batches.each()):
                with self._turn():
                    run(number, batch.order)
                waits = not batches.every_batch and time.monotonic() - last_call < CALL_INTERVAL
                if batches.on_batch is not None and not waits:
                    if batches.on_batch(number + 1):
                        return number + 1
                    last_call = time.monotonic()
        return batches.count

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Around what the weights must not change in."""
        with self._turns, self._own_turns:
            yield

    def _refuse_within_step(self, what: str) -> None:
        if self._own_turns.mine:
            raise ValueError(f"{what}: not possible from a signal handler while the executor computes")

    def _windows(self) -> list[Array]:
        """The parameters that backward may read: all but the averages of batch normalization."""
        moved = self._program.moved
        return [self._window(self._parameters, p) for p in self._program.parameters if p not in moved]

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

    def _evaluation(self, samples: Samples, state: Array) -> Callable[[Pass, Array], tuple[Array, Arrays]]:
        """A function of the pass of a batch and its rows, after a check of what belongs to the samples."""
        training, objective = self._configured()
        check_array(state, "state", (training.state_size(),), np.dtype(np.float64))
        outputs = len(self._program.outputs)
        targets, weights = list(samples.targets), list(samples.weights) or [None] * outputs
        check_rows("targets", targets, outputs, samples.rows)
        check_rows("sample_weight", weights, outputs, samples.rows)

        def evaluate(done: Pass, rows: Array) -> tuple[Array, Arrays]:
            return objective.evaluate(
                done.outputs,
                [array[rows] for array in targets],
                [None if weight is None else weight[rows] for weight in weights],
                done.masks,
                done.penalised,
                rows,
            )

        return evaluate


def _commit(states: Array | None, written: Array | None) -> None:
    """Let the caller's states be those after the step."""
    if states is not None and written is not None:
        states[...] = written


def _own_mask(mask: Array | None, output: Array) -> Array | None:
    """Which steps of an output are valid (N, T), as an array of its own."""
    return None if mask is None else real_steps(mask, output.shape).astype(np.int32)


def _accumulate(gradients: Arrays, index: int, gradient: Array | None) -> None:
    """Add to a gradient that may still be absent; never in place, for the array may be the caller's."""
    held = gradients[index]
    if gradient is not None:
        gradients[index] = gradient if held is None else held + gradient
