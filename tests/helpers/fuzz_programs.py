"""Runs valid Programs with hostile values in some of their fields through the compiled executor.

Each case is mutated from a seed, constructed, and run forward, backward, in training, testing and prediction. It may
work, or raise a ValueError, TypeError or MemoryError; anything else ends the process, which names the case first.
Run as a script: fuzz_programs.py FIRST COUNT [traced], FIRST and COUNT being numbers of cases.
"""

from __future__ import annotations

import copy
import faulthandler
import math
import random
import resource
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from executor_calls import run_predict, run_test, run_train
from executor_zoo import PROGRAMS, SAMPLES, random_inputs, random_parameters

from rnncore import _core
from rnncore.program import (
    ActivityRegularizer,
    Constraint,
    Loss,
    Metric,
    Optimizer,
    Parameter,
    Program,
    Regularizer,
    Training,
)

SECONDS = 60  # that a case may take
MEMORY = 8 << 30

INTEGERS = [0, 1, -1, 2, 3, 5, 9, -2, 100, 2**31 - 1, 2**31, -(2**31), 2**32 + 1]
INTEGERS += [2**46, 2**62, 2**63 - 1, -(2**63), 2**63, 2**64 + 3, 10**30]
FLOATS = [0.0, -0.0, 0.5, 1.0, -1.0, 2.5, 1e300, -1e300, math.nan, math.inf, -math.inf, 5e-324]
TEXTS = ["", "x", "lstm", "gru", "dense", "write_state", "tanh", "softmax", "causal", "same", "int", "float"]
TEXTS += ["ctc", "crf"]
OTHERS = [None, True, False, [], [1], [0, 0], [-1], [math.nan], [1e300, -1], (), {}, b"x", object(), "\udc80", 1j]
# What a node may have that others of its kind do not.
ATTRIBUTES = ["activation", "axis", "shape", "dims", "n", "units", "state_offset", "rate", "kind", "padding", "strides"]
ATTRIBUTES += ["pool_size", "dilation_rate", "heads", "score", "scale", "center", "checkpoint_every", "peepholes"]
ATTRIBUTES += ["projected", "layer_normalization", "zoneout", "cell_zoneout", "recurrent_dropout", "reset_after"]
ATTRIBUTES += ["go_backwards", "aligned", "products", "shared_axes", "threshold", "thresholds", "k", "axes", "amsgrad"]
ATTRIBUTES += ["from_logits", "ignore_class", "reduction", "label_smoothing", "gradient_accumulation_steps", "use_ema"]
ATTRIBUTES += ["beta_1", "momentum", "clipnorm", "causal", "mask_value", "seed", "function", "frozen"]
OPTIMIZERS = ["sgd", "rmsprop", "adam", "adamw", "nadam", "adagrad", "adadelta", "adamax", "lion"]
METRICS = ["binary_accuracy", "categorical_accuracy", "top_k_categorical_accuracy", "confusion", "huber", "poisson"]
LABELLED = ["sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy", "sparse_categorical_crossentropy"]


def loose(value: Any) -> Any:
    """The same description with fields that may hold anything."""
    if isinstance(value, (tuple, list)):
        return [loose(entry) for entry in value]
    if isinstance(value, dict):
        return {key: loose(entry) for key, entry in value.items()}
    if not is_dataclass(value):
        return value
    found = {field.name: loose(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Parameter):
        found["size"] = value.size
    return SimpleNamespace(**found)


def hostile(rng: random.Random, like: Any) -> Any:
    """A value in the place of one, often of its type."""
    return copy.deepcopy(chosen(rng, like))


def chosen(rng: random.Random, like: Any) -> Any:
    if rng.random() < 0.15:
        return rng.choice(OTHERS)
    if isinstance(like, bool):
        return rng.choice([not like, *OTHERS])
    if isinstance(like, int):
        return rng.choice([*INTEGERS, like + 1, like - 1, -like, 2 * like])
    if isinstance(like, float):
        return rng.choice([*FLOATS, *INTEGERS])
    if isinstance(like, str):
        return rng.choice([*TEXTS, like + "x"])
    return rng.choice([*INTEGERS, *FLOATS, *TEXTS, *OTHERS])


def places(value: Any) -> list[tuple[Any, Any]]:
    """Everything within a description, as (container, key)."""
    if isinstance(value, SimpleNamespace):
        entries = list(vars(value).items())
    elif isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    else:
        return []
    return [place for key, entry in entries for place in [(value, key), *places(entry)]]


def mutate(rng: random.Random, root: SimpleNamespace) -> None:
    container, key = rng.choice(places(root))
    held = vars(container) if isinstance(container, SimpleNamespace) else container
    value = held[key]
    if isinstance(value, list) and rng.random() < 0.7:
        way = rng.randrange(4)
        if way == 0 and value:
            del value[rng.randrange(len(value))]
        elif way == 1:
            value.insert(rng.randint(0, len(value)), copy.deepcopy(rng.choice(value or INTEGERS)))
        elif way == 2 and value:
            value[rng.randrange(len(value))] = copy.deepcopy(rng.choice(value))
        else:
            rng.shuffle(value)
    elif isinstance(value, dict):
        value[rng.choice(ATTRIBUTES)] = hostile(rng, None)
    elif not (isinstance(value, SimpleNamespace) and rng.random() < 0.9):
        held[key] = hostile(rng, value)


@cache
def usual(name: str, dtype: str) -> tuple[Program, Any, Any, Any, tuple[Any, ...]]:
    """A Program, its inputs, lengths and parameters, and the outputs they give."""
    program = PROGRAMS[name]()
    inputs, lengths = random_inputs(program, SAMPLES, np.dtype(dtype).type)
    parameters = random_parameters(program, np.dtype(dtype).type)
    executor = _core.Executor(program, parameters.copy(), np.zeros_like(parameters))
    return program, inputs, lengths, parameters, tuple(executor.forward(inputs, lengths))


def training_for(rng: random.Random, program: Program, outputs: tuple[Any, ...]) -> tuple[Training, list[Any]]:
    """A description that fits, and targets."""
    losses, metrics, targets = [], [], []
    for number, output in enumerate(outputs):
        kind, known = rng.choice(["mean_squared_error", "categorical_crossentropy", "hinge"]), METRICS
        targets.append(np.zeros_like(output))
        if rng.random() < 0.4:
            kind, known = "sparse_categorical_crossentropy", LABELLED
            targets[-1] = np.zeros(output.shape[:-1], np.int32)
        elif rng.random() < 0.2 and output.ndim == 3:
            kind, known = "ctc", []
            targets[-1] = np.zeros((len(output), 3), np.int32)
        losses.append(Loss(kind, number, 1.0))
        for metric in rng.sample(known, rng.randint(0, len(known))):
            attributes = {"thresholds": [0.5, 0.25]} if metric == "confusion" else {}
            metrics.append(Metric(metric, number, rng.random() < 0.5, attributes))
    matrices = [number for number, p in enumerate(program.parameters) if len(p.shape) == 2]
    chosen = rng.sample(matrices, min(len(matrices), rng.randint(0, 2)))
    values = [i for i, value in enumerate(program.values) if value.dtype == "float" and rng.random() < 0.1]
    description = Training(
        tuple(losses),
        tuple(metrics),
        tuple(Regularizer(number, 0.1, 0.1, 0.1, rng.random() < 0.5) for number in chosen),
        Optimizer(rng.choice(OPTIMIZERS), {"clipnorm": 1.0} if rng.random() < 0.3 else {}),
        tuple(Constraint(number, "norm", {"axes": [0], "max_value": 1.0, "rate": 1.0}) for number in chosen),
        tuple(ActivityRegularizer(value, 0.1, 0.1) for value in values[:2]),
    )
    return description, targets


def run(case: int) -> str:
    """Run a case; the name of what it raised, or "worked"."""
    rng = random.Random(case)
    dtype = rng.choice(["f4", "f8"])
    program, inputs, lengths, parameters, outputs = usual(rng.choice(list(PROGRAMS)), dtype)
    training, targets = training_for(rng, program, outputs)
    call = SimpleNamespace(batch_size=4, step=0, seed=1, steps=2)
    described = SimpleNamespace(program=loose(program), training=loose(training))
    what = rng.choice([described.program, described.program, described.training, described, call])
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        mutate(rng, what)
    parameters = parameters.copy()
    gradients, order = np.zeros_like(parameters), np.arange(SAMPLES)
    states = np.zeros(SAMPLES * program.state_size, dtype)
    kept = {"states": states[: call.batch_size * program.state_size] if isinstance(call.batch_size, int) else states}
    try:
        executor = _core.Executor(described.program, parameters, gradients)
        found = executor.forward(inputs, lengths, training=True, states=states, seed=call.seed)
        executor.backward([np.ones_like(output) for output in found])
        slots = np.zeros((max(rng.randint(1, 4), training.optimizer.slot_count()), parameters.size), dtype)
        executor.configure(described.training, slots[: training.optimizer.slot_count()])
        count = training.state_size()
        options = {"batch_size": call.batch_size, "lengths": lengths}
        for keep in ({}, kept):
            batches = order[:8] if keep else order
            rates = np.full(-(-len(batches) // 4), 0.01)
            run_train(
                executor,
                inputs,
                targets,
                batches,
                learning_rate=rates,
                step=call.step,
                seed=call.seed,
                state=np.zeros(count),
                **options,
                **keep,
            )
            run_test(executor, inputs, targets, batches, state=np.zeros(count), **options, **keep)
            shaped = [np.zeros((len(batches), *output.shape[1:]), dtype) for output in outputs]
            run_predict(executor, inputs, batches, outputs=shaped, **options, **keep)
    except (ValueError, TypeError, MemoryError) as error:
        return type(error).__name__
    return "worked"


def main(first: int, count: int, traced: bool) -> None:
    names = list(PROGRAMS)
    for name in names:
        for dtype in ("f4", "f8"):
            usual(name, dtype)
    if not traced:  # sanitizers reserve more
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    tally: dict[str, int] = {}
    for case in range(first, first + count):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            found = run(case)
        except BaseException:
            print(f"case {case}", file=sys.stderr)
            raise
        tally[found] = tally.get(found, 0) + 1
        faulthandler.cancel_dump_traceback_later()
        if traced:
            print(case, found, file=sys.stderr, flush=True)
    print(tally)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), "traced" in sys.argv)
