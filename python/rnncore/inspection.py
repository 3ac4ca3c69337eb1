"""Looking into a model: how gradients flow back through time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._namespace import public
from rnncore.batches import Batches, Update
from rnncore.reference import Executor
from rnncore.reference.magnitude import norm
from rnncore.training.functions import FunctionExecutor

if TYPE_CHECKING:
    from rnncore.models import Model

__all__ = ["gradient_flow"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

Array = npt.NDArray[Any]


def gradient_flow(
    model: Model,
    x: Any,
    y: Any,
    lengths: npt.ArrayLike | None = None,
    *,
    sample_weight: Any = None,
    per_sample: bool = False,
    seed: int = 0,
) -> dict[str, Array]:
    """Measure how strongly the loss depends on the state after every step of each recurrent layer.

    The norm of dL/dh_t, the total derivative: what h_t does to this step's output and by way of all later steps. A
    norm that falls towards zero from the last step to the first is a gradient that vanishes: the network cannot
    learn what the early steps are good for (Y. Bengio et al., "Learning long-term dependencies with gradient
    descent is difficult", 1994).

    One training step on all rows is run by the NumPy reference executor on a copy of the weights; the model stays
    as it is. Dropout is on, as in training.

    Parameters
    ----------
    model : Model
        Compiled with a loss.
    x, y, lengths, sample_weight
        As for `fit`: arrays.
    per_sample : bool, default False
        Whether to return the norm of each row instead of the mean over rows.
    seed : int, default 0
        Of dropout.

    Returns
    -------
    dict of str to ndarray, shape (T,) or (N, T)
        For each recurrent layer, by its name in the Program, the norms by input time t. L is the loss of the batch,
        a mean over rows, so a row's gradient is 1 / N of that of its own loss. Zero at padded steps.

    Raises
    ------
    TypeError, ValueError
        If the model is not compiled with a loss, has no recurrent layer, or an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> from rnncore.inspection import gradient_flow
    >>> model = models.Sequential([layers.Input((20, 1)), layers.SimpleRNN(4, name="rnn"), layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> model.get_layer("rnn").set_weights([np.ones((1, 4)), 0.5 * np.eye(4), np.zeros(4)])
    >>> flow = gradient_flow(model, np.zeros((1, 20, 1)), [[1.0]])["rnn"]
    >>> flow[-1] / flow[-2], flow[-2] / flow[-3]
    (np.float32(2.0), np.float32(2.0))
    """
    per_sample = check.boolean("per_sample", per_sample)
    seed = check.integer("seed", seed, low=0)
    session = model._session
    samples = session.samples(model, x, y, sample_weight, lengths)
    engine, compilation = session.engine(model), session.compiled("its gradients can be seen")
    vectors = (engine.store.vector.copy(), np.zeros_like(engine.store.vector))
    executor = Executor(engine.program, *vectors)
    description = replace(compilation.training(), optimizer=None)
    executor.configure(description, np.zeros((0, vectors[0].size), engine.dtype))
    trainer: Any = executor
    state = np.zeros(description.state_size())
    if compilation.function is not None:
        state = compilation.state()
        trainer = FunctionExecutor(executor, compilation, description, engine.program, vectors)
    trainer.train(Batches.whole(samples), Update(np.zeros(1), 0, seed), state)
    norms = {name: norm(dh, 2)[..., 0].astype(dh.dtype) for name, dh in executor.state_gradients().items()}
    if not norms:
        raise ValueError(f"model must have a recurrent layer, {model.name!r} has none")
    return norms if per_sample else {name: rows.mean(axis=0) for name, rows in norms.items()}
