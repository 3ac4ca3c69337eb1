"""A Program, what to train it on and how: trained by one executor beside the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from executor_calls import run_train
from executor_zoo import Array, random_inputs, random_parameters
from tolerance import RELATIVE, assert_close

from rnncore import _core, reference
from rnncore.program import Optimizer, Program, Training

SAMPLES, BATCH = 31, 8
STEPS_RELATIVE = {dtype: 10 * relative for dtype, relative in RELATIVE.items()}  # after several steps of training
SGD = Optimizer("sgd", {"momentum": 0.9, "nesterov": False})


@dataclass
class Setting:
    """A program, what to train it on, and how."""

    program: Program
    training: Training
    dtype: Any = np.float64
    weights: str = "samples"  # "none", "samples" or "positions"
    samples: int = SAMPLES
    batch: int = BATCH

    def arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arguments that all calls share, and those of the measuring ones."""
        rng = np.random.default_rng(11)
        inputs, lengths = random_inputs(self.program, self.samples, self.dtype)
        parameters = random_parameters(self.program, self.dtype)
        shapes = [
            y.shape
            for y in reference.Executor(self.program, parameters, np.zeros_like(parameters)).forward(inputs, lengths)
        ]
        targets: list[Array] = []
        for number, shape in enumerate(shapes):
            kinds = [item.kind for item in (*self.training.losses, *self.training.metrics) if item.output == number]
            if any(kind.startswith("sparse") for kind in kinds):
                targets.append(rng.integers(shape[-1], size=shape[:-1]).astype(np.int32))
            elif any(kind.endswith("crossentropy") for kind in kinds):
                targets.append(np.eye(shape[-1], dtype=self.dtype)[rng.integers(shape[-1], size=shape[:-1])])
            else:
                targets.append(rng.normal(size=shape).astype(self.dtype))
        weights = None
        if self.weights != "none":
            weights = [
                rng.uniform(size=shape[:-1] if self.weights == "positions" else shape[:1]).astype(self.dtype)
                for shape in shapes
            ]
        order = rng.permutation(self.samples)[: self.samples - 2]
        return (
            {"inputs": inputs, "order": order, "lengths": lengths, "batch_size": self.batch},
            {"targets": targets, "sample_weight": weights},
        )

    def train(self, kind: Any, epochs: int = 2) -> tuple[Array, Array, Array]:
        """Parameters, slots and state after some epochs."""
        parameters = random_parameters(self.program, self.dtype)
        executor = kind(self.program, parameters, np.zeros_like(parameters))
        assert self.training.optimizer is not None
        slots = np.zeros((self.training.optimizer.slot_count(), parameters.size), self.dtype)
        executor.configure(self.training, slots)
        state = np.zeros(self.training.state_size())
        shared, measured = self.arrays()
        batches = -(-len(shared["order"]) // shared["batch_size"])
        for epoch in range(epochs):
            rates = 0.01 / (1 + np.arange(batches) + epoch)
            step = {"learning_rate": rates, "step": epoch * batches, "seed": 5, "state": state}
            assert run_train(executor, **shared, **measured, **step) == batches
        return parameters, slots, state

    def assert_trains_alike(self) -> None:
        relative = STEPS_RELATIVE[np.dtype(self.dtype)]
        parameters, slots, state = self.train(_core.Executor)
        expected = self.train(reference.Executor)
        assert_close(parameters, expected[0], relative)
        for slot, wanted in zip(slots, expected[1], strict=True):
            assert_close(slot, wanted, relative)
        for actual, wanted in zip(state, expected[2], strict=True):
            assert_close(actual, wanted, relative)
