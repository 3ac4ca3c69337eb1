"""RTNeural on Eigen, compiled from the folder RTNEURAL_ROOT: layers of one row, called from Python by ctypes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import compile_library

SOURCE = Path(__file__).with_suffix(".cpp")
EIGEN = Path("/usr/include/eigen3")


def load_library() -> ctypes.CDLL:
    """Compile against RTNeural's headers, and those of Eigen below EIGEN_ROOT or where Linux has them."""
    root, eigen = Path(os.environ.get("RTNEURAL_ROOT", "")), Path(os.environ.get("EIGEN_ROOT", EIGEN))
    if not (root / "RTNeural/RTNeural.h").exists() or not (eigen / "Eigen/Dense").exists():
        raise ImportError("no RTNeural or Eigen headers: set RTNEURAL_ROOT and EIGEN_ROOT")
    flags = ["-DRTNEURAL_USE_EIGEN=1", "-DRTNEURAL_NAMESPACE=RTNeural", "-DRTNEURAL_DEFAULT_ALIGNMENT=32"]
    library = compile_library(SOURCE, f"-I{root}", f"-I{eigen}", *flags)
    library.layer_create.restype = ctypes.c_void_p
    return library


def layer_step(cell: str, weights: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """The step of one LSTM or GRU with these weights."""
    library = load_library()
    arrays = [np.ascontiguousarray(w, np.float32) for w in weights]
    inputs, units = arrays[0].shape[0], arrays[1].shape[0]
    places = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    layer = ctypes.c_void_p(library.layer_create(int(cell == "gru"), inputs, units, *places))
    x, h = np.empty((1, inputs), np.float32), np.empty((1, units), np.float32)
    x_place, h_place = ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(h.ctypes.data)

    def step(x_t: np.ndarray) -> np.ndarray:
        x[...] = x_t
        library.layer_step(layer, x_place, h_place)
        return h

    return step
