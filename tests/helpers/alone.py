"""Runs a piece of Python in a process of its own, which may crash or hang without taking the tests with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

HELPERS = str(Path(__file__).parent)
SLOWER = float(os.environ.get("RNNCORE_TESTS_SLOWER", "1"))  # how many times as slow all is, as with a sanitizer


def run_alone(code: str, *arguments: str, seconds: float = 60, **environment: str) -> str:
    """What `code`, which may import from this folder, prints to the standard output.

    Fails with both of its outputs when it raises, dies of a signal, or takes longer than `seconds`, which counts as
    a hang: everything that it started is ended then.
    """
    seconds *= SLOWER
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([HELPERS, os.environ.get("PYTHONPATH", "")]), **environment},
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        raise AssertionError(f"no end within {seconds} s\n{output}\n{errors}") from None
    assert process.returncode == 0, f"exit status {process.returncode}\n{output}\n{errors}"
    return output


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The end of a process that ran `code` without settings of this one's environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RNNCORE_", "OMP_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
