"""The peer table: its cases, its check of every answer, its rounds and its output."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest

import rnncore
from rnncore.bench import (
    CELLS,
    Answer,
    Case,
    Prepared,
    Rnncore,
    Shape,
    Timing,
    geometric_mean,
    interleave,
    load,
    main,
    tables,
)

SHAPE = Shape(3, 5, 4, 6)


@pytest.fixture(autouse=True)
def _processors_and_threads_as_before():
    """The command limits the process; later tests want it whole."""
    threads = rnncore.get_num_threads()
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield
    rnncore.set_num_threads(threads)
    if processors is not None:
        os.sched_setaffinity(0, processors)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_rnncore_gives_the_right_answer(cell, training, padded):
    case = Case(cell, SHAPE, training, padded)
    prepared = Rnncore(threads=1).prepare(case)
    case.check("rnncore", prepared.answer(prepared.call()))


@pytest.mark.parametrize("field", Answer._fields)
def test_a_wrong_answer_is_found(field):
    case = Case("gru", SHAPE, training=True)
    wrong = np.array(getattr(case.answer, field))
    wrong.flat[-1] += 1e-3 * np.abs(wrong).max()
    with pytest.raises(AssertionError, match=rf"peer.*: {field} is off"):
        case.check("peer", case.answer._replace(**{field: wrong}))


def test_a_missing_gradient_is_found():
    case = Case("lstm", SHAPE, training=True)
    with pytest.raises(AssertionError, match="bias is missing"):
        case.check("peer", case.answer._replace(bias=None))


def test_work_counts_real_steps_only():
    full, padded = (Case("lstm", SHAPE, training=True, padded=padded) for padded in (False, True))
    assert full.flop == 3 * 2 * 3 * 5 * 4 * 6 * (4 + 6)
    assert padded.flop * 15 == full.flop * padded.lengths.sum()


@pytest.mark.parametrize("text", ["huge", "1,2,3", "1,2,3,0", "1,2,3,4,5", "a,b,c,d"])
def test_an_unknown_shape_is_refused(text):
    with pytest.raises(ValueError, match=r"shape: expected .*N,T,I,H"):
        Shape.parse(text)


def test_rounds_are_interleaved():
    order = []
    times = interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3, seconds=0)
    turns = [name for name, before in zip(order, [None, *order], strict=False) if name != before]
    assert turns[-6:] == ["a", "b"] * 3
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_rounds_of_a_slow_machine_are_repeated(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    ran = []
    steady = iter([False, True, False, True, True])  # not at first; not after the first round; from then on
    times = interleave({"a": lambda: ran.append(1)}, rounds=1, seconds=0, steady=lambda: next(steady))
    assert next(steady, None) is None
    assert len(times["a"]) == 1
    monkeypatch.setattr("rnncore.bench.timing.PATIENCE", 0.0)
    with pytest.raises(TimeoutError, match="not steady"):
        interleave({"a": lambda: ran.append(1)}, rounds=1, seconds=0, steady=lambda: False)


def test_the_table_has_rates_and_ratios():
    case = Case("lstm", SHAPE, training=False)
    seconds = case.flop / 1e9
    text = tables([Timing(case, "one", [seconds / 4, seconds / 2, seconds / 8]), Timing(case, "two", [seconds] * 3)])
    row = next(line for line in text.splitlines() if line.startswith("| 3,5,4,6"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["3,5,4,6", "4 (8)", "1 (1)", "4.00"]


def test_geometric_mean():
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


def test_a_peer_that_is_not_installed_is_left_out(capsys):
    class Missing:
        name = "missing"
        version = ""

        def __init__(self, threads: int) -> None:
            raise ImportError("no such module")

        def prepare(self, case: Case) -> Prepared | None:
            raise NotImplementedError

    assert load({"missing": Missing}, threads=1) == []
    assert capsys.readouterr().out == "missing: left out (no such module)\n"


def test_the_command(capsys, tmp_path):
    path = tmp_path / "rounds.json"
    words = ["--shapes", "3,5,4,6", "--peers", "rnncore", "--rounds", "2", "--seconds", "0.001", "--json", str(path)]
    assert main(words, peak=lambda: 100.0) == 0
    text = capsys.readouterr().out
    for cell in CELLS:
        assert f"### {cell}, training step" in text
        assert f"### {cell}, forward" in text
    record = json.loads(path.read_text())
    assert record["versions"] == {"rnncore": rnncore.__version__}
    assert len(record["timings"]) == 6
    assert all(len(timing["seconds"]) == 2 and timing["gflops"] > 0 for timing in record["timings"])
