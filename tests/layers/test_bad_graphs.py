"""Graphs, shapes, labels and states that do not fit are refused by name, and leave a model as it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from executor_zoo import PROGRAMS
from small_models import BACKENDS, Array, same

from rnncore import _core, callbacks, layers, losses, models, reference

T, F = 5, 3
X = np.random.default_rng(0).normal(size=(4, T, F))


def unchanged(model: models.Model, call: Callable[[], Any], error: type[Exception], message: str) -> None:
    """The call raises, and weights, their gradients and the optimizer are as before."""
    before, gradients, done = model.get_weights(), [g.copy() for g in model.gradients], model.optimizer.iterations
    with pytest.raises(error, match=message):
        call()
    assert same(model.get_weights(), before)
    assert same(model.gradients, gradients)
    assert model.optimizer.iterations == done


# Programs and graphs


@pytest.mark.parametrize("executor", [_core.Executor, reference.Executor])
def test_values_are_made_before_they_are_read(executor: Any) -> None:
    program = PROGRAMS["lstm"]()
    vector = np.zeros(sum(parameter.size for parameter in program.parameters))
    first, second, *rest = program.nodes
    there = next(value for value in first.outputs if value >= 0)
    later = max(second.outputs)
    looped = replace(first, inputs=(later, *first.inputs[1:]))
    for wrong, message in (
        (replace(program, nodes=program.nodes[::-1]), "before it is made"),
        (replace(program, nodes=(looped, second, *rest)), f"{first.name} reads value {later} before it is made"),
        (replace(program, nodes=(replace(first, inputs=(99,)), second, *rest)), "value 99 does not exist"),
        (replace(program, nodes=(first, first, second, *rest)), f"makes value {there}, which is there already"),
        (replace(program, nodes=()), "an output reads value .* before it is made"),
    ):
        with pytest.raises(ValueError, match=message):
            executor(wrong, vector, vector.copy())


def test_a_config_with_a_cycle_or_a_loose_end_is_refused() -> None:
    given = layers.Input((T, F))
    model = models.Model(given, layers.Dense(2)(layers.GRU(4)(given)))
    whole = json.dumps(model.get_config())
    assert models.Model.from_config(json.loads(whole)).output_shape == (None, 2)
    for call, place in ((1, [2, 0]), (1, [1, 0]), (2, [7, 0]), (2, [1, 1]), (2, [-1, 0])):
        config = json.loads(whole)
        config["calls"][call]["inputs"] = [place]
        with pytest.raises(ValueError, match=f"config: call {call} reads output {place[1]} of call {place[0]}, which"):
            models.Model.from_config(config)
    config = json.loads(whole)
    config["outputs"] = [[9, 0]]
    with pytest.raises(ValueError, match="config: the model reads output 0 of call 9, which no call before it makes"):
        models.Model.from_config(config)


# Shapes of attention and of states


def inputs(*shapes: tuple[int, ...]) -> list[Any]:
    return [layers.Input(shape) for shape in shapes]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: layers.Attention(name="a")(inputs((4, 3), (5, 2))), "query and value of 'a' .* got 3 and 2"),
        (lambda a: layers.AdditiveAttention(name="a")(inputs((4, 3), (5, 2))), "query and value of 'a' .* got 3 and 2"),
        (lambda a: layers.Attention(name="a")(inputs((4, 3), (5, 3), (6, 3))), r"key of 'a' must have 5 steps .* 6, 3"),
        (lambda a: layers.Attention(name="a")(inputs((4, 3))), r"'a' takes \[query, value\] or .*, got 1 inputs"),
        (
            lambda a: layers.Attention(name="a")(inputs((4, 3), (3,))),
            r"value of 'a' must have shape \(N, T, features\)",
        ),
        (
            lambda a: layers.Attention(name="a")(
                inputs((4, 3), (5, 3)), mask=[layers.Input((3,), dtype="int32"), None]
            ),
            r"query_mask of 'a' must have shape \(None, 4\), got \(None, 3\)",
        ),
        (lambda a: a(*inputs((4, 3), (5, 3), (6, 3))), r"key of 'a' must have 5 steps as value"),
        (lambda a: a(*inputs((4, 3), (3,))), r"value of 'a' must have shape \(N, T, features\), got \(None, 3\)"),
        (
            lambda a: a(*inputs((4, 3), (5, 3)), attention_mask=layers.Input((4, 4), dtype="int32")),
            r"attention_mask of 'a' must have shape \(None, 4, 5\), got \(None, 4, 4\)",
        ),
    ],
)
def test_shapes_of_attention_that_do_not_match(call: Callable[[Any], Any], message: str) -> None:
    layer = layers.MultiHeadAttention(2, 2, name="a")
    with pytest.raises(ValueError, match=message):
        call(layer)
    assert not layer.built


Q, V = X[:, :4], X  # four and five steps


def of_any_steps(name: str) -> tuple[models.Model, list[Array]]:
    """A model whose inputs leave the number of steps open, and inputs for it whose steps do not fit."""
    query, value, other = (layers.Input((None, F)) for _ in range(3))
    mask, pairs = layers.Input((None,), dtype="int32"), layers.Input((None, None), dtype="int32")
    one, short = np.ones((4, 1), int), np.ones((4, 3), int)
    attention, heads = layers.Attention(name="a"), layers.MultiHeadAttention(2, 2, name="a")
    made: dict[str, tuple[list[Any], Callable[[], Any], list[Array]]] = {
        "key": ([query, value, other], lambda: attention([query, value, other]), [Q, V, X[:, :1]]),
        "key of heads": ([query, value, other], lambda: heads(query, value, other), [Q, V, X[:, :3]]),
        "query_mask": ([query, value, mask], lambda: attention([query, value], mask=[mask, None]), [Q, V, one]),
        "value_mask": ([query, value, mask], lambda: attention([query, value], mask=[None, mask]), [Q, V, one]),
        "additive": (
            [query, value, mask],
            lambda: layers.AdditiveAttention(name="a")([query, value], mask=[None, mask]),
            [Q, V, short],
        ),
        "query_mask of heads": ([query, value, mask], lambda: heads(query, value, query_mask=mask), [Q, V, short]),
        "value_mask of heads": ([query, value, mask], lambda: heads(query, value, value_mask=mask), [Q, V, one]),
        "attention_mask": (
            [query, value, pairs],
            lambda: heads(query, value, attention_mask=pairs),
            [Q, V, np.ones((4, 4, 1), int)],
        ),
        "recurrent": ([value, mask], lambda: layers.LSTM(2, name="a")(value, mask=mask), [V, one]),
        "cells": ([value, mask], lambda: layers.RNN(layers.GRUCell(2), name="a")(value, mask=mask), [V, short]),
        "bidirectional": (
            [value, mask],
            lambda: layers.Bidirectional(layers.GRU(2), name="a")(value, mask=mask),
            [V, one],
        ),
        "add": ([query, value], lambda: layers.Add(name="a")([query, value]), [Q, V]),
        "add later": ([query], lambda: layers.Add(name="a")([query, layers.Conv1D(F, 2)(query)]), [V]),
        "concatenate": ([query, value], lambda: layers.Concatenate(name="a")([query, value]), [Q, V]),
        "convolution": ([query], lambda: layers.Conv1D(2, 6, name="a")(query), [V]),
        "pooling": ([query], lambda: layers.MaxPooling1D(6, name="a")(query), [V]),
        "reshape": ([query], lambda: layers.Reshape((4, 3), name="a")(query), [V]),
    }
    inputs, output, arrays = made[name]
    return models.Model(inputs, output()), arrays


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("key", r"key of 'a' must have 5 steps as value, got \(None, 1, 3\)"),
        ("key of heads", r"key of 'a' must have 5 steps as value, got \(None, 3, 3\)"),
        ("query_mask", r"query_mask of 'a' must have shape \(None, 4\), got \(None, 1\)"),
        ("value_mask", r"value_mask of 'a' must have shape \(None, 5\), got \(None, 1\)"),
        ("additive", r"value_mask of 'a' must have shape \(None, 5\), got \(None, 3\)"),
        ("query_mask of heads", r"query_mask of 'a' must have shape \(None, 4\), got \(None, 3\)"),
        ("value_mask of heads", r"value_mask of 'a' must have shape \(None, 5\), got \(None, 1\)"),
        ("attention_mask", r"attention_mask of 'a' must have shape \(None, 4, 5\), got \(None, 4, 1\)"),
        ("recurrent", r"mask of 'a' must have shape \(None, 5\), got \(None, 1\)"),
        ("cells", r"mask of 'a' must have shape \(None, 5\), got \(None, 3\)"),
        ("bidirectional", r"mask of 'a' must have shape \(None, 5\), got \(None, 1\)"),
        ("add", r"'a' needs inputs whose shapes fit, got \[\(None, 4, 3\), \(None, 5, 3\)\]"),
        ("add later", r"'a' needs inputs whose shapes fit, got \[\(None, 5, 3\), \(None, 4, 3\)\]"),
        ("concatenate", r"'a' needs inputs of equal shapes but for axis -1, got \[\(None, 4, 3\), \(None, 5, 3\)\]"),
        ("convolution", r"'a' needs at least 6 time steps with padding 'valid', got shape \(None, 5, 3\)"),
        ("pooling", r"'a' needs at least 6 time steps with padding 'valid', got shape \(None, 5, 3\)"),
        ("reshape", "'a'"),
    ],
)
def test_steps_that_are_only_known_with_the_arrays_must_fit(name: str, message: str, backend: str) -> None:
    model, arrays = of_any_steps(name)
    model.compile("sgd", "mse", backend=backend)
    x = arrays[0] if len(arrays) == 1 else arrays
    unchanged(model, lambda: model.predict(x, verbose=0), ValueError, message)
    unchanged(model, lambda: model.train_on_batch(x, np.ones((4, 1))), ValueError, message)
    unchanged(model, lambda: model.forward(x), ValueError, message)


@pytest.mark.parametrize("backend", BACKENDS)
def test_states_of_another_batch_size(backend: str) -> None:
    x, h = layers.Input((T, F), name="x"), layers.Input((2,), name="h")
    model = models.Model([x, h], layers.GRU(2, name="cell")(x, initial_state=h))
    model.compile("sgd", "mse", backend=backend)
    short = {"x": X, "h": np.ones((3, 2))}
    message = r"all arrays must have the same number of rows: x\['x'\] has 4, x\['h'\] has 3"
    unchanged(model, lambda: model.fit(short, np.ones((4, 2)), verbose=0), ValueError, message)
    message = r"x\['h'\] must have shape \(any, 2\), got \(4, 3\)"
    unchanged(model, lambda: model.fit({"x": X, "h": X[:, 0]}, np.ones((4, 2)), verbose=0), ValueError, message)
    for layer, states, wanted in (
        (layers.GRU(2, name="g"), [layers.Input((3,))], r"initial_state of 'g' must have shape \(N, 2\)"),
        (layers.LSTM(2, name="l"), [layers.Input((2,))], r"initial_state of 'l' must be 2 values \(h, c\), got 1"),
        (layers.Bidirectional(layers.GRU(2), name="b"), [layers.Input((2,))], "initial_state of 'b' must be 2 values"),
    ):
        with pytest.raises(ValueError, match=wanted):
            layer(layers.Input((T, F)), initial_state=states)
        assert not layer.built


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stateful_model_whose_batch_changes_keeps_its_states(backend: str) -> None:
    model = models.Sequential([layers.Input(batch_shape=(2, T, F)), layers.GRU(2, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse", backend=backend)
    model.train_on_batch(X[:2], np.ones((2, 1)))
    (states,) = model.layers[0].states
    before = np.array(states)
    assert (before != 0).any()

    def growing() -> Iterator[tuple[Array, Array]]:
        yield X[:3], np.ones((3, 1))

    message = "2, (the batch size that|which) the stateful layers of this model are built for, got 3"
    for call in (
        lambda: model.predict(X[:3], verbose=0),
        lambda: model.fit(X[:3], np.ones((3, 1)), batch_size=2, verbose=0),
        lambda: model.fit(X, np.ones((4, 1)), batch_size=3, verbose=0),
        lambda: model.fit(growing(), verbose=0),
    ):
        unchanged(model, call, ValueError, message)
        np.testing.assert_array_equal(model.layers[0].states[0], before)


# Rows without a real step


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_without_a_real_step_have_a_defined_result(backend: str) -> None:
    x, h = layers.Input((T, F)), layers.Input((4,))
    masked = layers.Masking()(x)
    sequence, last = layers.GRU(4, return_sequences=True, return_state=True)(masked, initial_state=h)
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(masked)
    attended = [
        layers.Attention()([masked, masked]),
        layers.AdditiveAttention()([masked, masked]),
        layers.MultiHeadAttention(1, 2, use_bias=False)(masked, masked),
    ]
    model = models.Model([x, h], [sequence, last, both, layers.GlobalAveragePooling1D()(masked), *attended])
    model.compile(backend=backend)
    rows, state = X.copy(), np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    rows[1] = 0
    sequence, last, *others = model.predict([rows, state], verbose=0)
    np.testing.assert_array_equal(last[1], state[1])
    np.testing.assert_array_equal(sequence[1], np.repeat(state[1:2], T, axis=0))
    for found in others:
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found[1], np.zeros_like(found[1]))
        assert (found[0] != 0).any()


# Labels that do not fit, and code of others that raises


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctc_labels_longer_than_the_input_change_nothing(backend: str) -> None:
    model = models.Sequential([layers.Input((None, F)), layers.Dense(4, name="logits")])
    model.compile("adam", losses.CTC(), backend=backend)
    right, long, wide = np.array([[1, 2, 0, 0]] * 4), np.array([[1, 1, 1, 2]] * 4), np.ones((4, 9), int)
    model.train_on_batch(X, right)
    for call, message in (
        (lambda: model.train_on_batch(X, long), "4 labels of sample 0 need 6 steps .*the output has 5"),
        (lambda: model.fit(X, wide, verbose=0), r"9 labels of sample \d need 17 steps .*the output has 5"),
        (lambda: model.fit(X, right, lengths=[5, 5, 1, 5], verbose=0), r"2 labels of sample \d need 2 steps .*has 1"),
        (lambda: model.train_on_batch(X, -right), r"y must lie in \[0, 3\], got -"),
        (lambda: model.train_on_batch(X, right * 2), r"y must lie in \[0, 3\], got 4"),
    ):
        unchanged(model, call, ValueError, message)
    model.train_on_batch(X, right)
    assert model.optimizer.iterations == 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end", "on_epoch_end"])
def test_a_callback_that_raises_leaves_whole_steps(hook: str, backend: str) -> None:
    def made() -> models.Sequential:
        model = models.Sequential([layers.Input((T, F)), layers.GRU(3), layers.BatchNormalization(), layers.Dense(1)])
        model.compile("adam", "mse", backend=backend)
        return model

    def fail(number: int, logs: Any = None) -> None:
        if number == 1 or hook == "on_epoch_end":
            raise RuntimeError("enough")

    steps = {"on_train_batch_begin": 1, "on_train_batch_end": 2, "on_epoch_end": 4}[hook]
    model, twin = made(), made()
    twin.set_weights(model.get_weights())
    failing = callbacks.LambdaCallback(**{hook: fail})
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(X, X[:, 0, :1], batch_size=1, shuffle=False, verbose=0, callbacks=[failing])
    assert model.optimizer.iterations == steps
    twin.fit(X[:steps], X[:steps, 0, :1], batch_size=1, shuffle=False, verbose=0)
    assert same(model.get_weights(), twin.get_weights())
    model.fit(X, X[:, 0, :1], verbose=0)
    assert model.optimizer.iterations == steps + 1
