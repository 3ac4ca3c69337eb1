"""CTC in the compiled executor against the reference, and in models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from executor_calls import run_train
from executor_zoo import Builder
from goldens import load
from small_models import BACKENDS
from tolerance import assert_all_close, assert_all_equal, assert_threads_agree

from rnncore import _core, layers, losses, models, reference, utils
from rnncore.decoding import ctc_greedy
from rnncore.program import Loss, Metric, Optimizer, Program, Training

SGD = Optimizer("sgd", {"momentum": 0.0, "nesterov": False})
CLASSES, LENGTHS = 5, np.array([9, 4, 1, 7, 0, 9, 3], np.int32)
TARGET = np.array(
    [[1, 2, 2, 3], [4, 0, 0, 0], [2, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0], [3, 1, 3, 1], [2, 4, 0, 0]], np.int32
)


def program(ragged: bool = True) -> Program:
    b = Builder()
    (x,) = b.recurrent("gru", b.input(None, 3), 4, lengths=ragged)
    made = b.build(b.dense(x, CLASSES))
    return replace(made, masks=(made.lengths,)) if ragged else made


def step(kind: Any, dtype: Any, loss: Loss, weight: Any = None, target: Any = TARGET, ragged: bool = True) -> Any:
    """Gradients and state after one batch."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(target), 9, 3)).astype(dtype)
    made = program(ragged)
    parameters = rng.normal(scale=0.5, size=sum(p.size for p in made.parameters)).astype(dtype)
    gradients = np.zeros_like(parameters)
    executor = kind(made, parameters, gradients)
    executor.configure(Training((loss,), optimizer=SGD), np.zeros((1, parameters.size), dtype))
    state = np.zeros(2)
    run_train(
        executor,
        [x],
        [target],
        np.random.default_rng(1).permutation(len(target)),
        batch_size=len(target),
        learning_rate=np.zeros(1),
        step=0,
        seed=0,
        state=state,
        sample_weight=None if weight is None else [weight.astype(dtype)],
        lengths=LENGTHS if ragged else None,
    )
    return gradients, state


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_both_executors_agree(reduction: str, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    loss = Loss("ctc", weight=0.7, attributes={"reduction": reduction})
    weight = np.random.default_rng(2).uniform(size=len(TARGET))
    for w, ragged in ((None, True), (weight, True), (weight, False)):
        kinds = (_core.Executor, reference.Executor)
        results = [step(kind, dtype, loss, w, ragged=ragged) for kind in kinds]
        assert_all_close(*results, 2e-4 * np.finfo(dtype).eps / np.finfo(np.float32).eps)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    target = np.tile(TARGET[[0, 5, 3, 1]], (8, 1))
    assert_threads_agree(lambda: step(_core.Executor, np.float32, Loss("ctc"), target=target, ragged=False))


@pytest.mark.parametrize("kind", [_core.Executor, reference.Executor])
def test_labels_that_do_not_fit_are_named(kind: Any) -> None:
    for row, message in (
        ([1, 1, 1, 1], r"targets\[0\]: the 4 labels of sample 1 need 7 steps .*, the output has 4"),
        ([1, 0, 2, 0], r"targets\[0\]: sample 1 has labels after the padding"),
        ([5, 0, 0, 0], "expected labels from 1 to 4, or 0 for padding, got 5"),
    ):
        target = TARGET.copy()
        target[1] = row
        with pytest.raises(ValueError, match=message):
            step(kind, np.float64, Loss("ctc"), target=target)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_labels_that_a_mask_of_the_program_leaves_no_room_for(backend: str, train: bool) -> None:
    """The error comes with the batch in which it shows; the batches before count, nothing of this one does."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(6, 9, 3))
    x[4, 4:] = 0
    target = np.tile(np.array([[1, 1, 1, 2]]), (6, 1))
    target[4, 3] = 0  # three labels need five steps, there are four
    model = models.Sequential(
        [
            layers.Input((9, 3), batch_size=2),
            layers.Masking(),
            layers.GRU(4, return_sequences=True, stateful=True),
            layers.Dense(CLASSES),
        ]
    )
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    model.compile("sgd", losses.CTC(), backend=backend, dtype_policy="float64")
    call = model.train_on_batch if train else model.test_on_batch
    call(x[:2], target[:2])
    before, states = model.get_weights(), [state.copy() for state in model.layers[1].states]
    message = r"targets\[0\]: the 3 labels of sample 0 need 5 steps .*, the output has 4"
    with pytest.raises(ValueError, match=message):
        call(x[4:], target[4:])
    assert_all_equal(model.get_weights(), before)
    assert_all_equal(model.layers[1].states, states)
    run = (
        (lambda: model.fit(x, target, shuffle=False, batch_size=2, verbose=0))
        if train
        else (lambda: model.evaluate(x, target, batch_size=2, verbose=0))
    )
    with pytest.raises(ValueError, match=message.replace("sample 0", "sample 4")):
        run()
    assert np.isfinite(call(x[:2], target[:2]))  # and the model is as good as before


@pytest.mark.parametrize("kind", [_core.Executor, reference.Executor])
def test_the_loss_needs_its_output_for_itself(kind: Any) -> None:
    made = program()
    parameters = np.zeros(sum(p.size for p in made.parameters))
    executor, slots = kind(made, parameters, parameters.copy()), np.zeros((1, parameters.size))
    with pytest.raises(ValueError, match="takes no metrics, got 'mean_squared_error'"):
        executor.configure(Training((Loss("ctc"),), (Metric("mean_squared_error"),), optimizer=SGD), slots)
    with pytest.raises(ValueError, match="'ctc' must be the only loss on its output"):
        executor.configure(Training((Loss("ctc"), Loss("huber")), optimizer=SGD), slots)


def test_the_loss_on_arrays() -> None:
    (golden,) = load("torch_ctc")
    whole = golden.arrays["lengths"] == 9
    target, output = golden.arrays["target"][whole], golden.arrays["output"][whole]
    assert losses.CTC()(target, output) == pytest.approx(golden.arrays["value"][whole].mean(), rel=1e-11)
    assert losses.get("ctc").kind == "ctc"
    with pytest.raises(ValueError, match=r"y_true must have shape \(N, labels\) for CTC, got \(2,\)"):
        losses.CTC()([1, 2], np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="the 2 labels of sample 1 need 3 steps"):
        losses.CTC()([[1, 2], [1, 1]], np.zeros((2, 2, 4)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_learns_to_read_labels(backend: str) -> None:
    """Each step of the input shows one of three symbols or none; the labels are the runs of symbols."""
    utils.set_random_seed(3)
    rng = np.random.default_rng(4)
    target = np.zeros((60, 3), np.int32)
    x = np.zeros((60, 12, 4))
    for n in range(60):
        labels = rng.integers(1, 4, size=rng.integers(1, 4))
        target[n, : len(labels)] = labels
        path = [symbol for label in labels for symbol in [label] * int(rng.integers(1, 4)) + [0]]
        x[n, np.arange(12), (path + [0] * 12)[:12]] = 1
    model = models.Sequential([layers.Input((None, 4)), layers.GRU(12, return_sequences=True), layers.Dense(4)])
    model.compile("adam", losses.CTC(), backend=backend)
    model.optimizer.learning_rate = 0.02
    history = model.fit(x, target, epochs=25 if backend == "compiled" else 2, batch_size=15, verbose=0).history["loss"]
    assert history[-1] < history[0]
    if backend == "compiled":
        read = ctc_greedy(model.predict(x, verbose=0))
        right = sum(np.array_equal(found.labels, row[row != 0]) for found, row in zip(read, target, strict=True))
        assert right >= 54
