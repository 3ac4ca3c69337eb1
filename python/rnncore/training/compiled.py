"""Compiling a model, and what it was compiled with."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore.config import current_policy
from rnncore.metrics import Metric
from rnncore.optimizers import Optimizer
from rnncore.policies import POLICIES
from rnncore.training.compilation import Compilation
from rnncore.training.session import Runnable
from rnncore.training.sharing import trains


class Compiled(Runnable, registered=False):
    """The methods of a model that say what training does."""

    @trains("compile")
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        backend: str | None = None,
        dtype_policy: str | None = None,
        *,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say what training minimises, what it measures and how it updates the weights.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str, Loss, or callable, optional
            For several outputs a list, or a dict by output name. A callable
            `loss(y_true, y_pred) -> (value, gradient)` gets the arrays of a batch and returns its loss and
            the derivative by `y_pred`, of the same shape. It sees padded positions too and must leave them
            out itself; metrics do not count them.
        loss_weights : float, list, or dict by output name, optional
        metrics, weighted_metrics : list of str, Metric or callable, optional
            For several outputs a list of lists, or a dict by output name. "accuracy" becomes the accuracy
            that fits the output. Weighted metrics use the sample weights. A callable
            `metric(y_true, y_pred)` gets the arrays of a batch and returns a value for each sample: see
            `metrics.MeanMetricWrapper`. It costs one more forward pass over each batch.
        backend : {"compiled", "reference"}, optional
            "compiled" by default. The environment variable RNNCORE_BACKEND overrides it.
        dtype_policy : {"float32", "float64", "mixed_bfloat16"}, optional
            By default the global one, `config.dtype_policy()`, which is "float32" unless it was set.
            With "mixed_bfloat16" weights, states, gradients and updates are float32, while the matrix products of
            recurrent layers take their factors rounded to bfloat16 (8 bits of mantissa) and add up in float32; that
            is faster where the processor has AVX512_BF16. A GRU with `reset_after=False`, an LSTM with
            `projection_units` and layers with `layer_normalization` compute in float32.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Kept for compatibility: the numbers and the hooks of callbacks are the same.

        Notes
        -----
        What trains is what `trainable` of the model, its layers and their weights is now. A change afterwards waits
        for the next `compile`, and `fit`, `train_on_batch` and `forward(training=True)` warn of it.

        Raises
        ------
        TypeError, ValueError
            For unknown names, which come with the nearest known ones, or losses and metrics that do not
            fit the outputs.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(1)])
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        """
        for argument, value in (("run_eagerly", run_eagerly), ("auto_scale_loss", auto_scale_loss)):
            check.boolean(argument, value)
        check.positive_int("steps_per_execution", steps_per_execution)
        if jit_compile != "auto":
            check.boolean('jit_compile (True, False or "auto")', jit_compile)
        self._refuse_overrides()
        compilation = Compilation(optimizer, loss, loss_weights, metrics, weighted_metrics)
        policy = current_policy() if dtype_policy is None else check.lookup("dtype_policy", dtype_policy, POLICIES)
        self._session.compile(self, compilation, backend, policy)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer given to `compile`."""
        return self._session.compiled("it has an optimizer").optimizer

    @property
    def compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._session.compilation is not None

    @property
    def loss(self) -> Any:
        """The loss as `compile` was given it, or None."""
        return None if self._session.compilation is None else self._session.compilation.given_loss

    @property
    def metrics(self) -> list[Metric]:
        """The metrics given to `compile`, in the order of the logs; empty before the model is built and compiled.

        What they measured is in the logs; their own state is for `update_state` in your own loops.
        """
        compilation = self._session.compilation
        return [] if compilation is None else [measure.metric for measure in compilation.measures]

    @property
    def metrics_names(self) -> list[str]:
        """The keys of the logs, in the order in which `evaluate` returns them."""
        compilation = self._session.compiled("it has metrics")
        self._session.engine(self)
        return list(compilation.logs(compilation.state()))

    def direction(self, key: str) -> str:
        """Whether the quantity logged as `key` should fall ("min") or rise ("max"); ValueError if unknown."""
        return self._session.compiled("it can be monitored").direction(key)
