"""Training with metrics that are computed in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnncore._turns import Turns
from rnncore.data import Array
from rnncore.program import Program
from rnncore.training.compilation import Compilation
from rnncore.training.custom_loss import batch_of, batches, counted


class FunctionMetricsExecutor:
    """Trains and tests with an executor, and adds to the metrics that it does not know.

    For these the outputs of each batch are computed once more, before its step: with the same random numbers.
    """

    def __init__(self, executor: Any, compilation: Compilation, program: Program, parameters: Array) -> None:
        self._executor = executor
        self._measures = [measure for measure in compilation.measures if not measure.native]
        self._known = compilation.training(()).state_size()
        self._parameters = parameters
        self._turns = Turns()
        self._held = parameters
        self._looker = executor
        if any(node.op == "batch_normalization" for node in program.nodes):
            # Whose forward pass in training moves averages, which the step itself will do.
            self._held = parameters.copy()
            self._looker = type(executor)(program, self._held, np.zeros_like(parameters))

    def train(
        self,
        inputs: Sequence[Array],
        targets: Sequence[Array],
        order: Array,
        *,
        learning_rate: Array,
        step: int,
        seed: int,
        **options: Any,
    ) -> int:
        """As `Executor.train`."""

        def run(number: int, **batch: Any) -> None:
            rates = learning_rate[number : number + 1]
            self._executor.train(inputs, targets, learning_rate=rates, step=step + number, seed=seed, **batch)

        mode = {"training": True, "seed": seed, "step": step}
        return self._run(run, mode, inputs, targets, order, **options)

    def test(self, inputs: Sequence[Array], targets: Sequence[Array], order: Array, **options: Any) -> int:
        """As `Executor.test`."""

        def run(number: int, **batch: Any) -> None:
            self._executor.test(inputs, targets, **batch)

        return self._run(run, {}, inputs, targets, order, **options)

    def _run(
        self,
        run: Callable[..., None],
        mode: dict[str, Any],
        inputs: Sequence[Array],
        targets: Sequence[Array],
        order: Array,
        *,
        batch_size: int,
        state: Array,
        sample_weight: Sequence[Array | None] | None = None,
        lengths: Array | None = None,
        on_batch: Callable[[int], bool] | None = None,
        every_batch: bool = False,
        states: Array | None = None,
        resume: bool = True,
    ) -> int:
        """Run the batches one by one; return the number of batches done."""
        for number, rows in enumerate(batches(order, batch_size)):
            given = [None] * len(targets) if sample_weight is None else sample_weight
            weights = [batch_of(array, rows) for array in given]
            batch = mode | {"step": mode["step"] + number} if mode else {}
            batch |= {"states": None if states is None else states.copy(), "resume": resume}
            increment = self._increment(
                [array[rows] for array in inputs],
                [batch_of(array, rows) for array in targets],
                weights,
                batch_of(lengths, rows),
                **batch,
            )
            run(
                number,
                order=rows,
                batch_size=batch_size,
                state=state[: self._known],
                sample_weight=sample_weight,
                lengths=lengths,
                states=states,
                resume=resume,
            )
            state[self._known :] += increment
            if on_batch is not None and on_batch(number + 1):
                return number + 1
        return -(-len(order) // batch_size)

    def _increment(
        self,
        inputs: list[Array],
        targets: list[Array | None],
        weights: list[Array | None],
        lengths: Array | None,
        **run: Any,
    ) -> Array:
        """What a batch adds to the metrics."""
        with self._turns:
            if self._held is not self._parameters:
                self._held[...] = self._parameters
            made = self._looker.forward(inputs, lengths, **run, masks=True)
        outputs, real = made[: len(targets)], made[len(targets) :]
        found = []
        for measure in self._measures:
            k = measure.output
            weight = counted(weights[k] if measure.weighted else None, real[k], outputs[k])
            target = targets[k]
            assert target is not None
            found.append(measure.metric.increment(target, outputs[k], weight))
        return np.concatenate(found)
