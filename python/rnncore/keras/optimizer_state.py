"""What an optimizer of Keras keeps of the weights, in the order of its files, and what rnncore's keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnncore import models, optimizers
from rnncore._data import Array
from rnncore.parameters import Weight

__all__ = ["state_of", "take_state"]


def take_state(model: models.Model, arrays: Sequence[Array], *, by_weight: bool) -> str | None:
    """Put iterations and slots of an optimizer of Keras in place, or say why they do not fit.

    Parameters
    ----------
    model : Model
        Compiled.
    arrays : sequence of ndarray
        The iterations, in Keras 3 the learning rate, which the optimizer has already, and what is kept of weights.
    by_weight : bool
        Whether all that is kept of a weight lies together, as since Keras 2.11, and not by kind.
    """
    optimizer, given = model.optimizer, list(arrays)
    if optimizer.use_ema or optimizer.gradient_accumulation_steps is not None:
        return "moving averages and gathered gradients are kept in another way here"
    steps = int(given.pop(0)) if given and given[0].shape == () and given[0].dtype.kind in "iu" else None
    if steps is None:
        return "it does not begin with a number of steps"
    if given and given[0].shape == ():
        given.pop(0)
    keys = _keys(model, by_weight)
    while len(given) > len(keys) and given[-1].shape in ((), (1,)):  # a factor of Nadam, empty slots of Keras 2
        given.pop()
    if [weight.shape for weight, _ in keys] != [array.shape for array in given]:
        return "its state is that of other weights"
    slots = optimizer.build(model._session.engine(model).store.size, model._policy.dtype)
    for (weight, slot), array in zip(keys, given, strict=True):
        slots[slot][weight.window] = array.ravel() - _first(optimizer)
    optimizer.iterations = steps
    return None


def state_of(model: models.Model) -> list[Array] | None:
    """The arrays that Keras 3 keeps for the optimizer of a compiled model; None before the first step."""
    optimizer = model.optimizer
    if optimizer.slots is None or optimizer.use_ema or optimizer.gradient_accumulation_steps is not None:
        return None
    found: list[Array] = [np.asarray(optimizer.iterations, np.int32)]
    if not optimizer.is_scheduled:
        found.append(np.asarray(float(optimizer.learning_rate), np.float32))
    for weight, slot in _keys(model, True):
        kept = np.asarray(optimizer.slots[slot][weight.window] + _first(optimizer), np.float32)
        found.append(kept.reshape(weight.shape))
    if isinstance(optimizer, optimizers.Nadam):
        steps = np.arange(1, optimizer.iterations + 1)
        found.append(np.asarray(np.prod(optimizer.beta_1 * (1 - 0.5 * 0.96**steps)), np.float32))
    return found


def _keys(model: models.Model, by_weight: bool) -> list[tuple[Weight, int]]:
    """Which slot of which weight each of Keras's arrays is."""
    trained = [weight for weight in model.weights if model._session.trainable.trains(weight)]
    groups = _groups(model.optimizer)
    if not by_weight:
        groups = [[slot] for group in groups for slot in group]
    return [(weight, slot) for group in groups for weight in trained for slot in group]


def _groups(optimizer: optimizers.Optimizer) -> list[list[int]]:
    """The slots that Keras has, in groups that lie together weight by weight."""
    if isinstance(optimizer, optimizers.SGD):
        return [[0]] if optimizer.momentum else []
    if isinstance(optimizer, optimizers.RMSprop):
        return [[0], *([[1]] if optimizer.momentum else []), *([[2]] if optimizer.centered else [])]
    if isinstance(optimizer, (optimizers.Adagrad, optimizers.Lion)):
        return [[0]]
    return [[0, 1], *([[2]] if getattr(optimizer, "amsgrad", False) else [])]


def _first(optimizer: optimizers.Optimizer) -> float:
    """What Keras's slots begin with: rnncore's hold what is added to it."""
    return optimizer.initial_accumulator_value if isinstance(optimizer, optimizers.Adagrad) else 0.0
