"""Single steps: one batch at a time, or forward, backward and update by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore import seeds
from rnncore._data import Array
from rnncore.batches import Batches
from rnncore.callbacks.base import CallbackList, Logs
from rnncore.layers.symbolic import SymbolicValue, packed
from rnncore.training import epoch
from rnncore.training.feed import ArrayFeed
from rnncore.training.gradient_norms import gradient_norms
from rnncore.training.progress import ProgressBar
from rnncore.training.sample_paths import draw_paths
from rnncore.training.session import Runnable
from rnncore.training.sharing import trains
from rnncore.training.stream import SequenceStream


class Steps(Runnable, registered=False):
    """The methods of a model that work on one batch."""

    @trains("train_on_batch")
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> float | list[float] | Logs:
        """Do one training step on all rows of `x`.

        Parameters
        ----------
        x, y, sample_weight, class_weight, lengths
            As for `fit`.
        return_dict : bool, default False

        Returns
        -------
        float, list of float, or dict
            Loss and metrics of this batch before the step, as from `evaluate`.

        Raises
        ------
        TypeError, ValueError
            As for `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> model.train_on_batch(np.ones((4, 2)), np.ones(4))
        1.0
        """
        samples = self._session.samples(self, x, y, sample_weight, lengths, class_weight)
        self._session.warn_of_trainable(self)
        hooks = CallbackList.of(self, None, {})
        engine, compilation, bar = self._session.engine(self), self._session.compiled("training"), ProgressBar(1, 0)
        engine.whole_batches(samples.rows, samples.rows)
        self.stop_training = False
        parts, seed = [Batches.whole(samples)], seeds.next_seed()
        logs, _ = epoch.train(engine, compilation, parts, seed, hooks, bar, self._stops)
        return result(logs, return_dict)

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> float | list[float] | Logs:
        """Measure the loss and the metrics of one batch, all rows of `x`; otherwise as `evaluate`.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> model.test_on_batch(np.ones((4, 2)), np.ones(4))
        1.0
        """
        samples = self._session.samples(self, x, y, sample_weight, lengths)
        self._session.engine(self).whole_batches(samples.rows, samples.rows)
        hooks = CallbackList.of(self, None, {})
        logs = self._session.evaluate(self, ArrayFeed(samples, samples.rows), hooks, ProgressBar(1, 0))
        return result(logs, return_dict)

    def predict_on_batch(self, x: Any, *, lengths: npt.ArrayLike | None = None) -> Array | Any:
        """Compute the outputs of one batch, all rows of `x`; otherwise as `predict`.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
        >>> model.predict_on_batch(np.ones((1, 2)))
        array([[2.]], dtype=float32)
        """
        return self.forward(x, lengths)

    def __call__(  # type: ignore[override]  # arrays as well
        self, x: Any, training: bool | None = None, *, lengths: npt.ArrayLike | None = None
    ) -> Array | Any:
        """Compute the outputs for all rows at once: `forward`, called as in Keras.

        Called on symbolic values, the model is a layer of another one; its calls share its weights.

        Parameters
        ----------
        x, lengths
            As for `fit`. Or symbolic values, one for each input, in a list or a dict by input name.
        training : bool, optional
            Whether dropout is on and `backward` may follow; by default not.

        Returns
        -------
        ndarray, shape (N, ..., U), or list of ndarray, or dict of ndarray if the outputs were given as a dict
            Symbolic values for symbolic values.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
        >>> model(np.ones((1, 2)))
        array([[2.]], dtype=float32)
        >>> outer = models.Sequential([layers.Input((5, 2)), layers.TimeDistributed(model), layers.GRU(3)])
        >>> outer.output_shape
        (None, 3)
        """
        given = list(x.values()) if isinstance(x, Mapping) else x if isinstance(x, (list, tuple)) else [x]
        if any(isinstance(entry, SymbolicValue) for entry in given):
            if training is not None or lengths is not None:
                raise ValueError("a model called on symbolic values takes no training and no lengths: give them to fit")
            return self._called_on(x)
        return self.forward(x, lengths, False if training is None else training)

    def forward(self, x: Any, lengths: npt.ArrayLike | None = None, training: bool = False) -> Array | Any:
        """Compute the outputs for all rows at once.

        Parameters
        ----------
        x, lengths
            As for `fit`.
        training : bool, default False
            Whether dropout is on and `backward` may follow.

        Returns
        -------
        ndarray, shape (N, ..., U), or list of ndarray, or dict of ndarray if the outputs were given as a dict

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        A training step with your own loss:

        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd")
        >>> y = model.forward(np.ones((1, 2)), training=True)
        >>> dx = model.backward(y - 1.0)
        >>> model.apply_gradients()
        >>> model.get_weights()[0].ravel()
        array([0.01, 0.01], dtype=float32)
        """
        training = check.boolean("training", training)
        session = self._session
        if training and session.compilation is not None:
            session.warn_of_trainable(self)
        elif training and session.trainable.changes(self.trainable):
            session.forget_engine()  # nobody else will say when `trainable` is to take effect
        engine, named, kept = session.arrays(self, x, lengths)
        inputs = list(named.values())
        states = engine.states_for(len(inputs[0]), len(inputs[0]))
        seed = seeds.next_seed() if training else 0
        outputs = engine.executor.forward(inputs, kept, training=training, seed=seed, states=states)
        if training:
            engine.forward_shapes.last = [output.shape for output in outputs]
        return packed(outputs, self._output_keys)

    def stream(self, batch_size: int = 1, *, weights: str | None = None) -> SequenceStream:
        """Prepare the model to read sequences that come a few time steps at a time.

        Parameters
        ----------
        batch_size : int, default 1
            How many sequences go side by side.
        weights : {"bfloat16", "int8"}, optional
            Keep the weights of recurrent layers in a half or a quarter of the bytes, where reading them is what a step
            waits for. With "bfloat16" they are rounded to 8 bits of mantissa; with "int8" they are whole multiples of a
            scale, one for each column, and so are x and h, with a scale for each row. Layers with
            `layer_normalization`, a projection or `reset_after=False`, and all other layers, keep theirs. By default
            weights are as the model has them.

        Returns
        -------
        SequenceStream
            `step(x_t)` computes the outputs for the next step, `run(chunk)` for any number of them; `reset()` begins
            new sequences. `states`, `copy` and `fork` give what it remembers to others.

        Raises
        ------
        ValueError
            If a layer needs steps that come later.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(1)])
        >>> stream = model.stream()
        >>> stream.step([[1.0, 2.0, 3.0]]).shape
        (1, 1)
        """
        return SequenceStream(self, batch_size, weights)

    def sample_paths(
        self,
        x: npt.ArrayLike,
        horizon: int,
        paths: int = 100,
        *,
        future: npt.ArrayLike | None = None,
        seed: int | None = None,
    ) -> Array:
        """Draw futures: each step from the distribution that the model gives, then read as the next step's input.

        The model has one input (N, T, F) and one output, the parameters of a distribution of U targets, as its loss
        tells (`losses.GaussianNLL` and its kin). The first U features of a step are the targets of the step before, as
        in a model that forecasts the series it reads. The past is read once for all paths.

        Parameters
        ----------
        x : array_like, shape (N, T, F)
            The past.
        horizon : int
            How many steps to draw.
        paths : int, default 100
            How many futures of each row.
        future : array_like, shape (N, horizon - 1, F - U), optional
            The other features of the steps to come, as the hour of the day; needed where F is above U. The first drawn
            step needs none, since the last step of x tells it.
        seed : int, optional
            Of the draws; by default others each time.

        Returns
        -------
        ndarray, shape (N, paths, horizon, U)
            `np.quantile(drawn, q, axis=1)` are forecasts with their uncertainty.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            If an argument does not fit, the model is not compiled with the loss of a distribution, or it needs steps
            that come later.

        References
        ----------
        D. Salinas et al., "DeepAR: probabilistic forecasting with autoregressive recurrent networks", International
        Journal of Forecasting 36 (2020).

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, losses, models
        >>> model = models.Sequential([
        ...     layers.Input((None, 1)),
        ...     layers.GRU(8, return_sequences=True),
        ...     layers.Dense(2),
        ... ])
        >>> model.compile("adam", losses.GaussianNLL())
        >>> model.sample_paths(np.zeros((3, 20, 1)), horizon=5, paths=50).shape
        (3, 50, 5, 1)
        """
        return draw_paths(self, x, horizon, paths, future, seed)

    def backward(self, dy: Any) -> Any:
        """Compute the gradients of the weights, and of the inputs, from those of the outputs.

        Follows `forward(..., training=True)` in the same thread. Its inputs and outputs may have changed since, and
        other threads may have computed, but the weights must not have changed. The gradients of the weights are then in
        `gradients`; penalties on weights are not part of them.

        Parameters
        ----------
        dy : array_like, shape of the output, or a list with None where there is no gradient

        Returns
        -------
        ndarray, shape of x, or list of ndarray
            Gradients of the inputs; None for an integer input.

        Raises
        ------
        TypeError, ValueError
            Without a forward pass before, if the weights have changed since, or if `dy` does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
        >>> y = model.forward(np.ones((3, 2)), training=True)
        >>> model.backward(np.ones_like(y)).shape
        (3, 2)
        """
        engine = self._session.last_engine
        shapes = None if engine is None else engine.forward_shapes.last
        if engine is None or shapes is None:
            raise ValueError("backward must follow forward(x, training=True) on the same model, in the same thread")
        entries = data.named("dy", dy, self.output_names, [False] * len(shapes))
        gradients = [
            None if value is None else np.ascontiguousarray(check.real_array(argument, value, shape), engine.dtype)
            for (argument, value), shape in zip(entries.items(), shapes, strict=True)
        ]
        found = engine.executor.backward(gradients)
        engine.forward_shapes.last = None
        return packed(found, self._input_keys)

    def per_sample_gradient_norms(
        self, x: Any, y: Any = None, sample_weight: Any = None, *, lengths: npt.ArrayLike | None = None
    ) -> Array:
        """Compute how strongly each sample pulls at the weights: the norm of the gradient of its loss.

        The gradient is that of a training step on the sample alone, without penalties on weights and without
        clipping, to all trainable weights. The model does not change, nor do its `gradients`.

        Parameters
        ----------
        x, y, sample_weight, lengths
            As for `fit`.

        Returns
        -------
        ndarray of float64, shape (N,)

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled with a loss by name, or an argument does not fit.

        References
        ----------
        I. Goodfellow, "Efficient per-example gradient computations", arXiv:1510.01799 (2015).

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones")])
        >>> model.compile("sgd", "mse")
        >>> model.per_sample_gradient_norms([[1.0], [2.0]], [[0.0], [0.0]])  # 2 (w x - y) x
        array([2., 8.])
        """
        samples = self._session.samples(self, x, y, sample_weight, lengths)
        engine, compilation = self._session.engine(self), self._session.compiled("it has gradients")
        if compilation.function is not None:
            raise ValueError("per_sample_gradient_norms needs a loss that rnncore knows, got a function")
        kind, training = type(engine.executor), compilation.training()
        return gradient_norms(kind, engine.program, engine.store.vector, training, samples, seeds.next_seed())

    @trains("apply_gradients")
    def apply_gradients(self) -> None:
        """Update the weights from their gradients with the compiled optimizer: one step.

        Raises
        ------
        ValueError
            If the model is not compiled or not built.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd")
        >>> y = model.forward([[2.0]], training=True)
        >>> dx = model.backward([[1.0]])
        >>> model.apply_gradients()
        >>> model.layers[0].kernel
        array([[-0.02]], dtype=float32)
        """
        optimizer = self._session.compiled("apply_gradients").optimizer
        engine = self._session.engine(self)
        engine.executor.apply_gradients(optimizer.learning_rate, optimizer.iterations)
        optimizer.iterations += 1


def result(logs: Logs, return_dict: bool) -> float | list[float] | Logs:
    values = list(logs.values())
    return logs if return_dict else values[0] if len(values) == 1 else values
