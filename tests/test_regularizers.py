"""Regularizers: penalties, names, configs and errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from rnncore import regularizers


def test_penalties() -> None:
    w = np.random.default_rng(0).normal(size=(4, 5))
    l1, l2 = np.abs(w).sum(), (w**2).sum()
    assert regularizers.L1(0.3)(w) == pytest.approx(0.3 * l1, rel=1e-12)
    assert regularizers.L2(0.7)(w) == pytest.approx(0.7 * l2, rel=1e-12)
    assert regularizers.L1L2(0.3, 0.7)(w) == pytest.approx(0.3 * l1 + 0.7 * l2, rel=1e-12)


@pytest.mark.parametrize(
    ("identifier", "config"),
    [
        ("l1", {"l1": 0.01}),
        ("L1", {"l1": 0.01}),
        ("l2", {"l2": 0.01}),
        ("l1_l2", {"l1": 0.0, "l2": 0.0}),
        ("l1l2", {"l1": 0.0, "l2": 0.0}),
        (regularizers.L2, {"l2": 0.01}),
        (regularizers.l1(0.5), {"l1": 0.5}),
        (regularizers.l1_l2(0.5, 0.25), {"l1": 0.5, "l2": 0.25}),
    ],
)
def test_names_and_configs(identifier: Any, config: dict[str, float]) -> None:
    regularizer = regularizers.get(identifier)
    assert regularizer is not None
    assert regularizer.get_config() == config
    description = json.loads(json.dumps(regularizers.serialize(regularizer)))
    again = regularizers.get(description)
    assert type(again) is type(regularizer)
    assert again.get_config() == config
    assert regularizers.deserialize(description).get_config() == config


def test_none_stays_none() -> None:
    assert regularizers.get(None) is None
    assert regularizers.serialize(None) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: regularizers.get("l3"), ValueError, "unknown regularizer 'l3'; did you mean 'l.' or 'l.'"),
        (lambda: regularizers.get(0.1), TypeError, "regularizer must be given by name or object, got float 0.1"),
        (lambda: regularizers.L1(-0.1), ValueError, "l1 must be a finite number in \\[0.0, inf\\], got -0.1"),
        (lambda: regularizers.L1L2(l2=float("inf")), ValueError, "l2 must be a finite number"),
        (lambda: regularizers.L2("0.1"), TypeError, "l2 must be a number, got str"),
        (lambda: regularizers.L2(0.1)([1j]), TypeError, "x must hold real numbers, got dtype complex128"),
    ],
)
def test_bad_input(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
