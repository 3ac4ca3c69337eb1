"""Normalization by means and variances that are known before training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as arrays
from rnncore import _validation as check
from rnncore._quiet import quiet
from rnncore.dataset import PyDataset
from rnncore.initializers import Ones, Zeros
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.composing import Composer
from rnncore.layers.masks import Mask
from rnncore.parameters import Array, Weight
from rnncore.program import Shape

__all__ = ["Normalization"]

LEAST_DEVIATION = 1e-7  # as in Keras


class Normalization(Layer):
    """(x - mean) / √variance, of means and variances that `adapt` finds in data, or that are given.

    Training leaves them alone. A deviation below 1e-7 counts as 1e-7.

    Parameters
    ----------
    axis : int, sequence of int or None, default -1
        The axes, of known sizes, each position of which has a mean of its own: by default each feature. With None there
        is one mean for all numbers.
    mean, variance : float or array_like, optional
        In place of `adapt`: numbers for the positions along `axis`, or one for all; both or none.
    invert : bool, default False
        Whether to go back: x · √variance + mean.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    mean, variance : ndarray
        With size 1 along other axes, so that they can be repeated to x. None before the layer is built.
    weights : list of Weight
        Mean, variance and a count that is not used, as in Keras; none where mean and variance are given.

    Raises
    ------
    TypeError, ValueError
        For a bad argument or input.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> layer = layers.Normalization()
    >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> model = models.Sequential([layers.Input((2,)), layer])
    >>> model.predict(np.array([[3.0, 20.0]]), verbose=0)
    array([[1., 0.]], dtype=float32)
    """

    _treats_steps_as_samples = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: npt.ArrayLike | None = None,
        variance: npt.ArrayLike | None = None,
        invert: bool = False,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        if isinstance(axis, (list, tuple)):
            self.axis: Any = [check.integer("each axis", one) for one in axis]
        else:
            self.axis = None if axis is None else check.integer("axis", axis)
        if (mean is None) != (variance is None):
            raise ValueError(f"mean and variance must both be given, or none, got mean={mean!r}, variance={variance!r}")
        self._given: tuple[Array, Array] | None = None
        if mean is not None:
            self._given = _finite("mean", mean), _finite("variance", variance)
            shapes = self._given[0].shape, self._given[1].shape
            if shapes[0] != shapes[1] or len(shapes[0]) > len(self._axes_given()):
                raise ValueError(
                    f"mean and variance must have one shape, of at most {len(self._axes_given())} axes, got {shapes}"
                )
            if (self._given[1] < 0).any():
                raise ValueError(f"variance must not be negative, got {self._given[1].min()}")
        self.invert = check.boolean("invert", invert)
        self._kept: tuple[int, ...] = ()  # axes of the input it was built for

    def _axes_given(self) -> list[int]:
        return self.axis if isinstance(self.axis, list) else [] if self.axis is None else [self.axis]

    def _axes(self, shape: Shape) -> tuple[int, ...]:
        """The axes that have means of their own, counted from the batch."""
        for axis in self._axes_given():
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise ValueError(f"axis of {self.name!r} must be one after the batch of {shape}, got {axis}")
        return tuple(sorted({axis % len(shape) for axis in self._axes_given()}))

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the sizes along the axes are known, and those that the layer was built for."""
        sizes = [shape[axis] for axis in self._axes(shape)]
        if self.built and self.input_shape is not None:
            wanted = [self.input_shape[axis] for axis in self._kept]
            known = [None if size is None else own for size, own in zip(sizes, wanted, strict=False)]
            if len(sizes) != len(wanted) or known != sizes:
                raise ValueError(f"{self.name!r} was built for inputs of shape {self.input_shape}, got {shape}")
        elif None in sizes:
            raise ValueError(f"{self.name!r} needs an input of known sizes along axis {self.axis}, got {shape}")
        elif self._given is not None:
            self._spread(self._given[0], shape)

    def build(self, input_shape: Shape) -> None:
        """Make the weights, and learn whether all steps of a sequence have the same means."""
        super().build(input_shape)
        assert self.input_shape is not None
        self._kept = self._axes(self.input_shape)
        self._acts_per_step = 1 not in self._kept

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Mean, variance and count, unless the first two are given."""
        if self._given is not None:
            return []
        shape = tuple(input_shape[axis] or 0 for axis in self._axes(input_shape))
        return [
            self._weight("mean", shape, Zeros(), None, statistic=True),
            self._weight("variance", shape, Ones(), None, statistic=True),
            self._weight("count", (), Zeros(), None, statistic=True),
        ]

    def _sizes(self, shape: Shape) -> tuple[int, ...]:
        """Those of the means after the batch, 1 along other axes."""
        kept = self._axes(shape)
        return tuple(size if axis in kept and size else 1 for axis, size in enumerate(shape) if axis)

    def _spread(self, numbers: Array, shape: Shape) -> Array:
        """Given numbers in these sizes; ValueError unless they fit."""
        places = [axis - 1 for axis in self._axes(shape)][len(self._axes_given()) - numbers.ndim :]
        sizes = [1] * (len(shape) - 1)
        for place, size in zip(places, numbers.shape, strict=True):
            sizes[place] = size
        try:
            return np.broadcast_to(numbers.reshape(sizes), self._sizes(shape))
        except ValueError:
            raise ValueError(
                f"mean of {self.name!r} must fit axis {self.axis} of {shape}, got shape {numbers.shape}"
            ) from None

    def _numbers(self, which: int) -> Any:
        if self.input_shape is None:
            return None
        numbers = self.weights[which].numpy() if self._given is None else self._given[which]
        found = numbers if self._given is None else self._spread(numbers, self.input_shape)
        return found.reshape(1, *self._sizes(self.input_shape))

    @property
    def mean(self) -> Any:
        """The means, or None before the layer is built."""
        return self._numbers(0)

    @property
    def variance(self) -> Any:
        """The variances, or None before the layer is built."""
        return self._numbers(1)

    def adapt(self, data: Any, lengths: npt.ArrayLike | None = None) -> None:
        """Take the means and variances of data; builds the layer if need be.

        Parameters
        ----------
        data : array_like (N, ...), or an iterable of batches
            Batches may be tuples (x, y, sample_weight, lengths), of which the lengths are read, too.
        lengths : array_like (N,) of int, optional
            Of an array (N, T, ...): how many leading steps of each row count.

        Raises
        ------
        TypeError, ValueError
            For data that do not fit, are none, or are not finite; the layer is unchanged.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers
        >>> layer = layers.Normalization()
        >>> layer.adapt(np.array([[[1.0], [3.0]], [[5.0], [0.0]]]), lengths=[2, 1])
        >>> layer.mean
        array([[[3.]]], dtype=float32)
        """
        if self._given is not None:
            raise ValueError(f"{self.name!r} was given its mean and variance: it does not adapt")
        count: Any = 0
        mean = squares = np.zeros(())
        shape: Shape | None = self.input_shape
        for x, steps in self._batches(data, lengths):
            if shape is None:
                shape = (None, *x.shape[1:])
            if len(x.shape) != len(shape) or [x.shape[a] for a in self._axes(x.shape)] != [
                shape[a] for a in self._axes(shape)
            ]:
                raise ValueError(f"data of {self.name!r} must have shape {shape} but for other axes, got {x.shape}")
            more, m, s = self._moments(x, steps)
            share = more / np.maximum(count + more, 1)
            with np.errstate(all="ignore"):
                squares = squares + s + (m - mean) ** 2 * (count * share)
                mean, count = mean + (m - mean) * share, count + more
        if shape is None or not np.all(count):
            raise ValueError(f"data of {self.name!r} must hold at least one number for each position along its axis")
        variance = squares / count
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise ValueError(f"data of {self.name!r} must be finite: they have NaN, infinities or too large numbers")
        self.build(shape)
        for weight, values in zip(self.weights, (mean, variance), strict=False):
            weight.assign(values)

    def _batches(self, data: Any, lengths: Any) -> Iterator[tuple[Array, Any]]:
        """The arrays of data, with their lengths."""
        of_arrays = isinstance(data, (list, tuple)) and all(len(np.shape(x)) > 1 for x in data if hasattr(x, "shape"))
        if isinstance(data, PyDataset):
            found: Iterable[Any] = (data[k] for k in range(len(data)))
        elif (
            hasattr(data, "__array__")
            or not isinstance(data, Iterable)
            or not (isinstance(data, Iterator) or (of_arrays and any(hasattr(x, "shape") for x in data)))
        ):
            yield arrays.real("data", data), lengths
            return
        else:
            found = data
        if lengths is not None:
            raise ValueError("lengths must be None beside an iterable of batches, which may be tuples with lengths")
        for batch in found:
            parts = batch if isinstance(batch, tuple) else (batch,)
            yield arrays.real("a batch of data", parts[0]), parts[3] if len(parts) > 3 else None

    @quiet
    def _moments(self, x: Array, lengths: Any) -> tuple[Any, Array, Array]:
        """How many numbers there are for each mean, the means, and the sums of squares about them."""
        others = tuple(axis for axis in range(x.ndim) if axis not in self._axes(x.shape))
        if lengths is None:
            mean = x.mean(axis=others, dtype=np.float64, keepdims=True) if x.size else np.zeros([1] * x.ndim)
            count: Any = math.prod(x.shape[axis] for axis in others)
            squares = ((x - mean) ** 2).sum(axis=others)
            return count, mean.squeeze(others), squares
        if x.ndim < 3:
            raise ValueError(f"lengths need data of shape (N, T, ...), got {x.shape}")
        steps = arrays.lengths(lengths, len(x), x.shape[1])
        real = (np.arange(x.shape[1]) < steps[:, None]).reshape(x.shape[:2] + (1,) * (x.ndim - 2))
        count = np.broadcast_to(real, x.shape).sum(axis=others, keepdims=True)
        mean = np.where(real, x, 0).sum(axis=others, dtype=np.float64, keepdims=True) / np.maximum(count, 1)
        squares = (np.where(real, x - mean, 0) ** 2).sum(axis=others)
        return count.squeeze(others), mean.squeeze(others), squares

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the difference and the quotient, or the product and the sum."""
        compose, (x,) = Composer(builder, self.name), inputs
        exponent = 0.5 if self.invert else -0.5
        assert self.input_shape is not None
        sizes = self._sizes(self.input_shape)
        if self._given is None:
            mean, variance, _ = self.weights
            center = compose.row(mean, *sizes)
            least = compose.elementwise("clip", compose.row(variance, *sizes), min_value=LEAST_DEVIATION**2)
            factor = compose.elementwise("power", least, exponent=exponent)
        else:
            means, variances = (self._spread(numbers, self.input_shape) for numbers in self._given)
            center = compose.row(means.ravel().tolist(), *sizes)
            factors = np.maximum(variances, LEAST_DEVIATION**2) ** exponent
            factor = compose.row(factors.ravel().tolist(), *sizes)
        if self.invert:
            return (compose.merge("add", compose.merge("multiply", x, factor), center),)
        return (compose.merge("multiply", compose.merge("subtract", x, center), factor),)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data."""
        mean, variance = (None, None) if self._given is None else (numbers.tolist() for numbers in self._given)
        return {**super().get_config(), "mean": mean, "variance": variance}


def _finite(argument: str, value: Any) -> Array:
    array = check.real_array(argument, value).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{argument} must be finite, got {array}")
    return array
