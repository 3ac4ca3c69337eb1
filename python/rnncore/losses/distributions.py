"""Losses of forecasts that say how sure they are: the outputs are the parameters of a distribution, or quantiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore import seeds
from rnncore._data import Array
from rnncore._quiet import quiet
from rnncore.losses.base import Loss
from rnncore.program import Shape
from rnncore.reference.activations import softmax
from rnncore.reference.distributions import blocks_of, positive

__all__ = ["GaussianNLL", "MixtureNLL", "NegativeBinomialNLL", "Quantile", "StudentTNLL"]

LARGE_RATE = 1e18  # NumPy draws from no Poisson distribution far above, and a draw differs from its rate by 1e-9


class Distribution(Loss, registered=False):
    """Base of these losses: outputs (N, ..., P·U) for targets (N, ..., U), one value for each position.

    The last axis of the output holds P blocks of U numbers, one block for each parameter of the distribution, in the
    order of the class's description. They may be any numbers: scales are softplus(number) + 1e-6. A model for U targets
    ends in `Dense(loss.parameters * U)`, without an activation.
    """

    @property
    def parameters(self) -> int:
        """P, how many numbers of the output belong to one of the target."""
        return blocks_of(self.kind, self.attributes())

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        numbers = output[-1]
        assert numbers is not None
        if numbers % self.parameters:
            raise ValueError(
                f"the loss {self.name!r} needs an output with {self.parameters} numbers for each target, got {numbers}"
            )
        return data.target(argument, value, (*output[:-1], numbers // self.parameters), dtype)

    def _mean(self, blocks: Array) -> Array:
        """The mean for blocks (P, ..., U)."""
        raise NotImplementedError

    def _sample(self, blocks: Array, rng: np.random.Generator) -> Array:
        """Numbers drawn for blocks (P, ..., U)."""
        raise NotImplementedError

    @quiet
    def mean(self, output: npt.ArrayLike) -> Array:
        """The mean of the distribution, (N, ..., U), for outputs (N, ..., P·U).

        Examples
        --------
        >>> from rnncore import losses
        >>> losses.GaussianNLL().mean([[3.0, 0.5]])
        array([[3.]])
        """
        return self._mean(self._blocks(output))

    @quiet
    def sample(self, output: npt.ArrayLike, rng: np.random.Generator | int | None = None) -> Array:
        """Draw one number for each target, (N, ..., U), for outputs (N, ..., P·U).

        Parameters
        ----------
        output : array_like, shape (N, ..., P·U)
        rng : numpy.random.Generator or int, optional
            What draws, or its seed; by default another one each time, as `utils.set_random_seed` makes it.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import losses
        >>> drawn = losses.GaussianNLL().sample(np.zeros((1000, 2)), rng=0)
        >>> drawn.shape, bool(abs(drawn.std() - np.log(2)) < 0.05)
        ((1000, 1), True)
        """
        if not isinstance(rng, np.random.Generator):
            seed = seeds.next_seed() if rng is None else check.integer("rng (a Generator or a seed)", rng, low=0)
            rng = np.random.default_rng(seed)
        return self._sample(self._blocks(output), rng)

    def _blocks(self, output: npt.ArrayLike) -> Array:
        """(P, ..., U), float64."""
        array = data.floating("output", output).astype(np.float64)
        if array.ndim < 1 or array.shape[-1] % self.parameters:
            raise ValueError(f"output must have shape (N, ..., {self.parameters}·U), got {array.shape}")
        units = array.shape[-1] // self.parameters
        return np.moveaxis(array.reshape(*array.shape[:-1], self.parameters, units), -2, 0)


class GaussianNLL(Distribution):
    """Minus the log-density of a normal distribution. Parameters: mean, scale (through softplus).

    References
    ----------
    D. Nix, A. Weigend, "Estimating the mean and variance of the target probability distribution", ICNN (1994).

    Examples
    --------
    The scale is softplus(0.5413) = 1; the density at the mean is 1 / √(2π).

    >>> import numpy as np
    >>> from rnncore import losses
    >>> round(float(np.exp(-losses.GaussianNLL()([[3.0]], [[3.0, 0.5413]]))), 4)
    0.3989
    """

    def _mean(self, blocks: Array) -> Array:
        return np.asarray(blocks[0])

    def _sample(self, blocks: Array, rng: np.random.Generator) -> Array:
        return np.asarray(rng.normal(blocks[0], positive(blocks[1])))


class StudentTNLL(Distribution):
    """Minus the log-density of Student's t. Parameters: location, scale, degrees of freedom - 2 (through softplus).

    It forgives what lies far out, as a normal distribution does not.

    Examples
    --------
    >>> from rnncore import losses
    >>> far, near = losses.StudentTNLL(), losses.GaussianNLL()
    >>> far([[20.0]], [[0.0, 0.0, 0.0]]) < near([[20.0]], [[0.0, 0.0]])
    True
    """

    def _mean(self, blocks: Array) -> Array:
        return np.asarray(blocks[0])

    def _sample(self, blocks: Array, rng: np.random.Generator) -> Array:
        return np.asarray(blocks[0] + positive(blocks[1]) * rng.standard_t(2 + positive(blocks[2])))


class NegativeBinomialNLL(Distribution):
    """Minus the log-probability of counts. Parameters: mean μ, dispersion α, both through softplus; variance μ + α·μ².

    Targets are counts, 0 and above.

    References
    ----------
    D. Salinas et al., "DeepAR: probabilistic forecasting with autoregressive recurrent networks", International Journal
    of Forecasting 36 (2020).

    Examples
    --------
    >>> from rnncore import losses
    >>> counts = losses.NegativeBinomialNLL()
    >>> counts([[2.0]], [[2.0, 0.0]]) < counts([[9.0]], [[2.0, 0.0]])
    True
    """

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        array = super().target(argument, value, output, dtype)
        if array.size and array.min() < 0:
            raise ValueError(f"{argument} must hold counts, 0 and above, for {self.name!r}, got {array.min()}")
        return array

    def _mean(self, blocks: Array) -> Array:
        return positive(blocks[0])

    def _sample(self, blocks: Array, rng: np.random.Generator) -> Array:
        mean, dispersion = positive(blocks[0]), positive(blocks[1])
        rate = rng.gamma(1 / dispersion, mean * dispersion)
        drawn = rng.poisson(np.where(rate < LARGE_RATE, rate, 0)).astype(np.float64)
        return np.where(rate < LARGE_RATE, drawn, rate)


class MixtureNLL(Distribution):
    """Minus the log-density of a mixture of normal distributions.

    Parameters of the output: K logits of the shares, K means, K scales (through softplus), each a block.

    Parameters
    ----------
    components : int, default 3
        K.

    References
    ----------
    C. Bishop, "Mixture density networks" (1994).

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.MixtureNLL(components=2).parameters
    6
    """

    def __init__(
        self, components: int = 3, *, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.components = check.positive_int("components", components)

    def _mean(self, blocks: Array) -> Array:
        logits, means, _ = np.split(blocks, 3)
        return np.asarray((np.moveaxis(softmax(np.moveaxis(logits, 0, -1)), -1, 0) * means).sum(axis=0))

    def _sample(self, blocks: Array, rng: np.random.Generator) -> Array:
        logits, means, raw = np.split(blocks, 3)
        bounds = np.cumsum(np.moveaxis(softmax(np.moveaxis(logits, 0, -1)), -1, 0), axis=0)
        chosen = (rng.uniform(size=bounds.shape[1:]) > bounds[:-1]).sum(axis=0)[np.newaxis]
        mean, scale = (np.take_along_axis(block, chosen, axis=0)[0] for block in (means, positive(raw)))
        return np.asarray(rng.normal(mean, scale))


class Quantile(Distribution):
    """The pinball loss of quantiles: each costs q times the error where it is too low, 1 - q times where too high.

    The output has a block for each quantile; the value is the mean over them.

    Parameters
    ----------
    quantiles : sequence of float, default (0.1, 0.5, 0.9)
        Between 0 and 1, in rising order.

    References
    ----------
    R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46 (1978).

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.Quantile([0.9])([[1.0]], [[0.0]]), 4), round(losses.Quantile([0.9])([[0.0]], [[1.0]]), 4)
    (0.9, 0.1)
    """

    def __init__(
        self,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        if not isinstance(quantiles, Iterable):
            raise TypeError(f"quantiles must be a sequence of numbers, got {type(quantiles).__name__} {quantiles!r}")
        self.quantiles = [check.number("each of quantiles", q, low=0.0, high=1.0) for q in quantiles]
        if not self.quantiles:
            raise ValueError("quantiles must be at least one number, got none")
        if sorted(set(self.quantiles)) != self.quantiles:
            raise ValueError(f"quantiles must be in rising order, each once, got {self.quantiles}")

    def _mean(self, blocks: Array) -> Array:
        """That of the quantiles, with straight lines between them."""
        levels = np.linspace(0.005, 0.995, 100).reshape(-1, *[1] * (blocks.ndim - 1))
        return np.asarray(self._at(blocks, levels).mean(axis=0))

    def _sample(self, blocks: Array, rng: np.random.Generator) -> Array:
        """By straight lines between the quantiles; beyond the outer ones there is nothing."""
        return np.asarray(self._at(blocks, rng.uniform(size=blocks.shape[1:])[np.newaxis])[0])

    def _at(self, blocks: Array, level: Array) -> Array:
        """The quantiles at any levels (L, ...), for blocks (Q, ..., U)."""
        values = np.sort(blocks, axis=0)
        places = np.interp(level, self.quantiles, np.arange(len(values)))
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, len(values) - 1)
        below, above = (
            np.take_along_axis(values, np.broadcast_to(k, (len(level), *blocks.shape[1:])), axis=0) for k in (low, high)
        )
        return np.asarray(below + (places - low) * (above - below))
