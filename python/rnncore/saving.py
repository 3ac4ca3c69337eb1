"""Model files: the safetensors layout, written and read whole.

A file is the length of its header (8 bytes, little-endian), the header (JSON: for each tensor its dtype,
shape and place, and free text under `__metadata__`) and the tensors' raw little-endian numbers without gaps.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnncore.data import Array
from rnncore.layers import Layer
from rnncore.optimizers import Optimizer
from rnncore.parameters import Weight, assign_all

FORMAT = "rnncore"
VERSION = "1"
MODEL_ENDING = ".rnn"
WEIGHTS_ENDING = ".weights.safetensors"
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}

FilePath = str | os.PathLike[str]


def check_path(filepath: FilePath, *, weights_only: bool) -> Path:
    """The path if it has the ending of its kind of file; ValueError otherwise."""
    path = Path(os.fspath(filepath))
    ending = WEIGHTS_ENDING if weights_only else MODEL_ENDING
    if not path.name.endswith(ending):
        kind = "weights" if weights_only else "a model"
        raise ValueError(f"filepath of {kind} must end in {ending!r}, got {str(path)!r}")
    return path


# Models


def weight_tensors(layers: Sequence[Layer]) -> dict[str, Weight]:
    """A name for each weight that depends on its place alone, not on the names of layers."""
    return {
        f"layers.{i}.{j}.{weight.name}": weight
        for i, layer in enumerate(layers)
        for j, weight in enumerate(layer.weights)
    }


def save_model(
    filepath: FilePath,
    config: dict[str, Any],
    layers: Sequence[Layer],
    optimizer: Optimizer | None,
    *,
    overwrite: bool,
) -> None:
    """Write a model's description, weights and the state of its optimizer."""
    path = check_path(filepath, weights_only=False)
    write(path, _with_slots(layers, optimizer), {"model": json.dumps(config)}, overwrite=overwrite)


def _with_slots(layers: Sequence[Layer], optimizer: Optimizer | None) -> dict[str, Array]:
    """The weights and what an optimizer keeps for each of them."""
    weights = weight_tensors(layers)
    tensors = {name: weight.value for name, weight in weights.items()}
    if optimizer is not None and optimizer.slots is not None:
        for number, slot in enumerate(optimizer.slots):
            tensors |= {
                f"optimizer.{number}.{name}": slot[weight.window].reshape(weight.shape)
                for name, weight in weights.items()
            }
    return tensors


def save_progress(filepath: FilePath, layers: Sequence[Layer], optimizer: Optimizer, progress: dict[str, Any]) -> None:
    """Write how far training is: the weights, the state of the optimizer, and `progress`."""
    write(Path(os.fspath(filepath)), _with_slots(layers, optimizer), {"progress": json.dumps(progress)})


def load_progress(filepath: FilePath, layers: Sequence[Layer], optimizer: Optimizer) -> dict[str, Any]:
    """Put weights and slots of a file that `save_progress` wrote in place; return its `progress`."""
    path = Path(os.fspath(filepath))
    tensors, metadata = read(path)
    weights = weight_tensors(layers)
    with naming(path):
        progress: dict[str, Any] = json.loads(metadata["progress"])
        assign_all("weights", list(weights.values()), matching(tensors, weights))
        if optimizer.slots is not None:
            optimizer_slots(tensors, weights, optimizer.slots)
    return progress


def read_model(filepath: FilePath) -> tuple[dict[str, Any], dict[str, Array]]:
    """The description and the tensors of a model's file."""
    path = Path(os.fspath(filepath))
    tensors, metadata = read(path)
    if "model" not in metadata:
        raise ValueError(f"{path} holds weights without a model; give it to load_weights of a model")
    with naming(path):
        config = json.loads(metadata["model"])
    return config, tensors


@contextlib.contextmanager
def naming(filepath: FilePath) -> Iterator[None]:
    """Turn what goes wrong with the content of a file into a ValueError that names it."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{os.fspath(filepath)} does not fit: it lacks {error}") from error
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(filepath)} does not fit: {error}") from error


def optimizer_slots(tensors: Mapping[str, Array], weights: Mapping[str, Weight], slots: Array) -> None:
    """Fill an optimizer's slots (S, P) with what was saved for each weight; zeros if nothing was."""
    if not any(name.startswith("optimizer.") for name in tensors):
        return
    for number, slot in enumerate(slots):
        for name, weight in weights.items():
            slot[weight.window].reshape(weight.shape)[...] = tensors[f"optimizer.{number}.{name}"]


def save_weights(filepath: FilePath, layers: Sequence[Layer], *, overwrite: bool) -> None:
    """Write weights alone."""
    tensors = {name: weight.value for name, weight in weight_tensors(layers).items()}
    write(check_path(filepath, weights_only=True), tensors, {}, overwrite=overwrite)


def load_weights(filepath: FilePath, layers: Sequence[Layer]) -> list[Array]:
    """The weights for these layers from a file of weights or of a model."""
    path = Path(os.fspath(filepath))
    tensors, _ = read(path)
    with naming(path):
        return matching(tensors, weight_tensors(layers))


def matching(tensors: Mapping[str, Array], weights: Mapping[str, Weight]) -> list[Array]:
    """The tensors of exactly these weights, in order."""
    names = {name for name in tensors if name.startswith("layers.")}
    if names != set(weights):
        missing, extra = sorted(set(weights) - names), sorted(names - set(weights))
        raise ValueError(f"its weights are those of other layers: missing {missing}, unknown {extra}")
    for name, weight in weights.items():
        if tensors[name].shape != weight.shape:
            raise ValueError(f"{name} must have shape {weight.shape}, got {tensors[name].shape}")
    return [tensors[name] for name in weights]


# Files


def write(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str], *, overwrite: bool = True) -> None:
    """Write a file that appears whole or not at all."""
    if not overwrite and path.exists():
        raise FileExistsError(f"{path} exists; give overwrite=True to replace it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no directory {path.parent}")
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": VERSION, **metadata}}
    names = {dtype.itemsize: name for name, dtype in DTYPES.items()}
    stop = 0
    for name, array in tensors.items():
        start, stop = stop, stop + array.nbytes
        header[name] = {"dtype": names[array.itemsize], "shape": list(array.shape), "data_offsets": [start, stop]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned

    # Beside the target, so that the last step is one renaming within a file system.
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(len(text).to_bytes(8, "little"))
            file.write(text)
            for array in tensors.values():
                file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _new_file_mode())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _new_file_mode() -> int:
    """The permissions an ordinary new file gets; a temporary one is private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """All tensors and the metadata of a file that `write` wrote; ValueError for anything else."""
    content = path.read_bytes()
    try:
        return _parse(content)
    except ValueError as error:
        raise ValueError(f"{path} is not a whole {FORMAT} file: {error}") from error


def _parse(content: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    if len(content) < 8:
        raise ValueError(f"it has {len(content)} bytes")
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise ValueError(f"its header would be {length} bytes long, of {len(content)} in all")
    header = json.loads(content[8 : 8 + length].decode())
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError("its header does not name the format")
    if metadata.get("version") != VERSION:
        raise ValueError(f"it has version {metadata.get('version')!r}, known is {VERSION!r}")
    data = memoryview(content)[8 + length :]
    tensors, end = {}, 0
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    for name, (dtype, shape, start, stop) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if start != end or stop > len(data):
            raise ValueError(f"{name} would lie at bytes {start} to {stop} of {len(data)}")
        tensors[name] = np.frombuffer(data[start:stop], dtype).reshape(shape)
        end = stop
    if end != len(data):
        raise ValueError(f"it has {len(data)} bytes of numbers, {end} are named")
    return tensors, metadata


def _entry(name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """The checked description of one tensor."""
    try:
        dtype, shape, (start, stop) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, start, stop))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is not described: {error}") from error
    if not whole or stop - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} has shape {shape} but bytes {start} to {stop}")
    return dtype, tuple(shape), start, stop
