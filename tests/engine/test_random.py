"""The compiled executor against the reference on random Programs, shapes, lengths, levels and thread counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_calls import run_train
from executor_zoo import Array, Builder, random_parameters
from tolerance import assert_all_close

from rnncore import _core, reference
from rnncore.program import Loss, Optimizer, Program, Training

RELATIVE = 1e-10  # in float64, after a few steps of training
VOCABULARY = 9


class Draw:
    """Random choices of one case."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def maybe(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def size(self, limit: int) -> int:
        return int(self.rng.integers(1, limit))

    def name(self, *names: str) -> str:
        return str(self.rng.choice(names))

    def program(self) -> Program:
        b = Builder()
        features = self.size(40)
        if self.maybe(0.25):
            x = b.value(None, features)
            table = b.parameter(VOCABULARY, features, trainable=self.maybe(0.8))
            b.node("embedding", (b.input(None, dtype="int"),), (x,), (table,))
        else:
            x = b.input(None, features)
        ragged = self.maybe(0.5)
        states: list[tuple[int, int]] = []  # values that may be an initial state, and their sizes
        outputs: list[int] = []
        for _ in range(self.size(4)):
            op = self.name("simple_rnn", "lstm", "gru", "dense", "activation", "dropout")
            if op == "dense":
                activation = self.name("linear", "relu", "tanh", "sigmoid", "hard_sigmoid", "softmax")
                x = b.dense(x, self.size(80), activation, bias=self.maybe(0.7), trainable=self.maybe(0.8))
            elif op == "activation":
                x = b.elementwise(op, x, function=self.name("relu", "tanh", "sigmoid", "softmax"))
            elif op == "dropout":
                x = b.elementwise(op, x, rate=float(self.rng.choice([0.0, 0.2, 0.7])), seed=self.size(2**40))
            else:
                x, *made = self.recurrent(b, op, x, states, ragged)
                outputs += [value for value in made if self.maybe(0.5)]
        if self.maybe(0.3):
            outputs.append(x)
        outputs.append(b.dense(x, self.size(20)))
        self.rng.shuffle(outputs)
        return b.build(*(int(value) for value in outputs))

    def recurrent(self, b: Builder, op: str, x: int, states: list[tuple[int, int]], ragged: bool) -> list[int]:
        units = self.size(50)
        initial = []
        for _ in range(2 if op == "lstm" else 1):
            known = [value for value, size in states if size == units]
            if known and self.maybe(0.5):
                initial.append(int(self.rng.choice(known)))
            else:
                initial.append(b.input(units) if self.maybe(0.3) else -1)
        names = [name for name in (("h", "c") if op == "lstm" else ("h",)) if self.maybe(0.5)]
        made = b.recurrent(
            op,
            x,
            units,
            outputs=" ".join(["sequence", *names]),
            initial=tuple(initial),
            lengths=ragged and self.maybe(0.8),
            bias=self.maybe(0.8),
            trainable=(self.maybe(0.8), self.maybe(0.8), self.maybe(0.8)),
            go_backwards=self.maybe(0.3),
            checkpoint_every=int(self.rng.choice([0, 0, 1, 2, 3])),
            zoneout=float(self.rng.choice([0.0, 0.0, 0.3])),
            recurrent_dropout=float(self.rng.choice([0.0, 0.4])),
            activation=self.name("tanh", "tanh", "sigmoid", "hard_sigmoid"),
            **({"peepholes": self.maybe(0.3)} if op == "lstm" else {}),
            **({"reset_after": self.maybe(0.5)} if op == "gru" else {}),
        )
        states += [(value, units) for value in made[1:]]
        return made


def results(kind: Any, program: Program, samples: int, steps: int, seed: int) -> list[Array]:
    """Outputs, gradients, and what a few steps of training leave."""
    rng = np.random.default_rng(seed)
    inputs: list[Array] = []
    for number in program.inputs:
        value = program.values[number]
        shape = (samples, *(steps if size is None else size for size in value.shape[1:]))
        integer = value.dtype == "int"
        inputs.append(rng.integers(VOCABULARY, size=shape, dtype=np.int32) if integer else rng.normal(size=shape))
    lengths = rng.integers(steps + 1, size=samples, dtype=np.int32) if program.lengths >= 0 else None
    parameters = 0.5 * random_parameters(program, np.float64, seed)
    gradients = np.zeros_like(parameters)
    executor = kind(program, parameters, gradients)
    outputs = executor.forward(inputs, lengths, training=True, seed=seed, step=7)
    input_gradients = executor.backward([rng.normal(size=y.shape) for y in outputs])
    found = [*outputs, gradients.copy()]
    found += [
        np.zeros(x.shape) if dx is None else dx
        for x, dx in zip(inputs, input_gradients, strict=True)
        if x.dtype == np.float64
    ]
    losses = tuple(Loss("mean_squared_error", output) for output in range(len(outputs)))
    training = Training(losses, optimizer=Optimizer("sgd", {"momentum": 0.5, "nesterov": False}))
    slots, state = np.zeros((1, parameters.size)), np.zeros(training.state_size())
    executor.configure(training, slots)
    run_train(
        executor,
        inputs,
        [rng.normal(size=y.shape) for y in outputs],
        rng.permutation(samples),
        batch_size=7,
        learning_rate=np.full(-(-samples // 7), 0.01),
        step=0,
        seed=seed,
        state=state,
        lengths=lengths,
    )
    return [*found, parameters, slots, state]


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int) -> None:
    draw = Draw(seed)
    program, samples, steps = draw.program(), draw.size(30), draw.size(20)
    _core.set_isa(draw.name(*_core.isa_levels()))
    _core.set_num_threads(draw.size(6), always=True)
    compiled = results(_core.Executor, program, samples, steps, seed)
    expected = results(reference.Executor, program, samples, steps, seed)
    assert_all_close(compiled, expected, RELATIVE)
