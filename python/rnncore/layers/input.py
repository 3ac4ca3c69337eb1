"""Where a model begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.layers.symbolic import Call, SymbolicValue

__all__ = ["Input", "InputLayer"]


class InputLayer(Layer):
    """The layer behind `Input`: it stands for the data given to a model.

    Parameters
    ----------
    shape : sequence of int or None
        Without the batch; None for sizes known only at run time.
    batch_size : int, optional
        Size of the batch axis. Only models with stateful layers hold to it; others run any.
    dtype : dtype, optional
        Integers are class ids, anything else has the precision of the model. Left out, it is float,
        unless an `Embedding` reads the input.
    batch_shape : sequence of int or None, optional
        Instead of `shape`: with the batch first.
    name : str, optional
    trainable : bool, default True
        Kept for compatibility: an input has no weights.

    Raises
    ------
    TypeError, ValueError
        If no shape or two shapes are given, or the shape or dtype is none.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.InputLayer((28, 28), name="image").batch_shape
    (None, 28, 28)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: npt.DTypeLike | None = None,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        if (shape is None) == (batch_shape is None):
            raise ValueError(f"Input needs either shape or batch_shape, got shape={shape}, batch_shape={batch_shape}")
        if shape is not None:
            batch_shape = (batch_size, *check.shape("shape", shape))
        self.batch_shape = check.shape("batch_shape", batch_shape)
        self._dtype = None if dtype is None else np.dtype(dtype)
        if self._dtype is not None and self._dtype.kind not in "fiub":
            raise TypeError(f"dtype of Input must be a real one, got {self._dtype}")
        self._output_dtype = "int" if self._dtype is not None and self._dtype.kind in "iu" else "float"
        self.build(self.batch_shape)
        self._last_call = ((), (SymbolicValue(self.batch_shape, Call(self, 0, ()), 0),))

    @property
    def dtype(self) -> Any:
        """The dtype that was asked for, or None."""
        return self._dtype

    def _become_integers(self) -> None:
        """Hold integers from now on, if the dtype is boolean or was left out."""
        if self._dtype is None or self._dtype.kind == "b":
            self._output_dtype = "int"

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Refuse: an input is given, not computed."""
        raise ValueError(f"an output depends on the input {self.name!r}, which is not among the model's inputs")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data."""
        return {
            **super().get_config(),
            "dtype": None if self._dtype is None else self._dtype.name,
        }


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: npt.DTypeLike | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> SymbolicValue:
    """Begin a model: a symbolic value that layers are called on.

    Parameters
    ----------
    shape : sequence of int or None
        Without the batch, e.g. `(None, 3)` for sequences of any length with three features.
    batch_size : int, optional
        Size of the batch axis. Only models with stateful layers hold to it; others run any.
    dtype : dtype, optional
        Integers are class ids, anything else has the precision of the model. Left out, it is float,
        unless an `Embedding` reads the input.
    batch_shape : sequence of int or None, optional
        Instead of `shape`: with the batch first.
    name : str, optional

    Returns
    -------
    SymbolicValue, shape (N, *shape)

    Raises
    ------
    TypeError, ValueError
        If no shape or two shapes are given, or the shape or dtype is none.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Input((None, 3), name="x")
    <SymbolicValue (None, None, 3) float of 'x'>
    """
    value: SymbolicValue = InputLayer(shape, batch_size, dtype, batch_shape, name).output
    return value
