"""Whole models of all layers: both executors train them alike, and any number of threads gives the same bits."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from model_zoo import CASES, Case
from small_models import Array, same
from tolerance import assert_all_close, assert_threads_agree

from rnncore import constraints, layers, losses, optimizers, regularizers, utils

AFTER_TRAINING = 1e-8  # float64: steps divided by the size of a small gradient let rounding grow


def trained(name: str, backend: str, dtype: str = "float64") -> tuple[list[Array], list[Array], dict[str, Any]]:
    """Weights, predictions and history of a model of the zoo after two epochs, from weights that are all random."""
    utils.clear_session()
    utils.set_random_seed(5)
    case = CASES[name]()
    model, rng = case.model, np.random.default_rng(6)
    for layer in model.layers:
        for weight in layer.trainable_weights:
            weight.assign(weight.numpy() + rng.normal(scale=0.1, size=weight.shape))
    before = model.get_weights()
    model.compile(case.optimizer, case.loss, backend=backend, dtype_policy=dtype)
    history = model.fit(case.x, case.y, batch_size=case.batch_size, epochs=2, verbose=0, **case.fit).history
    assert not same(before, model.get_weights())
    reads = {key: value for key, value in case.fit.items() if key == "lengths"}
    found = model.predict(case.x, batch_size=case.batch_size, verbose=0, **reads)
    return model.get_weights(), found if isinstance(found, list) else [found], history


@pytest.mark.parametrize("name", CASES)
def test_both_executors_train_alike(name: str) -> None:
    (weights, found, history), (others, expected, other) = (trained(name, k) for k in ("compiled", "reference"))
    assert all(np.isfinite(array).all() for array in (*weights, *found))
    assert_all_close((*weights, *found), (*others, *expected), AFTER_TRAINING)
    assert history.keys() == other.keys()
    for key, values in history.items():
        np.testing.assert_allclose(values, other[key], rtol=1e-7, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_any_number_of_threads_trains_the_same_bits(name: str) -> None:
    def run() -> list[Array]:
        weights, found, history = trained(name, "compiled", "float32")
        return [*weights, *found, *(np.array(history[key]) for key in sorted(history))]

    assert_threads_agree(run)


# Nothing public is left out


def parts(thing: Any) -> Iterator[Any]:
    """A layer and what it wraps."""
    yield thing
    for name in ("layer", "forward_layer", "backward_layer", "cell"):
        if (inner := getattr(thing, name, None)) is not None:
            yield from parts(inner)
    for inner in getattr(thing, "cells", ()):
        yield from parts(inner)


def classes(module: ModuleType, base: type) -> set[type]:
    """The public classes of a module but the base itself."""
    public = (getattr(module, name) for name in module.__all__)
    return {thing for thing in public if inspect.isclass(thing) and issubclass(thing, base) and thing is not base}


CASES_MADE: list[Case] = []


def made() -> list[Case]:
    if not CASES_MADE:
        CASES_MADE.extend(make() for make in CASES.values())
    return CASES_MADE


def used_in_layers() -> list[Any]:
    return [part for case in made() for layer in case.model.layers for part in parts(layer)]


def test_every_layer_is_used() -> None:
    used = {type(part) for part in used_in_layers()}
    public = classes(layers, object) - {layers.Layer, layers.StringLookup, layers.TextVectorization}
    assert {cls.__name__ for cls in public - used - {layers.InputLayer}} == set()


@pytest.mark.parametrize(
    ("module", "base", "kind"),
    [
        (regularizers, regularizers.Regularizer, "_regularizer"),
        (constraints, constraints.Constraint, "_constraint"),
    ],
)
def test_every_regularizer_and_constraint_is_used(module: ModuleType, base: type, kind: str) -> None:
    values = [value for part in used_in_layers() for key, value in vars(part).items() if key.endswith(kind)]
    assert {cls.__name__ for cls in classes(module, base) - {type(value) for value in values}} == set()


def test_every_loss_and_optimizer_is_used() -> None:
    given = [loss for case in made() for loss in (case.loss if isinstance(case.loss, list) else [case.loss])]
    assert classes(losses, losses.Loss) == {type(losses.get(loss)) for loss in given}
    assert classes(optimizers, optimizers.Optimizer) == {type(case.optimizer) for case in made()}


SILENT = {"name", "trainable", "batch_input_shape"}  # what every layer has


def test_every_option_of_every_layer_is_used() -> None:
    """Each option of each layer is different from its default in some model."""
    options: dict[type, set[str]] = {}
    changed: dict[type, set[str]] = {}
    for part in used_in_layers():
        if not isinstance(part, layers.InputLayer):
            config = part.get_config()
            parameters = inspect.signature(type(part)).parameters
            options[type(part)] = {key for key in config if not key.endswith("_initializer")} - SILENT
            told = {k for k, v in config.items() if k not in parameters or v not in (parameters[k].default, "linear")}
            changed.setdefault(type(part), set()).update(told)
    unused = sorted(f"{cls.__name__}.{name}" for cls, names in options.items() for name in names - changed[cls])
    assert not unused
