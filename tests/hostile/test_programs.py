"""The core refuses Programs and training descriptions that make no sense, and never crashes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("first", [0, 10**6])
def test_mutated_programs_work_or_are_refused(first: int) -> None:
    script = Path(__file__).parents[1] / "helpers" / "fuzz_programs.py"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(script), str(first), "400"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    for found in ("worked", "ValueError", "TypeError"):
        assert f"'{found}'" in done.stdout
