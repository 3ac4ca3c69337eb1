"""Gates go from the order of one package to that of another, and back."""

from __future__ import annotations

import numpy as np
import pytest

from rnncore._gate_orders import ORDERS, permutation, reorder

PAIRS = [(a, b, cell) for a in ORDERS for b in ORDERS for cell in ORDERS[a] if cell in ORDERS[b]]


@pytest.mark.parametrize(("source", "target", "cell"), PAIRS)
def test_each_block_keeps_its_gate(source: str, target: str, cell: str) -> None:
    units = 3
    stored = np.array([f"{gate}{k}" for gate in ORDERS[source][cell] for k in range(units)])
    found = reorder(np.stack([stored, stored], axis=1), cell, source, target, axis=0)
    assert found[:, 1].tolist() == [f"{gate}{k}" for gate in ORDERS[target][cell] for k in range(units)]
    assert reorder(found, cell, target, source, axis=0)[:, 0].tolist() == stored.tolist()


def test_what_differs_is_known() -> None:
    assert permutation("lstm", "torch", "rnncore") == [0, 1, 2, 3]
    assert permutation("gru", "torch", "rnncore") == [1, 0, 2]
    assert permutation("lstm", "onnx", "rnncore") == [0, 2, 3, 1]
    same = np.arange(4.0)
    assert reorder(same, "lstm", "torch", "rnncore") is same


def test_an_axis_that_has_no_whole_gates_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 3 gates along axis 1, got shape \(6, 7\)"):
        reorder(np.zeros((6, 7)), "gru", "torch", "rnncore", axis=1)
