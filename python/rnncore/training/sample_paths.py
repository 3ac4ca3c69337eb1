"""Futures drawn step by step from a model that gives a distribution for each next step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore import seeds
from rnncore._data import Array
from rnncore.losses.distributions import Distribution
from rnncore.training.stream import SequenceStream

__all__ = ["draw_paths"]


def draw_paths(
    model: Any, x: npt.ArrayLike, horizon: int, paths: int, future: npt.ArrayLike | None, seed: int | None
) -> Array:
    """As `Model.sample_paths` describes."""
    loss = _distribution(model)
    horizon, paths = check.positive_int("horizon", horizon), check.positive_int("paths", paths)
    seed = None if seed is None else check.integer("seed", seed, low=0)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        counts = f"{len(model.inputs)} and {len(model.outputs)}"
        raise ValueError(f"sample_paths needs a model with one input and one output, got {counts}")
    past = data.floating("x", data.matched("x", data.real("x", x), model.inputs[0].shape))
    if past.ndim != 3 or 0 in past.shape:
        raise ValueError(f"x must have shape (N, T, F) with no empty axis, got {past.shape}")
    samples, _, features = past.shape
    stream = SequenceStream(model, samples)
    given = np.asarray(stream.run(past))
    units = given.shape[-1] // loss.parameters
    known = _known(future, (samples, horizon - 1, features - units))
    drawn = np.empty((samples * paths, horizon, units), given.dtype)
    rows = np.repeat(np.arange(samples), paths)
    stream = stream.fork(rows)
    given = (given[:, -1] if given.ndim == 3 else given)[rows]
    step = np.empty((samples * paths, features), given.dtype)
    rng = np.random.default_rng(seeds.next_seed() if seed is None else seed)
    for t in range(horizon):
        drawn[:, t] = loss.sample(given, rng)
        if t + 1 == horizon:
            break
        step[:, :units], step[:, units:] = drawn[:, t], known[rows, t]
        given = np.asarray(stream.step(step))
    return drawn.reshape(samples, paths, horizon, units)


def _distribution(model: Any) -> Distribution:
    """The loss that the model was compiled with."""
    compilation = model._session.compilation
    if compilation is None or not compilation.has_loss:
        raise RuntimeError("sample_paths needs a compiled model: its loss tells the distribution")
    model._session.engine(model)  # which binds losses to outputs
    loss = compilation.loss_of(0)
    if not isinstance(loss, Distribution):
        raise ValueError(
            "sample_paths needs a model compiled with the loss of a distribution, as losses.GaussianNLL, got"
            f" {'a function' if loss is None else repr(loss.name)}"
        )
    return loss


def _known(future: npt.ArrayLike | None, shape: tuple[int, int, int]) -> Array:
    """What is known of the steps to come, (N, horizon - 1, F - U)."""
    if shape[2] < 0:
        raise ValueError(f"x must have a feature for each target, which the next step reads, got {-shape[2]} less")
    if future is None and shape[1] * shape[2]:
        raise ValueError(f"future must hold the features of x behind the targets for steps to come, {shape}, got None")
    return np.zeros(shape) if future is None else check.real_array("future", future, shape)
