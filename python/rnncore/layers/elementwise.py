"""Functions of one number that are no activations."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer

__all__ = ["Elementwise"]

# The options of each function.
_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "abs": (),
    "clip": ("min_value", "max_value"),
    "cos": (),
    "exp": (),
    "log": (),
    "power": ("exponent",),
    "sin": (),
    "sqrt": (),
    "square": (),
}


class Elementwise(Layer):
    """Apply a function to every number; `abs(x)` and `x ** 0.5` of symbolic values make such layers.

    Parameters
    ----------
    function : {"abs", "clip", "cos", "exp", "log", "power", "sin", "sqrt", "square"}
    exponent : float, optional
        Of "power", which needs it.
    min_value, max_value : float, optional
        Of "clip": by default there is no limit.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an option that the function has not.

    Notes
    -----
    Where a function has no derivative, the gradient is 0 (abs), or that of the numbers within the limits (clip). These
    are plain loops, several times slower than activations.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Elementwise("power", exponent=0.5)(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _op = "elementwise"
    _acts_per_step = _treats_steps_as_samples = True

    def __init__(
        self,
        function: str,
        *,
        exponent: float | None = None,
        min_value: float | None = None,
        max_value: float | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        options = check.lookup("function", function, _FUNCTIONS)
        self.function = function
        self.exponent, self.min_value, self.max_value = (
            None if value is None else check.number(option, value)
            for option, value in (("exponent", exponent), ("min_value", min_value), ("max_value", max_value))
        )
        for option in ("exponent", "min_value", "max_value"):
            if option not in options and getattr(self, option) is not None:
                raise ValueError(f"{option} is no option of {function!r}, got {getattr(self, option)}")
        if function == "power" and self.exponent is None:
            raise ValueError("exponent of 'power' must be given")
        if self.min_value is not None and self.max_value is not None and self.min_value > self.max_value:
            raise ValueError(f"min_value must be at most max_value, got {min_value} and {max_value}")

    def _attributes(self) -> dict[str, Any]:
        """The function and its options, as far as they are given."""
        options = {name: getattr(self, name) for name in _FUNCTIONS[self.function]}
        return {"function": self.function, **{name: value for name, value in options.items() if value is not None}}
