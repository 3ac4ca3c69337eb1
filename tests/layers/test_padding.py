"""Padded positions count neither in losses nor in metrics of outputs that keep the time axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from executor_calls import run_train
from executor_zoo import STEPS, Array, Builder, random_inputs, random_parameters
from goldens import arrays
from small_models import BACKENDS
from tolerance import assert_all_close, assert_all_equal, assert_close, assert_threads_agree

from rnncore import _core, layers, losses, metrics, models, optimizers, reference
from rnncore.program import Loss, Metric, Optimizer, Program, Training

SAMPLES, CLASSES = 13, 3
SGD = Optimizer("sgd", {"momentum": 0.0, "nesterov": False})
EXECUTORS = {"compiled": _core.Executor, "reference": reference.Executor}
AFTER_STEPS = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-10}

LOSSES = [
    Loss("mean_squared_error"),
    Loss("huber", weight=0.7, attributes={"delta": 0.3}),
    Loss("binary_crossentropy", attributes={"from_logits": True}),
    Loss("categorical_crossentropy", attributes={"from_logits": False}),
    Loss("categorical_crossentropy", attributes={"from_logits": True}),
    Loss("sparse_categorical_crossentropy", attributes={"from_logits": False}),
]
DENSE_METRICS = (
    Metric("mean_absolute_error"),
    Metric("huber", weighted=True),
    Metric("categorical_accuracy"),
    Metric("binary_accuracy", weighted=True, attributes={"threshold": 0.3}),
    Metric("confusion", weighted=True, attributes={"thresholds": [0.2, 0.4]}),
    Metric("confusion", attributes={"thresholds": [0.3]}),
)
LABEL_METRICS = (
    Metric("sparse_categorical_accuracy"),
    Metric("sparse_top_k_categorical_accuracy", weighted=True, attributes={"k": 2}),
)


def tagger(by: str) -> Program:
    """A class for each step, and the sequence itself; padding by lengths, or steps of any pattern by a mask."""
    b = Builder()
    x = b.input(None, 3)
    mask = b.lengths_value() if by == "lengths" else b.mask()
    (x,) = b.recurrent("gru", x, 6, mask=mask)
    return b.build(b.dense(x, CLASSES, "softmax"), x, masks=(mask, mask))


class Batch:
    """Arrays for the tagger."""

    def __init__(self, loss: Loss, weights: str, dtype: Any, samples: int = SAMPLES, by: str = "lengths") -> None:
        rng = np.random.default_rng(7)
        self.training = Training(
            (loss, Loss("mean_absolute_error", 1, 0.5)),
            LABEL_METRICS if loss.kind.startswith("sparse") else DENSE_METRICS,
            optimizer=SGD,
        )
        self.program, self.dtype, self.samples = tagger(by), dtype, samples
        inputs, self.lengths = random_inputs(self.program, samples, dtype)
        self.inputs: list[Array] = inputs
        labels = rng.integers(CLASSES, size=(samples, STEPS)).astype(np.int32)
        first = labels if loss.kind.startswith("sparse") else np.eye(CLASSES, dtype=dtype)[labels]
        self.targets: list[Array] = [first, rng.normal(size=(samples, STEPS, 6)).astype(dtype)]
        shape = {"none": None, "samples": (samples,), "steps": (samples, STEPS)}[weights]
        self.weights = None if shape is None else [rng.uniform(0.1, 2, size=shape).astype(dtype) for _ in range(2)]

    @property
    def real(self) -> Array:
        return self.inputs[1] != 0 if self.lengths is None else np.arange(STEPS) < self.lengths[:, None]

    def train(self, backend: str, batch_size: int = 5, rate: float = 0.1) -> list[Array]:
        """Parameters, last gradients and state after an epoch."""
        parameters = random_parameters(self.program, self.dtype)
        gradients = np.full_like(parameters, 7)
        executor = EXECUTORS[backend](self.program, parameters, gradients)
        executor.configure(self.training, np.zeros((1, parameters.size), self.dtype))
        state = np.zeros(self.training.state_size())
        run_train(
            executor,
            self.inputs,
            self.targets,
            np.arange(self.samples)[::-1].copy(),
            batch_size=batch_size,
            learning_rate=np.full(-(-self.samples // batch_size), rate),
            step=0,
            seed=0,
            state=state,
            sample_weight=self.weights,
            lengths=self.lengths,
        )
        return [parameters, gradients, state]


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weights", ["none", "samples", "steps"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
@pytest.mark.parametrize("by", ["lengths", "mask"])
def test_both_executors_agree(by: str, loss: Loss, weights: str, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    batch = Batch(loss, weights, dtype, by=by)
    assert_all_close(batch.train("compiled"), batch.train("reference"), AFTER_STEPS[np.dtype(dtype)])


@pytest.mark.parametrize("backend", EXECUTORS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
@pytest.mark.parametrize("by", ["lengths", "mask"])
def test_targets_and_weights_of_padding_do_not_matter(by: str, loss: Loss, backend: str) -> None:
    batch = Batch(loss, "steps", np.float64, by=by)
    expected = batch.train(backend)
    assert batch.weights is not None
    for array in (*batch.targets, *batch.weights):
        array[~batch.real] = 0 if array.dtype == np.int32 else np.nan
    assert_all_equal(batch.train(backend), expected)


@pytest.mark.parametrize("backend", EXECUTORS)
@pytest.mark.parametrize("weights", ["none", "samples", "steps"])
@pytest.mark.parametrize("by", ["lengths", "mask"])
def test_the_loss_is_the_mean_over_real_positions(by: str, weights: str, backend: str) -> None:
    batch = Batch(LOSSES[0], weights, np.float64, by=by)
    state = batch.train(backend, batch_size=SAMPLES, rate=0.0)[2]
    parameters = random_parameters(batch.program, np.float64)
    executor = reference.Executor(batch.program, parameters, np.zeros_like(parameters))
    output = executor.forward(batch.inputs, batch.lengths)[0]
    weight = np.ones((SAMPLES, STEPS))
    if batch.weights is not None:
        weight = np.broadcast_to(batch.weights[0].reshape(SAMPLES, -1), weight.shape)
    values = (weight * np.mean((output - batch.targets[0]) ** 2, axis=-1))[batch.real]
    assert state[2] / state[3] == pytest.approx(values.mean(), rel=1e-12)


@pytest.mark.parametrize("backend", EXECUTORS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
def test_a_batch_of_padding_alone_changes_nothing(loss: Loss, dtype: Any, backend: str) -> None:
    batch = Batch(loss, "none", dtype)
    assert batch.lengths is not None
    batch.lengths[:] = 0
    parameters, gradients, state = batch.train(backend, batch_size=SAMPLES)
    np.testing.assert_array_equal(parameters, random_parameters(batch.program, dtype))
    np.testing.assert_array_equal(gradients, 0)
    expected = np.zeros_like(state)
    expected[[1, 3, 5]] = SAMPLES
    np.testing.assert_array_equal(state, expected)


@pytest.mark.parametrize("by", ["lengths", "mask"])
def test_any_number_of_threads_gives_the_same_bits(by: str) -> None:
    batch = Batch(LOSSES[3], "steps", np.float32, samples=101, by=by)
    assert_threads_agree(lambda: batch.train("compiled", batch_size=40))


def test_lengths_cover_all_that_lies_behind_the_time_axis() -> None:
    """An output (N, T, A, U), of a program in which nothing else reads the lengths."""
    b = Builder()
    program = b.build(b.dense(b.input(None, 2, 3), CLASSES, "softmax"), masks=(b.lengths_value(),))
    rng = np.random.default_rng(1)
    lengths = np.array([3, 0, 4, 1], np.int32)
    x, y = rng.normal(size=(4, 4, 2, 3)), rng.integers(CLASSES, size=(4, 4, 2)).astype(np.int32)
    found = []
    for kind in EXECUTORS.values():
        parameters = random_parameters(program, np.float64)
        gradients, state = np.zeros_like(parameters), np.zeros(4)
        executor = kind(program, parameters, gradients)
        executor.configure(Training((LOSSES[5],), LABEL_METRICS[:1], (), SGD), np.zeros((1, parameters.size)))
        run_train(
            executor,
            [x],
            [y],
            np.arange(4),
            batch_size=4,
            learning_rate=np.ones(1),
            step=0,
            seed=0,
            state=state,
            lengths=lengths,
            sample_weight=[np.arange(1.0, 5.0)],
        )
        found.append([parameters, gradients, state])
        assert state[3] == 2 * lengths.sum()
    assert_all_close(*found)


@pytest.mark.parametrize("backend", EXECUTORS)
def test_bad_masks(backend: str) -> None:
    b = Builder()
    sequence, h = b.recurrent("gru", b.input(None, 3), 4, outputs="sequence h", lengths=True)
    vector = random_parameters(b.build(h), np.float64)
    for outputs, masks, message in [
        ((h,), (b.lengths,), "output 0 has a mask, but no time axis"),
        ((sequence,), (h, h), r"expected one mask for each of 1 output\(s\), got 2"),
        ((h, sequence), (-1, sequence), r"the mask of output 1 must be \(N, T\), got shape \(None, None, 4\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            EXECUTORS[backend](b.build(*outputs, masks=masks), vector, vector.copy())
    batch = Batch(LOSSES[0], "none", np.float64)
    assert batch.lengths is not None
    batch.lengths[3] = STEPS + 1
    with pytest.raises(ValueError, match="lengths"):
        batch.train(backend)


# Models


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mask_zero", [False, True], ids=["lengths", "mask_zero"])
def test_matches_keras(mask_zero: bool, backend: str) -> None:
    stored = arrays("keras_masks")
    cases = {
        "sparse_categorical_crossentropy": "sparse_categorical_accuracy",
        "mean_squared_error": "mae",
    }
    for loss, metric in cases.items():
        for weights in ("none", "samples", "steps"):
            model = models.Sequential(
                [
                    layers.Input((STEPS,), dtype="int32"),
                    layers.Embedding(9, 4, mask_zero=mask_zero),
                    layers.LSTM(6, return_sequences=True),
                    layers.Dense(CLASSES, activation="softmax"),
                ]
            )
            model.set_weights([stored[f"before/{i}"] for i in range(6)])
            model.compile(optimizers.SGD(0.5), loss, weighted_metrics=[metric], backend=backend)
            arguments = (stored["ids"], stored[f"targets/{loss}"], stored.get(f"weights/{weights}"))
            lengths = None if mask_zero else stored["lengths"]
            logs = model.test_on_batch(*arguments, lengths=lengths)
            np.testing.assert_allclose(logs, stored[f"{loss}/{weights}/logs"], rtol=2e-5, err_msg=f"{loss} {weights}")
            model.train_on_batch(*arguments, lengths=lengths)
            for number, actual in enumerate(model.get_weights()):
                assert_close(actual, stored[f"{loss}/{weights}/after/{number}"])


def squared_error(real: Array | None = None) -> Callable[[Array, Array], tuple[float, Array]]:
    """A loss of the user's own: over all positions, or the real ones (N, T) alone."""

    def loss(y_true: Array, y_pred: Array) -> tuple[float, Array]:
        mask = np.ones(y_pred.shape[:2]) if real is None else real
        error = (y_pred - y_true) * mask[..., None]
        count = mask.sum() * y_pred.shape[2]
        return float(np.sum(error**2) / count), 2 * error / count

    return loss


def sequences(loss: Any, backend: str) -> models.Sequential:
    model = models.Sequential(
        [layers.Input((None, 3)), layers.GRU(4, return_sequences=True), layers.Dense(2, bias_initializer="ones")]
    )
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
    model.compile(optimizers.SGD(0.1), loss, metrics=["mae"], backend=backend, dtype_policy="float64")
    return model


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_function_masks_itself_and_metrics_are_masked(backend: str) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(9, 6, 3)), rng.normal(size=(9, 6, 2))
    lengths = np.arange(9) % 7
    real = np.arange(6) < lengths[:, None]
    named, own = sequences("mse", backend), sequences(squared_error(real), backend)
    assert_close(*(np.array(m.evaluate(x, y, lengths=lengths, verbose=0)) for m in (named, own)))
    expected = metrics.MeanAbsoluteError()
    expected.update_state(y[real], named.predict(x, lengths=lengths, verbose=0)[real])
    assert own.evaluate(x, y, lengths=lengths, verbose=0)[1] == pytest.approx(expected.result(), rel=1e-12)
    for model in (named, own):
        model.fit(x, y, lengths=lengths, epochs=3, shuffle=False, verbose=0)
    assert_all_close(own.get_weights(), named.get_weights())
    padded = sequences(squared_error(), backend)
    assert padded.evaluate(x, y, lengths=lengths, verbose=0)[0] != own.evaluate(x, y, lengths=lengths, verbose=0)[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_outputs_that_keep_the_time_axis_are_masked(backend: str) -> None:
    """Of a sequence, the last state, and a reversed sequence, whose padding comes first."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(8, 5, 3))
    lengths = np.arange(8) % 6
    real = np.arange(5) < lengths[:, None]
    given = layers.Input((None, 3))
    sequence, last = layers.LSTM(4, return_sequences=True, return_state=True)(given)[:2]
    reversed_sequence = layers.GRU(4, return_sequences=True, go_backwards=True)(given)
    model = models.Model(given, [layers.Dense(2)(sequence), last, reversed_sequence])
    model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
    outputs = model.predict(x, lengths=lengths, verbose=0)
    targets = [rng.normal(size=y.shape) for y in outputs]
    logs = model.evaluate(x, targets, lengths=lengths, batch_size=8, verbose=0)
    of_outputs = (real, np.ones(8, bool), real[:, ::-1])
    expected = [losses.get("mse")(y[r], output[r]) for y, output, r in zip(targets, outputs, of_outputs, strict=True)]
    np.testing.assert_allclose(logs, [sum(expected), *expected], rtol=1e-10)
