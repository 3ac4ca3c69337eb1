"""The program that runs whole tasks beside PyTorch: which runs it keeps and repeats, and its table."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROGRAM = Path(__file__).parent.parent / "benchmarks" / "tasks" / "run.py"
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


def run(task: str, engine: str, seed: int, quality: float, seconds: float | None, **names: int) -> dict[str, Any]:
    return {
        "task": task,
        "engine": engine,
        "seed": seed,
        "threads": names.get("threads", 2),
        "epochs": names.get("epochs", 7),
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
        ]
    ).splitlines()
    assert [cells(line) for line in lines[2:]] == [
        ["`images`: digits row by row", "7", "accuracy ↑", "0.98 (0.97-0.99)", "0.96", "3.0", "9.0", "3.0"],
        ["`names`: surnames of 18 languages", "7", "accuracy ↑", "0.85", "0.84", "", "100.0", ""],
        ["`translation`: English to German", "7", "BLEU ↑", "30", "29.5", "10.0", "20.0", "2.0"],
        ["`translation`: English to German", "9", "BLEU ↑", "33", "", "15.0", "", ""],
        ["all timed beside each other", "", "", "", "", "13.0", "29.0", "2.2"],
    ]


def test_a_run_replaces_its_like_and_keeps_seconds_of_a_quiet_machine(program: ModuleType) -> None:
    quiet, other = run("names", "ours", 0, 0.84, 5.0), run("images", "ours", 0, 0.97, 2.0)
    found = program.merged([quiet, other], run("names", "ours", 0, 0.85, None))
    assert found == [other, run("names", "ours", 0, 0.85, 5.0)]
    found = program.merged(found, run("names", "ours", 0, 0.86, 6.0))
    assert found == [other, run("names", "ours", 0, 0.86, 6.0)]
    assert len(program.merged(found, run("names", "ours", 0, 0.86, 6.0, epochs=3))) == 3


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
