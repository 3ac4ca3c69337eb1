"""Every script runs on the smallest shapes and writes its numbers; figures are drawn from such numbers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from harness import HERE

SMALL = ["--cells", "gru", "--shapes", "8,5,4,8"]
SCRIPTS = {
    "bench_kernels.py": [*SMALL, "--rounds", "1", "--peers", "rnncore", "--seconds", "0.001"],
    "bench_stacked.py": [*SMALL, "--rounds", "1"],
    "bench_torch_modules.py": ["--cells", "gru", "--tasks", "short", "--rounds", "1", "--seconds", "0.01"],
    "bench_steps.py": ["--engines", "rnncore", "--rounds", "1"],
    "bench_lengths.py": [*SMALL, "--rounds", "1"],
    "bench_resets.py": [*SMALL, "--rounds", "1"],
    "bench_options.py": [*SMALL, "--rounds", "1"],
    "bench_memory.py": [*SMALL, "--peers", "rnncore"],
    "bench_precision.py": [*SMALL, "--rounds", "1"],
    "bench_scaling.py": [*SMALL, "--rounds", "1"],
    "ranks_model.py": ["--cells", "gru", "--shapes", "8,5,4,8", "--rounds", "1"],
    "scaling_model.py": [*SMALL, "--rounds", "1"],
    "bench_stream.py": ["--cells", "gru", "--units", "8", "--steps", "20", "--rounds", "1", "--engines", "rnncore"],
    "time_to_loss.py": ["--engines", "rnncore", "--rounds", "1", "--epochs", "2"],
}


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(HERE / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_script(script, tmp_path):
    path = tmp_path / "numbers.json"
    assert "| " in run(script, *SCRIPTS[script], "--json", str(path))
    record = json.loads(path.read_text())
    assert record["processor"]
    assert record.get("records") or record.get("timings")


def test_report_runs_and_draws(tmp_path):
    run("time_to_loss.py", *SCRIPTS["time_to_loss.py"], "--json", str(tmp_path / "time_to_loss.json"))
    printed = run("report.py", "--out", str(tmp_path), "--only")
    assert "kernels.svg: not drawn without kernels.json, scaling_model.json" in printed
    assert "rnncore" in (tmp_path / "time_to_loss.svg").read_text()
