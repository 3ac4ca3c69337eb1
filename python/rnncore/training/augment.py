"""What `fit(..., augment=...)` does to the rows that are about to be trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnncore._data import Array
from rnncore.batches import Samples
from rnncore.program import Value
from rnncore.training.draws import Draws

Augment = Callable[[Samples, Array, int], Samples]  # samples, their numbers (n,), epoch -> samples


def augmenter(augment: Any, inputs: Sequence[Value], draws: Draws) -> Augment | None:
    """The function that augments samples of these inputs; TypeError or ValueError if it cannot be."""
    if augment is None:
        return None
    names = [value.name for value in inputs]
    given = dict(augment) if isinstance(augment, Mapping) else {names[0]: augment}
    chains: dict[int, list[Any]] = {}
    for name, entries in given.items():
        if name not in names:
            raise ValueError(f"augment must name inputs of the model, {names}, got {name!r}")
        number = names.index(name)
        if inputs[number].dtype == "int":
            raise ValueError(f"augment needs an input of real numbers, but {name!r} takes whole ones")
        chains[number] = list(entries) if isinstance(entries, (list, tuple)) else [entries]
        for entry in chains[number]:
            if not callable(entry):
                raise TypeError(f"augment must be callable or a list of callables, got {type(entry).__name__}")

    def apply(samples: Samples, rows: Array, epoch: int) -> Samples:
        arrays = list(samples.inputs)
        for number, chain in chains.items():
            for stage, function in enumerate(chain):
                arrays[number] = _applied(function, arrays[number], samples.lengths, rows, draws.seed, epoch, stage)
        return replace(samples, inputs=arrays)

    return apply


def _applied(function: Any, x: Array, lengths: Array | None, rows: Array, seed: int, epoch: int, stage: int) -> Array:
    from rnncore.augmentation import Augmentation

    if isinstance(function, Augmentation):
        found = function(x, lengths, seed=seed, epoch=epoch, samples=rows, stage=stage)
    else:
        found = np.asarray(function(x.copy(), np.random.default_rng([seed, epoch, int(rows[0]), stage])))
    if found.shape != x.shape:
        raise ValueError(f"augment must keep the shape {x.shape}, but {function!r} gave {found.shape}")
    return np.ascontiguousarray(found, x.dtype)
