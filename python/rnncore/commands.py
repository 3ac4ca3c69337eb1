"""The commands that work on files of models: inspect, convert and predict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from rnncore._data import Array
from rnncore.formats import FORMATS, format_of
from rnncore.models import Model
from rnncore.writing import write_whole

__all__ = ["convert", "inspect", "predict"]

STEPS = 32  # of random input where a model leaves the number open


def inspect(file: Path) -> None:
    """Print what a file holds; no model is made of it."""
    print("\n".join(format_of(file).describe(file).lines()))


def load(file: Path) -> Model:
    """The model in a file of any kind that holds one."""
    found = format_of(file)
    if found.load is None:
        raise ValueError(f"{os.fspath(file)!r} holds weights without a model")
    return found.load(file)


def convert(source: Path, target: Path) -> None:
    """Write the model of one file as another kind of file, and compare what both compute of random input."""
    save = format_of(target).save
    if save is None:
        written = ", ".join(ending for kind in FORMATS if kind.save for ending in kind.endings)
        came = f"{os.fspath(target)!r}, whose ending is that of a kind only read"
        raise ValueError(f"a model is written to a file that ends in one of {written}, got {came}")
    model = load(source)
    save(model, target)
    again = load(target)
    x = random_input(model)
    pairs = zip(_listed(model.forward(x)), _listed(again.forward(x)), strict=True)
    differences = [float(np.max(np.abs(np.subtract(a, b)), initial=0.0)) for a, b in pairs]
    print(f"{source} -> {target}: {model.count_params():,} parameters")
    shapes = ", ".join(str(array.shape) for array in x)
    print(f"outputs on random input {shapes} differ by at most {max(differences):.1e}")


def predict(file: Path, source: Path, target: Path) -> None:
    """Compute a model's outputs for the arrays of a file, and write them to another one."""
    several = target.suffix == ".npz"
    if not several and target.suffix != ".npy":
        raise ValueError(f"outputs are written to an .npy or .npz file, got {os.fspath(target)!r}")
    model = load(file)
    try:
        x: Any = np.load(source, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{os.fspath(source)!r} holds no arrays of numbers: give an .npy or .npz file") from error
    if isinstance(x, np.lib.npyio.NpzFile):
        with x as several_arrays:
            x = dict(several_arrays)
    outputs = _listed(model.predict(x, verbose=0))
    if len(outputs) > 1 and not several:
        raise ValueError(f"the model has {len(outputs)} outputs: give an .npz file for them, got {os.fspath(target)!r}")
    named: Any = dict(zip(model.output_names, outputs, strict=True))
    write_whole(target, lambda out: np.savez(out, **named) if several else np.save(out, outputs[0]))
    for name, array in named.items():
        print(f"{name}: {array.shape} {array.dtype}")


def random_input(model: Model, seed: int = 0) -> list[Array]:
    """Arrays of two samples that a model takes; ids are within the tables that read them."""
    rng = np.random.default_rng(seed)
    engine = model._session.engine(model)
    arrays: list[Array] = []
    for value, limit in zip(model.inputs, engine._limits, strict=True):
        shape = [2, *(STEPS if size is None else size for size in value.shape[1:])]
        ids = value.dtype == "int"
        arrays.append(rng.integers(0, min(limit or 2, 2**31 - 1), shape) if ids else rng.normal(size=shape))
    return arrays


def _listed(outputs: Any) -> list[Array]:
    if isinstance(outputs, dict):
        return list(outputs.values())
    return outputs if isinstance(outputs, list) else [outputs]
