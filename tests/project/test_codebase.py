"""The parts agree with each other, and with the habits of the project."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from public_api import EXTRAS, MODULES

import rnncore
import rnncore.activations
import rnncore.functional
import rnncore.reference
from rnncore import _core
from rnncore.program import RECURRENT_OPS, Loss, Metric, Node, Optimizer, Program, Training, Value
from rnncore.reference.activations import ACTIVATIONS
from rnncore.reference.distributions import DISTRIBUTIONS
from rnncore.reference.gru import GRUCell
from rnncore.reference.losses import LOSSES
from rnncore.reference.metrics import METRICS
from rnncore.reference.ops import OPS
from rnncore.reference.optimizers import OPTIMIZERS
from rnncore.reference.recurrent import Recurrent, normalization_rows

ROOT = Path(__file__).parents[2]


def public(module: ModuleType) -> list[str]:
    return [name for name in module.__all__ if not name.startswith("_")]


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru", "backward"])
def test_functional_and_reference_have_the_same_signature(name: str) -> None:
    compiled, reference = (getattr(module, name) for module in (rnncore.functional, rnncore.reference))
    assert inspect.signature(compiled) == inspect.signature(reference)


def configure(executor_class: Any, op: str, training: Training) -> Any:
    """An executor of one node, ready to train."""
    values = (Value("x", (None, 2)), Value("y", (None, 2)))
    program = Program(values, (), (Node(op, "node", (0,), (1,)),), inputs=(0,), outputs=(1,))
    nothing = np.zeros(0)
    executor = executor_class(program, nothing, nothing.copy())
    executor.configure(training, np.zeros((0, 0)))
    return executor


ATTRIBUTES = {
    "confusion": ["thresholds"],
    "binary_accuracy": ["threshold"],
    "top_k_categorical_accuracy": ["k"],
    "sparse_top_k_categorical_accuracy": ["k"],
}
EXECUTORS = [_core.Executor, rnncore.reference.Executor]


@pytest.mark.parametrize("executor_class", EXECUTORS)
@pytest.mark.parametrize(("kind", "table"), [("op", OPS), ("optimizer", OPTIMIZERS)], ids=["ops", "optimizers"])
def test_both_executors_name_the_same_registry(executor_class: Any, kind: str, table: dict[str, Any]) -> None:
    optimizer = Optimizer("rmspropp") if kind == "optimizer" else None
    program_op = "flattenn" if kind == "op" else "flatten"
    with pytest.raises(ValueError, match=f"unknown {kind}") as error:
        configure(executor_class, program_op, Training((Loss("huber"),), optimizer=optimizer))
    assert set(re.findall(r"\w+", str(error.value).rpartition("known: ")[2])) == set(table)


def test_both_executors_have_the_same_cells() -> None:
    recurrent = {name: op for name, op in OPS.items() if isinstance(op, Recurrent)}
    cells = {name: (op.make_cell(), op.make_normalized_cell()) for name, op in recurrent.items()}
    cells["gru_reset_before"] = (GRUCell(reset_after=False), None)
    assert tuple(recurrent) == RECURRENT_OPS
    assert _core.cells() == {
        name: {
            "gates": cell.GATES,
            "states": cell.STATES,
            "bias_rows": 1 + cell.split_bias,
            "normalization_rows": normalization_rows(normalized),
        }
        for name, (cell, normalized) in cells.items()
    }


@pytest.mark.parametrize("executor_class", EXECUTORS)
@pytest.mark.parametrize("kind", [*LOSSES, *METRICS, "confusion"])
def test_both_executors_know_each_loss_and_metric(executor_class: Any, kind: str) -> None:
    attributes = {"thresholds": [0.5], "threshold": 0.5, "k": 2}
    metrics = (Metric(kind, attributes={name: attributes[name] for name in ATTRIBUTES.get(kind, ())}),)
    loss = Loss(kind if kind in LOSSES else "huber")
    if kind in DISTRIBUTIONS:
        metrics, loss = (), Loss(kind, attributes={"components": 2, "quantiles": [0.5]})
    configure(executor_class, "flatten", Training((loss,), metrics))
    with pytest.raises(ValueError, match="unknown metric"):
        configure(executor_class, "flatten", Training((Loss("huber"),), (Metric(kind + "s"),)))


@pytest.mark.parametrize("executor_class", EXECUTORS)
@pytest.mark.parametrize("function", sorted(ACTIVATIONS))
def test_both_executors_know_each_activation(executor_class: Any, function: str) -> None:
    values = (Value("x", (None, 2)), Value("y", (None, 2)))
    node = Node("activation", "node", (0,), (1,), attributes={"function": function})
    program = Program(values, (), (node,), inputs=(0,), outputs=(1,))
    (y,) = executor_class(program, np.zeros(0), np.zeros(0)).forward([np.ones((1, 2))])
    assert np.isfinite(y).all()
    assert set(rnncore.activations.functions.__all__) - {"swish"} == set(ACTIVATIONS)


@pytest.mark.parametrize(
    ("module", "extra"),
    [(module, extra) for extra, modules in {"": MODULES, **EXTRAS}.items() for module in modules],
)
def test_public_names_exist_and_are_documented(module: str, extra: str) -> None:
    if extra:
        pytest.importorskip(extra, reason=f"{extra} is not installed")
    namespace = importlib.import_module(module)
    undocumented = []
    for name in public(namespace):
        value = getattr(namespace, name)
        documented = (value.__doc__ or "") if callable(value) else ">>>"
        if ">>>" not in documented:
            undocumented.append(name)
    assert undocumented == []


def sources() -> list[Path]:
    folders = ("python", "cpp", "tests", "examples", "cmake", "docs")
    endings = {".py", ".pyi", ".h", ".cpp", ".cmake", ".md"}
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_source_is_short_and_finished(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 600
    if path != Path(__file__):
        assert re.findall(r"\b(?:TODO|FIXME|XXX)\b", text) == []
