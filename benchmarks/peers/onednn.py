"""oneDNN called directly through its C++ API: vanilla RNN, LSTM and linear-before-reset GRU."""

from __future__ import annotations

import ctypes
import os
import statistics
import sys
from pathlib import Path

import numpy as np
from harness import compile_library

from rnncore.bench import CELLS, Answer, Case, Prepared, interleave, time_major

SOURCE = Path(__file__).with_suffix(".cpp")
CELL_CODES = {"simple_rnn": 0, "lstm": 1, "gru": 2}
MODE_CODES = {"inference": 0, "forward": 1, "step": 2}


def load_library() -> ctypes.CDLL:
    """Compile against the headers and the library below `ONEDNN_ROOT`, the Python environment by default."""
    root = Path(os.environ.get("ONEDNN_ROOT", sys.prefix))
    if not (root / "include/oneapi/dnnl/dnnl.hpp").exists():
        raise ImportError(f"no oneDNN headers below {root}: set ONEDNN_ROOT")
    libraries = root / "lib"
    library = compile_library(SOURCE, f"-I{root / 'include'}", f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-ldnnl")
    library.layer_create.restype = ctypes.c_void_p
    library.layer_array.restype = ctypes.POINTER(ctypes.c_float)
    library.version.restype = ctypes.c_char_p
    return library


class Layer:
    """One layer in C++; its arrays are views of oneDNN's memory."""

    def __init__(self, library: ctypes.CDLL, case: Case, mode: str) -> None:
        self.library = library
        self.handle = ctypes.c_void_p(
            library.layer_create(CELL_CODES[case.cell], *map(ctypes.c_long, case.shape), MODE_CODES[mode])
        )
        if not self.handle:
            raise RuntimeError(f"oneDNN cannot make {case}")

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.ctypeslib.as_array(self.library.layer_array(self.handle, name.encode()), shape)

    def run(self, pack: bool) -> None:
        self.library.layer_run(self.handle, int(pack))

    def __del__(self) -> None:
        self.library.layer_destroy(self.handle)


class Onednn:
    """Every call packs the weights, as a training step must."""

    name = "oneDNN"
    pack = True

    def __init__(self, threads: int) -> None:
        self.library = load_library()
        self.library.omp_set_num_threads(threads)
        self.version = self.library.version().decode()

    def prepare(self, case: Case) -> Prepared | None:
        if case.padded:
            return None
        if case.training:
            return self._prepare(case, "step")
        # Its inference primitive is not always the faster one: each shape has the better of the two.
        kinds = {mode: self._prepare(case, mode) for mode in ("inference", "forward")}
        times = interleave({mode: prepared.call for mode, prepared in kinds.items()}, rounds=3, seconds=0.03)
        return kinds[min(kinds, key=lambda mode: statistics.median(times[mode]))]

    def _prepare(self, case: Case, mode: str) -> Prepared:
        layer = Layer(self.library, case, mode)
        rows, steps, inputs, units = case.shape
        width = CELLS[case.cell] * units
        shapes = {
            "x": (steps, rows, inputs),
            "y": (steps, rows, units),
            "kernel": (inputs, width),
            "recurrent": (units, width),
            "bias": (4 * units,) if case.cell == "gru" else (width,),
        }
        shapes |= {"d" + name: shape for name, shape in shapes.items()}
        arrays = {name: layer.array(name, shape) for name, shape in shapes.items()}
        arrays["x"][:] = time_major(case.data["x"])
        arrays["dy"][:] = time_major(case.doutput)
        arrays["kernel"][:] = case.data["kernel"]
        arrays["recurrent"][:] = case.data["recurrent_kernel"]
        arrays["bias"][:] = _join(case.data["bias"]) if case.cell == "gru" else case.data["bias"]
        self.library.layer_pack(layer.handle)

        def answer(_: None) -> Answer:
            if not case.training:
                return Answer(time_major(arrays["y"]))
            dbias = _split(arrays["dbias"]) if case.cell == "gru" else arrays["dbias"]
            return Answer(
                time_major(arrays["y"]), time_major(arrays["dx"]), arrays["dkernel"], arrays["drecurrent"], dbias
            )

        return Prepared(lambda: layer.run(self.pack), answer)


class OnednnPacked(Onednn):
    """The weights are packed before the clock starts."""

    name = "oneDNN (packed before)"
    pack = False


def _join(bias: np.ndarray) -> np.ndarray:
    """Turn rnncore's (2, 3·H) into lbr_gru's (4·H,): z and r of both summed, h of the input, h of the state."""
    units = bias.shape[1] // 3
    return np.concatenate((bias[:, : 2 * units].sum(0), bias[0, 2 * units :], bias[1, 2 * units :]))


def _split(dbias: np.ndarray) -> np.ndarray:
    """Turn gradients of lbr_gru's (4·H,) into those of rnncore's (2, 3·H)."""
    gates, input_h, hidden_h = np.split(dbias, [len(dbias) // 2, 3 * len(dbias) // 4])
    return np.stack((np.concatenate((gates, input_h)), np.concatenate((gates, hidden_h))))
