"""A recurrent layer as an op: one class for every cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._sequence_arguments import Array, gradient_arguments, sequence_arguments, state_arrays
from ..program import EXCLUDED_OPTIONS, RECURRENT_OPTIONS, excluded_options
from . import sequence
from .activations import elementwise_of, is_option
from .cell import Cell
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["Recurrent"]


@dataclass(frozen=True)
class Recurrent:
    """inputs x (N, T, I), lengths (N,) or mask (N, T), initial states -> sequence (N, T, H), final states.

    After the initial states may come resets (N, T), which cut rows before the valid steps where they are not 0, and
    the states with which all pieces but the first one processed begin, zeros where there are none.
    At a step that is not valid the state is held. The sequence is in the order of processing, or, when `aligned`, in
    that of x; at steps that are not valid it repeats the state held, or with `zero_output_for_mask` is zero.
    In training, `recurrent_dropout` is the part of h that the recurrent product does not see, the same at all steps;
    `zoneout` and `cell_zoneout` are the parts of h and c that a step leaves as they were, otherwise their mean counts.
    """

    make_cell: Callable[..., Cell]
    make_normalized_cell: Callable[..., Cell]

    def forward(
        self, inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run
    ) -> tuple[list[Array], Any]:
        x, mask, *states = inputs
        if pair := excluded_options(attributes):
            option, other = pair
            raise ValueError(f"{other}: expected {RECURRENT_OPTIONS[other]!r} with {option}")
        for_inference = attributes.get("products") in ("bfloat16_weights", "int8")
        if for_inference and (run.training or x.dtype != np.float32):
            raise ValueError("products: expected 'exact' or 'bfloat16' in training and in float64")
        options = dict(attributes)
        go_backwards = options.pop("go_backwards", False)
        flipped = not options.pop("aligned", False) and go_backwards
        zero_output = options.pop("zero_output_for_mask", False)
        checkpoint_every = options.pop("checkpoint_every", 0)  # how to save memory, not what to compute
        rate, seed = options.pop("recurrent_dropout", 0.0), options.pop("seed", None) or 0
        zoneout = options.pop("zoneout", 0.0), options.pop("cell_zoneout", 0.0)
        normalized = options.pop("layer_normalization", False)
        if normalized:
            options = {
                name: value for name, value in options.items() if name not in EXCLUDED_OPTIONS["layer_normalization"]
            }
        cell = (self.make_normalized_cell if normalized else self.make_cell)(**with_activations(options))
        initial_state, (resets, *reset_state) = states[: cell.STATES], states[cell.STATES :] or (None,)
        if resets is not None and checkpoint_every > 0:
            raise ValueError("checkpoint_every: expected 0 with resets")
        kernel, recurrent_kernel, *bias = weights
        units = recurrent_kernel.shape[1] // cell.GATES
        shapes = {
            name: shape
            for option, name, shape in (
                ("peepholes", "peephole_kernel", (3, units)),
                ("projected", "projection_kernel", (units, recurrent_kernel.shape[0])),
                ("layer_normalization", "normalization_weights", (normalization_rows(cell), units)),
            )
            if attributes.get(option, False)
        }
        further = {name: bias.pop() for name in shapes}
        projected = options.get("projected", False)
        arguments = sequence_arguments(
            x,
            kernel,
            recurrent_kernel,
            bias[0] if bias else None,
            tuple(initial_state),  # a list of one would be read as a state itself
            None,
            gates=cell.GATES,
            states=cell.STATES,
            split_bias=cell.split_bias,
            units=units if projected else None,
            resets=resets,
        )
        for name, shape in shapes.items():
            if further[name].shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {further[name].shape}")
        real = real_steps(mask, x.shape)
        factors = None
        if run.training and rate > 0:
            size = (len(x), recurrent_kernel.shape[0])
            keep = run.uniform(math.prod(size), seed).reshape(size) >= rate
            factors = keep * x.dtype.type(1 / (1 - rate))
        holds: sequence.Holds = zoneout[: cell.STATES] if any(zoneout[: cell.STATES]) else ()
        if run.training:
            size = (*x.shape[:2], recurrent_kernel.shape[0])
            holds = tuple(
                (run.uniform(math.prod(size), seed, 1 + k).reshape(size) < rate).astype(x.dtype) if rate > 0 else 0
                for k, rate in enumerate(zoneout[: cell.STATES] if holds else ())
            )
        cuts = None
        if arguments.resets is not None:
            sizes = tuple(part.shape[1] for part in arguments.initial_state)
            begun = state_arrays(tuple(reset_state) or None, "state of resets", len(x), sizes, x.dtype)
            cuts = sequence.Resets(arguments.resets, begun)
        result = sequence.forward(cell, arguments, real, go_backwards, run.training, factors, holds, further, cuts)
        output = np.where(real[..., None], result.output, 0) if zero_output else result.output
        output = np.flip(output, axis=1) if flipped else output
        return [output, *result.state], (result.tape, output.shape, flipped, zero_output, len(inputs))

    def backward(self, doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
        tape, shape, flipped, zero_output, slots = saved
        doutput, *dstate = doutputs
        if doutput is not None and flipped:
            doutput = np.flip(doutput, axis=1)  # output = flip(output)
        if doutput is not None and zero_output:
            doutput = np.where(tape.real[..., None], doutput, 0)  # output = where(real, result.output, 0)
        arguments = tape.arguments
        sizes = tuple(part.shape[1] for part in arguments.initial_state)
        dx, gradients, dinitial_state, dreset_state = sequence.gradients(
            tape, *gradient_arguments(doutput, tuple(dstate), sizes=sizes, shape=shape, dtype=arguments.x.dtype)
        )
        dweights = [gradients.kernel, gradients.recurrent_kernel]
        if tape.arguments.bias is not None:
            dweights.append(gradients.bias)
        dweights += [getattr(gradients, name) for name in tape.further]
        return [dx, None, *dinitial_state, None, *dreset_state][:slots], dweights


def normalization_rows(cell: Cell) -> int:
    """How many rows of gains and shifts a normalized cell has."""
    return getattr(cell, "NORMALIZATION_ROWS", 0)


def with_activations(options: dict[str, Any]) -> dict[str, Any]:
    """A cell's options with activations in the place of their names and options."""
    own = {name: value for name, value in options.items() if not is_option(name)}
    return own | {name: elementwise_of(options, name) for name in ("activation", "recurrent_activation") if name in own}
