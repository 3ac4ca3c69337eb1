"""What model files hold: descriptions, weights, the state of optimizers, and how far training is."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy.typing as npt

from rnncore import _validation as check
from rnncore._configurable import fields, part
from rnncore._data import Array
from rnncore.layers import Layer
from rnncore.optimizers import Optimizer
from rnncore.parameters import Weight, assign_all, hold
from rnncore.tensor_file import Entry, TensorFile, parse_json, write
from rnncore.writing import FilePath

MODEL_ENDING = ".rnn"
WEIGHTS_ENDING = ".weights.safetensors"
LAYERS, OPTIMIZER = "layers.", "optimizer."  # how the names of tensors begin
PLACE = re.compile(r"layers\.(?P<layer>0|[1-9][0-9]{0,8})\.(?P<weight>.+)")
LAST_STEP = 2**62


def check_path(filepath: FilePath, *, weights_only: bool) -> Path:
    """The path if it has the ending of its kind of file; ValueError otherwise."""
    path = Path(os.fsdecode(filepath))
    ending = WEIGHTS_ENDING if weights_only else MODEL_ENDING
    if not path.name.endswith(ending):
        kind = "weights" if weights_only else "a model"
        raise ValueError(f"filepath of {kind} must end in {ending!r}, got {str(path)!r}")
    return path


# What Keras takes and files of this kind have no use for.
REFUSED = {
    "zipped": "a model is one file that is never packed",
    "save_format": "there is one format, which the ending of the file names",
    "max_shard_size": "weights are one file",
    "by_name": "layers are matched by their order",
    "objects_to_skip": "give skip_mismatch=True to pass over what does not fit",
    "options": "files are written to the file system alone",
}


def refuse(function: str, **arguments: Any) -> None:
    """Raise for arguments of Keras that have no meaning here, unless they are None, and for unknown ones."""
    for argument, value in arguments.items():
        if argument not in REFUSED:
            raise TypeError(f"{function} got an unknown argument {argument!r}")
        if value is not None:
            raise ValueError(f"{function} takes no {argument}, got {value!r}: {REFUSED[argument]}")


def naming(source: FilePath) -> AbstractContextManager[None]:
    """Turn what goes wrong with the content of a file or text into a ValueError that names it."""
    return part(f"{os.fsdecode(source)} does not fit")


# Names


def weight_tensors(layers: Sequence[Layer]) -> dict[str, Weight]:
    """A name for each weight that depends on its place alone, not on the names of layers."""
    return {
        f"{LAYERS}{i}.{j}.{weight.name}": weight
        for i, layer in enumerate(layers)
        for j, weight in enumerate(layer.weights)
    }


def slot_tensors(weights: Mapping[str, Weight], count: int) -> dict[str, tuple[int, Weight]]:
    """A name for what slot number k of an optimizer keeps of each weight."""
    return {f"{OPTIMIZER}{k}.{name}": (k, weight) for k in range(count) for name, weight in weights.items()}


# Writing


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
    write(path, _with_slots(layers, optimizer), {"model": json.dumps(config, allow_nan=False)}, overwrite=overwrite)


def save_weights(filepath: FilePath, layers: Sequence[Layer], *, overwrite: bool) -> None:
    """Write weights alone."""
    write(check_path(filepath, weights_only=True), _with_slots(layers, None), {}, overwrite=overwrite)


def save_progress(filepath: FilePath, layers: Sequence[Layer], optimizer: Optimizer, progress: dict[str, Any]) -> None:
    """Write how far training is: the weights, the state of the optimizer, and `progress`."""
    write(filepath, _with_slots(layers, optimizer), {"progress": json.dumps(progress, allow_nan=False)})


def _with_slots(layers: Sequence[Layer], optimizer: Optimizer | None) -> dict[str, Array]:
    """The weights and what an optimizer keeps for each of them."""
    weights = weight_tensors(layers)
    tensors = {name: weight.value for name, weight in weights.items()}
    if optimizer is not None and optimizer.slots is not None:
        for name, (k, weight) in slot_tensors(weights, len(optimizer.slots)).items():
            tensors[name] = optimizer.slots[k][weight.window].reshape(weight.shape)
    return tensors


# Reading


def fill(file: TensorFile, layers: Sequence[Layer], dtype: npt.DTypeLike, optimizer: Optimizer | None) -> None:
    """Give new weights, and the slots of an optimizer, what is stored for them; nothing is made unless all fits."""
    weights = matched(file.entries, layers)
    slots = _stored_slots(file.entries, weights, optimizer)
    _check_rest(file.entries)
    store = hold(list(weights.values()), dtype)
    for name, weight in weights.items():
        file.read_into(name, weight.value)
    if optimizer is not None and slots:
        values = optimizer.build(store.size, dtype)
        for name, (k, weight) in slots.items():
            file.read_into(name, values[k][weight.window].reshape(weight.shape))


def load_weights(filepath: FilePath, layers: Sequence[Layer], *, skip_mismatch: bool) -> None:
    """Put weights from a file of weights or of a model in place: all, or with `skip_mismatch` those that fit."""
    with TensorFile(filepath) as file, naming(file.path):
        weights = _fitting(file, layers) if skip_mismatch else matched(file.entries, layers)
        _check_rest(file.entries)
        values = [file.read(name) for name in weights]
    assign_all("weights", list(weights.values()), values)


def load_progress(filepath: FilePath, layers: Sequence[Layer], optimizer: Optimizer) -> dict[str, Any]:
    """Put weights and slots of a file that `save_progress` wrote in place, if all fits; return its `progress`."""
    with TensorFile(filepath) as file, naming(file.path):
        known = ("epochs", "iterations", "learning_rate")
        progress = fields("progress", parse_json(file.metadata["progress"]), known, ("draws",))
        for number in ("epochs", "iterations", "draws"):
            check_step(number, progress.get(number, 0))
        check.number("learning_rate", progress["learning_rate"], low=0.0)
        weights = matched(file.entries, layers)
        places = _stored_slots(file.entries, weights, optimizer)
        _check_rest(file.entries)
        values = [file.read(name) for name in weights]
        slots = [file.read(name) for name in places]
    assign_all("weights", list(weights.values()), values)
    if optimizer.slots is not None:
        for (k, weight), value in zip(places.values(), slots, strict=True):
            optimizer.slots[k][weight.window].reshape(weight.shape)[...] = value
    return progress


def check_step(argument: str, value: Any) -> int:
    """A number of steps that an executor can count."""
    step = check.integer(argument, value, low=0)
    if step > LAST_STEP:
        raise ValueError(f"{argument} must be at most {LAST_STEP}, got {step}")
    return step


# What is stored and what it is for


def matched(entries: Mapping[str, Entry], layers: Sequence[Layer]) -> dict[str, Weight]:
    """The weights by the names of their tensors; ValueError unless these are the weights of just these layers.

    Layers without weights do not count: a file fits a model with one more Dropout.
    """
    stored = _by_rank(name for name in entries if name.startswith(LAYERS))
    tensors = weight_tensors(layers)
    wanted = _by_rank(tensors)
    if set(stored) != set(wanted):
        missing = sorted(wanted[key] for key in set(wanted) - set(stored))
        extra = sorted(stored[key] for key in set(stored) - set(wanted))
        raise ValueError(f"its weights are those of other layers: missing {missing}, unknown {extra}")
    weights = {stored[key]: tensors[name] for key, name in wanted.items()}
    for name, weight in weights.items():
        _check_shape(name, entries[name], weight)
    return weights


def _by_rank(names: Iterable[str]) -> dict[str, str]:
    """Names of weights by what they are without the layers that have no weights; others by themselves."""
    parts = {name: PLACE.fullmatch(name) for name in names}
    numbers = sorted({int(part["layer"]) for part in parts.values() if part})
    rank = {number: k for k, number in enumerate(numbers)}
    return {f"{rank[int(part['layer'])]}.{part['weight']}" if part else name: name for name, part in parts.items()}


def _fitting(file: TensorFile, layers: Sequence[Layer]) -> dict[str, Weight]:
    """As `matched`, for those layers alone whose weights fit; a warning names the others."""
    found: dict[str, Weight] = {}
    skipped: list[str] = []
    stored: dict[str, dict[str, str]] = {}  # for each layer its weights' names in the file
    for key, name in _by_rank(name for name in file.entries if PLACE.fullmatch(name)).items():
        number, _, weight_name = key.partition(".")
        stored.setdefault(number, {})[weight_name] = name
    for rank, layer in enumerate(layer for layer in layers if layer.weights):
        names = stored.get(str(rank), {})
        weights = {f"{j}.{weight.name}": weight for j, weight in enumerate(layer.weights)}
        shapes = {key: file.entries[name].shape for key, name in names.items()}
        if shapes == {key: weight.shape for key, weight in weights.items()}:
            found |= {names[key]: weight for key, weight in weights.items()}
        else:
            own = [weight.shape for weight in layer.weights]
            skipped.append(f"{layer.name!r} has {own}, stored is {[*shapes.values()]}")
    if skipped:
        warnings.warn(f"{file.path}: layers that do not fit keep their weights: {'; '.join(skipped)}", stacklevel=4)
    return found


def _check_rest(entries: Mapping[str, Entry]) -> None:
    """Raise a ValueError if a file holds anything but weights and an optimizer's state."""
    rest = [name for name in entries if not name.startswith((LAYERS, OPTIMIZER))]
    if rest:
        raise ValueError(f"it holds something else: {rest}")


def _check_shape(name: str, entry: Entry, weight: Weight) -> None:
    if entry.shape != weight.shape:
        raise ValueError(f"{name} must have shape {weight.shape}, got {entry.shape}")


def _stored_slots(
    entries: Mapping[str, Entry], weights: Mapping[str, Weight], optimizer: Optimizer | None
) -> dict[str, tuple[int, Weight]]:
    """The tensors for an optimizer's slots: those of all its slots, or none; ValueError for others."""
    names = {name for name in entries if name.startswith(OPTIMIZER)}
    if optimizer is None or not names:
        return {}
    slots = slot_tensors(weights, optimizer.describe().slot_count())
    if names != set(slots):
        missing, extra = sorted(set(slots) - names), sorted(names - set(slots))
        raise ValueError(f"its state is that of another optimizer: missing {missing}, unknown {extra}")
    for name, (_, weight) in slots.items():
        _check_shape(name, entries[name], weight)
    return slots
