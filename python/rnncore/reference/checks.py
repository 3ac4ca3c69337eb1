"""What the executor checks before it computes: programs, what is trained, and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from ..batches import Batches
from ..program import Program, Training
from .constraints import CONSTRAINTS
from .ops import OPS
from .optimizers import OPTIMIZERS

__all__ = [
    "check_array",
    "check_program",
    "check_rows",
    "check_samples",
    "check_states",
    "check_training",
    "checked",
]


def check_program(program: Program, parameters: Array, gradients: Array) -> None:
    """Check that a program can run, and that the vectors fit it."""
    if parameters.dtype not in (np.float32, np.float64):
        raise TypeError(f"parameters: expected dtype float32 or float64, got {parameters.dtype}")
    needed = max((parameter.offset + parameter.size for parameter in program.parameters), default=0)
    if parameters.ndim != 1 or parameters.size < needed:
        raise ValueError(f"parameters: expected shape (P,) with P at least {needed}, got {parameters.shape}")
    check_array(gradients, "gradients", parameters.shape, parameters.dtype)
    if not (parameters.flags.c_contiguous and gradients.flags.c_contiguous):
        raise ValueError("parameters, gradients: expected contiguous vectors")
    for node in program.nodes:
        if node.op not in OPS:
            raise ValueError(f"program: unknown op {node.op!r} in node {node.name!r}; known: {sorted(OPS)}")
    _check_order(program)
    _check_masks(program)


def _check_order(program: Program) -> None:
    """Nodes are in an order in which each value is made, once, before it is read; so there is no cycle."""
    made = {*program.inputs, program.lengths} - {-1}

    def read(reader: str, ids: Sequence[int]) -> None:
        for value in ids:
            if value != -1 and not 0 <= value < len(program.values):
                raise ValueError(f"program: value {value} does not exist")
            if value != -1 and value not in made:
                raise ValueError(f"program: {reader} reads value {value} before it is made")

    for node in program.nodes:
        read(node.name, node.inputs)
        for value in node.outputs:
            if value in made:
                raise ValueError(f"program: {node.name} makes value {value}, which is there already")
            made |= {value} - {-1}
    read("an output", program.outputs)
    read("a mask of an output", program.masks)


def _check_masks(program: Program) -> None:
    """Check that masks belong to outputs with a time axis."""
    if program.masks and len(program.masks) != len(program.outputs):
        raise ValueError(
            f"program: expected one mask for each of {len(program.outputs)} output(s), got {len(program.masks)}"
        )
    for number, mask in enumerate(program.masks):
        if mask >= 0 and len(program.values[program.outputs[number]].shape) < 3:
            raise ValueError(f"program: output {number} has a mask, but no time axis")
        if mask not in (-1, program.lengths) and len(program.values[mask].shape) != 2:
            raise ValueError(
                f"program: the mask of output {number} must be (N, T), got shape {program.values[mask].shape}"
            )


def check_array(array: Array, name: str, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> None:
    """Check dtype and shape, where None fits any size."""
    if array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}")
    fits = len(array.shape) == len(shape) and all(
        expected in (None, given) for expected, given in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def check_training(training: Training, slots: Array, program: Program, parameters: Array) -> None:
    """Check the optimizer with its slots, and the constraints."""
    if training.optimizer is not None:
        if training.optimizer.kind not in OPTIMIZERS:
            raise ValueError(f"training: unknown optimizer {training.optimizer.kind!r}; known: {list(OPTIMIZERS)}")
        shape = (training.optimizer.slot_count(), parameters.size)
        check_array(slots, "slots", shape, parameters.dtype)
    for constraint in training.constraints:
        if constraint.kind not in CONSTRAINTS:
            raise ValueError(f"training: unknown constraint {constraint.kind!r}; known: {sorted(CONSTRAINTS)}")
        if not 0 <= constraint.parameter < len(program.parameters):
            raise ValueError(
                f"training: a constraint is on parameter {constraint.parameter}, the program has"
                f" {len(program.parameters)}"
            )


def check_samples(program: Program, dtype: np.dtype[Any], inputs: Sequence[Array], lengths: Array | None) -> None:
    """Check the inputs of as many samples as the first one has, and their lengths."""
    if len(inputs) != len(program.inputs):
        raise ValueError(f"inputs: expected {len(program.inputs)} array(s), got {len(inputs)}")
    samples = len(inputs[0])
    for number, array in zip(program.inputs, inputs, strict=True):
        value = program.values[number]
        expected = np.dtype(np.int32) if value.dtype == "int" else dtype
        check_array(array, value.name, (samples, *value.shape[1:]), expected)
    if lengths is not None:
        check_array(lengths, "lengths", (samples,), np.dtype(np.int32))


def check_rows(name: str, arrays: Sequence[Array | None], count: int, samples: int) -> None:
    """Check that there are as many arrays as needed, each absent or with a row for each sample."""
    if len(arrays) != count:
        raise ValueError(f"{name}: expected {count} array(s), got {len(arrays)}")
    for array in arrays:
        if array is not None and len(array) != samples:
            raise ValueError(f"{name}: expected {samples} rows, as in the inputs, got {len(array)}")


def check_states(program: Program, dtype: np.dtype[Any], states: Array, samples: int) -> None:
    """Check the vector of the states that a batch begins with."""
    check_array(states, "states", (samples * program.state_size,), dtype)


def checked(program: Program, dtype: np.dtype[Any], batches: Batches) -> Batches:
    """Batches that are checked, with an order and lengths of their own, as callbacks may write to both."""
    samples, order, batch_size = batches.samples, batches.order, batches.batch_size
    check_samples(program, dtype, samples.inputs, samples.lengths)
    if order.ndim != 1 or order.dtype != np.int64:
        raise TypeError(f"order: expected a vector of int64, got {order.dtype} of shape {order.shape}")
    if order.size and not 0 <= order.min() <= order.max() < samples.rows:
        raise ValueError(f"order: expected sample numbers from 0 to {samples.rows - 1}")
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    if batches.states is not None:
        if len(order) % batch_size:
            raise ValueError(
                f"states: expected batches of {batch_size} samples, the last one has {len(order) % batch_size}"
            )
        check_states(program, dtype, batches.states, batch_size)
    lengths = None if samples.lengths is None else samples.lengths.copy()
    return replace(batches, samples=replace(samples, lengths=lengths), order=order.copy())
