"""Published packages, whose trained networks tests read; they are never imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["package"]


def package(name: str, version: str = "", folder: Path | None = None) -> Path:
    """The file of a package in the folder RNNCORE_PACKAGES; skips the test where there is none.

    Where that is not set, a package is downloaded to `folder`, if one is given.
    """
    kept = os.environ.get("RNNCORE_PACKAGES")
    if kept is None and folder is None:
        pytest.skip("RNNCORE_PACKAGES is not set")
    if kept is None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=1", "--timeout=10"]
        try:
            done = subprocess.run(
                [*command, f"--dest={folder}", f"{name}=={version}"], capture_output=True, text=True, timeout=120
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"{name} cannot be downloaded in two minutes")
        if done.returncode:
            pytest.skip(f"{name} cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    found = sorted(path for path in Path(kept or str(folder)).glob(f"{name}-{version}*") if path.is_file())
    return found[-1] if found else pytest.skip(f"RNNCORE_PACKAGES has no {name}")
