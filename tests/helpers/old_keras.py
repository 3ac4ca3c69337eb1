"""Writes HDF5 files as Keras 1 and 2 laid them out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def entry(name: str, title: str, **config: Any) -> dict[str, Any]:
    """The description of a layer."""
    return {"class_name": name, "config": {"name": title, "trainable": True, **config}}


def write(
    path: Path,
    model: Any,
    weights: Mapping[str, Sequence[Array]],
    version: str | None = "1.2.2",
    backend: str | None = None,
    **attributes: Any,
) -> Path:
    """Write a file of a model, or of weights alone where there is none."""
    import h5py

    with h5py.File(path, "w") as file:
        root = file
        if model is not None:
            file.attrs["model_config"] = json.dumps(model).encode()
            root = file.create_group("model_weights")
        for name, text in {"keras_version": version, "backend": backend, **attributes}.items():
            if text is not None:
                file.attrs[name] = text.encode()
        root.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            group = root.create_group(name)
            names = [f"{name}_{k}".encode() for k in range(len(arrays))]
            group.attrs["weight_names"] = names
            for title, array in zip(names, arrays, strict=True):
                group[title.decode()] = array
    return path


def hard_sigmoid(x: Array) -> Array:
    """That of Keras before version 3."""
    return np.clip(0.2 * x + 0.5, 0.0, 1.0)


def lstm_of_gates(x: Array, gates: Mapping[str, Sequence[Array]]) -> Array:
    """The last output (N, H) of an LSTM given as (W, U, b) for each of i, c, f, o."""
    h = c = np.zeros((len(x), gates["i"][1].shape[0]))
    for t in range(x.shape[1]):
        product = {gate: x[:, t] @ w + h @ u + b for gate, (w, u, b) in gates.items()}
        i, f, o = (hard_sigmoid(product[gate]) for gate in "ifo")
        c = f * c + i * np.tanh(product["c"])
        h = o * np.tanh(c)
    return h


def gru_of_gates(x: Array, gates: Mapping[str, Sequence[Array]]) -> Array:
    """The last output (N, H) of a GRU that resets the state before the product, (W, U, b) for each of z, r, h."""
    h = np.zeros((len(x), gates["z"][1].shape[0]))
    for t in range(x.shape[1]):
        z, r = (hard_sigmoid(x[:, t] @ w + h @ u + b) for w, u, b in (gates["z"], gates["r"]))
        w, u, b = gates["h"]
        h = z * h + (1 - z) * np.tanh(x[:, t] @ w + (r * h) @ u + b)
    return h
