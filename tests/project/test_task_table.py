"""The program that runs whole tasks beside PyTorch: which runs it keeps and repeats, and its table."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import rnncore

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "tasks" / "run.py"
if not PROGRAM.exists():
    pytest.skip("the source distribution has no benchmarks", allow_module_level=True)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_tasks", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(task: str, engine: str, seed: int, quality: float, seconds: float | None, **names: Any) -> dict[str, Any]:
    return {
        "task": task,
        "engine": engine,
        "seed": seed,
        "threads": names.get("threads", 2),
        "epochs": names.get("epochs", 7),
        "policy": names.get("policy", "float32"),
        "quality": quality,
        "seconds": seconds,
    }


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_of_means_ranges_and_the_sum(program: ModuleType) -> None:
    lines = program.table(
        [
            run("images", "ours", 0, 0.97, 2.0),
            run("images", "ours", 1, 0.99, 4.0),
            run("images", "theirs", 0, 0.96, 9.0),
            run("names", "ours", 0, 0.85, None),
            run("names", "theirs", 0, 0.84, 100.0),
            run("translation", "ours", 0, 30.0, 10.0),
            run("translation", "theirs", 0, 29.5, 20.0),
            run("translation", "ours", 0, 33.0, 15.0, epochs=9),
            run("translation", "ours", 0, 29.0, 6.0, policy="mixed_bfloat16"),
            run("translation", "ours", 1, 31.0, 8.0, policy="mixed_bfloat16"),
        ]
    ).splitlines()
    assert [cells(line) for line in lines[2:]] == [
        ["`images`: digits row by row", "7", "accuracy ↑", "0.98 (0.97-0.99)", "0.96", "3.0", "9.0", "3.0"],
        ["`names`: surnames of 18 languages", "7", "accuracy ↑", "0.85", "0.84", "", "100.0", ""],
        ["`translation`: English to German", "7", "BLEU ↑", "30", "29.5", "10.0", "20.0", "2.0"],
        ["`translation`: English to German", "9", "BLEU ↑", "33", "", "15.0", "", ""],
        ["`translation`: English to German, mixed_bfloat16", "7", "BLEU ↑", "30 (29-31)", "", "7.0", "", ""],
        ["all timed beside each other", "", "", "", "", "13.0", "29.0", "2.2"],
    ]


def test_a_run_replaces_its_like_and_keeps_seconds_of_a_quiet_machine(program: ModuleType) -> None:
    quiet, other = run("names", "ours", 0, 0.84, 5.0), run("images", "ours", 0, 0.97, 2.0)
    found = program.merged([quiet, other], run("names", "ours", 0, 0.85, None))
    assert found == [other, run("names", "ours", 0, 0.85, 5.0)]
    found = program.merged(found, run("names", "ours", 0, 0.86, 6.0))
    assert found == [other, run("names", "ours", 0, 0.86, 6.0)]
    assert len(program.merged(found, run("names", "ours", 0, 0.86, 6.0, epochs=3))) == 3
    mixed = run("names", "ours", 0, 0.85, None, policy="mixed_bfloat16")
    assert program.merged(found, mixed) == [*found, mixed]


def test_runs_in_the_file_are_not_repeated(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran, file = [], tmp_path / "runs.json"

    def answer(command: list[str], **_: Any) -> Any:
        values = {name: command[command.index(name) + 1] for name in ("--tasks", "--engines", "--seeds", "--epochs")}
        ran.append(tuple(values.values()))
        return subprocess.CompletedProcess(command, 0, json.dumps({"quality": 0.9, "seconds": 1.0}))

    monkeypatch.setattr(program.subprocess, "run", answer)
    monkeypatch.setattr(program, "training", lambda task, engine: lambda folder, epochs=12: None)
    arguments = ["--data=.", "--tasks", "names", "--threads=2", f"--json={file}"]
    program.main([*arguments, "--seeds", "0", "--engines", "ours", "--no-clock"])
    assert ran == [("names", "ours", "0", "12")]
    assert [found["seconds"] for found in program.load(file)] == [None]
    program.main([*arguments, "--seeds", "0", "1", "--engines", "ours", "--no-clock"])
    assert ran[1:] == [("names", "ours", "1", "12")]
    # Runs without seconds are repeated for their seconds.
    program.main([*arguments, "--seeds", "0", "--engines", "ours", "theirs"])
    assert ran[2:] == [("names", "ours", "0", "12"), ("names", "theirs", "0", "12")]
    program.main([*arguments, "--seeds", "0", "--engines", "theirs", "--again"])
    assert ran[4:] == [("names", "theirs", "0", "12")]
    assert len(program.load(file)) == 3
    capsys.readouterr()
    program.main(["--data=.", "--tasks", "--threads=2", f"--json={file}"])
    assert len(ran) == 5
    assert cells(capsys.readouterr().out.splitlines()[2])[3:] == ["0.9 (0.9-0.9)", "0.9", "1.0", "1.0", "1.0"]


def test_a_policy_is_that_of_rnncore_and_float32_in_files_without_one(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran, file = [], tmp_path / "runs.json"
    old = run("names", "ours", 0, 0.8, 1.0, epochs=12)
    del old["policy"]
    program.save(file, [old])
    assert program.load(file) == [run("names", "ours", 0, 0.8, 1.0, epochs=12)]

    def answer(command: list[str], **_: Any) -> Any:
        ran.append(tuple(command[command.index(name) + 1] for name in ("--engines", "--policy")))
        return subprocess.CompletedProcess(command, 0, json.dumps({"quality": 0.9, "seconds": 0.5}))

    monkeypatch.setattr(program.subprocess, "run", answer)
    monkeypatch.setattr(program, "training", lambda task, engine: lambda folder, epochs=12: None)
    arguments = ["--data=.", "--tasks", "names", "--threads=2", "--seeds=0", f"--json={file}"]
    program.main([*arguments, "--policy=mixed_bfloat16"])
    assert ran == [("ours", "mixed_bfloat16"), ("theirs", "float32")]
    program.main([*arguments, "--policy=mixed_bfloat16"])
    program.main(arguments)
    assert len(ran) == 2
    assert [found["policy"] for found in program.load(file)] == ["float32", "mixed_bfloat16", "float32"]
    rows = [cells(line) for line in capsys.readouterr().out.splitlines()[-3:]]
    assert [row[0].rpartition(" ")[2] for row in rows] == ["languages", "mixed_bfloat16", "other"]
    assert [row[-3:] for row in rows] == [["1.0", "0.5", "0.5"], ["0.5", "", ""], ["1.0", "0.5", "0.5"]]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_run_trains_under_its_policy(
    program: ModuleType, policy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = SimpleNamespace(set_num_threads=lambda threads: None, manual_seed=lambda seed: None)
    monkeypatch.setitem(sys.modules, "torch", torch)
    threads, seen = rnncore.get_num_threads(), []

    def train(folder: Path, epochs: int) -> tuple[float, float]:
        seen.append(rnncore.config.dtype_policy())
        return 0.5, 1.0

    monkeypatch.setattr(program, "training", lambda task, engine: train)
    try:
        program.main(["--data=.", "--once", "--tasks=names", "--engines=ours", "--epochs=1", f"--policy={policy}"])
    finally:
        rnncore.config.forget_policy()
        rnncore.set_num_threads(threads)
    assert seen == [policy]
    assert json.loads(capsys.readouterr().out) == {"quality": 0.5, "seconds": 1.0}
