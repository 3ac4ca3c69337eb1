"""Steps put before and after a sequence, or taken away."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.changes_steps import ChangesSteps
from rnncore.layers.window import channels_last
from rnncore.program import Shape

__all__ = ["Cropping1D", "ReflectionPadding1D", "ZeroPadding1D"]


def _two(argument: str, value: Any) -> tuple[int, int]:
    """A number of steps at the beginning and one at the end, from a pair of them or one number for both."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{argument} must be a number or a pair of numbers, got {value!r}")
    first, last = (check.integer(argument, number, low=0) for number in pair)
    return first, last


class ZeroPadding1D(ChangesSteps):
    """Put steps of zeros before and after a sequence.

    Parameters
    ----------
    padding : int or pair of int, default 1
        How many steps at the beginning and at the end.
    data_format : None or "channels_last"
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input that is not (N, T, C).

    Notes
    -----
    Masks end here, as in Keras. With the lengths of a batch, the last zeros follow each row's last valid step.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.ZeroPadding1D((2, 1))(layers.Input((5, 3))).shape
    (None, 8, 3)
    """

    _op = "pad1d"

    def __init__(
        self,
        padding: int | tuple[int, int] = 1,
        data_format: str | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        channels_last(type(self).__name__, data_format)
        self.padding = _two("padding", padding)

    def _steps_of(self, steps: int) -> int:
        return steps + sum(self.padding)

    def _attributes(self) -> dict[str, Any]:
        return {"before": self.padding[0], "after": self.padding[1]}

    def _change(self) -> Any:
        return (type(self), self.padding)


class ReflectionPadding1D(ZeroPadding1D):
    """Put the steps next to a border before and after a sequence, mirrored; the border itself is not repeated.

    As `numpy.pad` with mode "reflect" and `torch.nn.ReflectionPad1d`; beyond Keras.

    Parameters
    ----------
    padding : int or pair of int, default 1
        How many steps at the beginning and at the end; fewer than the sequence has.
    data_format : None or "channels_last"
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input that is not (N, T, C) or too short.

    Notes
    -----
    Masks end here. With the lengths of a batch, each row is reflected at its own last valid step, to and fro where
    it is shorter than the padding.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.ReflectionPadding1D(2)(layers.Input((5, 3))).shape
    (None, 9, 3)
    """

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, C) with more steps than are mirrored."""
        super()._check_input(shape)
        if shape[1] is not None and max(self.padding) >= shape[1]:
            raise ValueError(
                f"{self.name!r} needs more than {max(self.padding)} time steps to reflect, got shape {shape}"
            )

    def _attributes(self) -> dict[str, Any]:
        return {**super()._attributes(), "mode": "reflect"}


class Cropping1D(ChangesSteps):
    """Take steps away at the beginning and the end of a sequence.

    Parameters
    ----------
    cropping : int or pair of int, default (1, 1)
        How many steps at the beginning and at the end.
    data_format : None or "channels_last"
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input that is not (N, T, C) or too short.

    Notes
    -----
    Masks end here, as in Keras. With the lengths of a batch, each row loses its own last steps.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Cropping1D((2, 1))(layers.Input((5, 3))).shape
    (None, 2, 3)
    """

    _op = "pad1d"

    def __init__(
        self,
        cropping: int | tuple[int, int] = (1, 1),
        data_format: str | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        channels_last("Cropping1D", data_format)
        self.cropping = _two("cropping", cropping)

    def _steps_of(self, steps: int) -> int:
        return steps - sum(self.cropping)

    def _attributes(self) -> dict[str, Any]:
        return {"before": -self.cropping[0], "after": -self.cropping[1]}

    def _change(self) -> Any:
        return (type(self), self.cropping)
