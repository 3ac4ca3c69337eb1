"""Keras 3 for the tests that compare with it, and files of older versions."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import FOLDER
from keras_models import Array

ARCHIVE = FOLDER / "keras_files.zip"


def keras_3() -> Any:
    """The module, or the reason to skip."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras", reason="Keras 3 is not installed", exc_type=ImportError)
    if not keras.__version__.startswith("3"):
        pytest.skip(f"Keras is {keras.__version__}, not 3")
    return keras


def stored(name: str, folder: Path) -> Path:
    """A file of the archive, unpacked."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        path = folder / name.replace("/", "-")
        path.write_bytes(archive.read(name))
    return path


def numbers(name: str) -> dict[str, Array]:
    """The arrays that belong to a file of the archive."""
    with zipfile.ZipFile(ARCHIVE) as archive, np.load(io.BytesIO(archive.read(name))) as found:
        return dict(found)


def inputs_and_outputs(found: dict[str, Array]) -> tuple[list[Array], list[Array]]:
    """Of a model, in order."""
    return tuple([found[key] for key in sorted(found) if key[0] == side and key[1:].isdigit()] for side in "xy")  # type: ignore[return-value]
