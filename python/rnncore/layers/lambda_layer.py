"""A function of arrays as a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnncore import _validation as check
from rnncore._configurable import custom_object
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer

__all__ = ["Lambda"]


class Lambda(Layer):
    """A NumPy function of arrays, with one for its gradient; slow, as all Python code in a model: see `Layer`.

    Parameters
    ----------
    function : function
        Of an array (N, ...), or a list of them where the layer is called on several values; it returns an array, or a
        list of arrays.
    output_shape : tuple of int, or function, optional
        The shape of the output without the batch, or a function of the shape of the input, batch first, that gives that
        of the output. By default `function` is tried on ones.
    mask : None
        Masks end here; the lengths of a batch go on with the time axis.
    arguments : dict, optional
        Further arguments of `function` and `backward`, by name.
    backward : function, optional
        `backward(x, y, dy)` of x, what `function` made of it and the gradient of that: the gradient of x. Training
        needs it where anything before the layer trains.
    by_steps : bool, default False
        Whether a step of the output depends on that step of the input alone, so that streams can have the layer.
    **layer_arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Notes
    -----
    Files keep the names of the functions: give them to `load_model` as `custom_objects`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> squares = layers.Lambda(np.square, backward=lambda x, y, dy: 2 * x * dy)
    >>> models.Sequential([layers.Input((2,)), squares]).predict(np.array([[1.0, 3.0]]), verbose=0)
    array([[1., 9.]], dtype=float32)
    """

    _is_own_code = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Sequence[int | None] | Callable[..., Any] | None = None,
        mask: None = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        backward: Callable[..., Any] | None = None,
        by_steps: bool = False,
        **layer_arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**layer_arguments)
        given: dict[str, Any] = {"function": function, "backward": backward}
        for argument, value in given.items():
            if not (callable(value) or (value is None and argument == "backward")):
                raise TypeError(f"{argument} of Lambda must be a function, got {type(value).__name__} {value!r}")
        check.unsupported("Lambda", mask=mask)
        self.function, self._backward = function, backward
        self.arguments = dict(arguments or {})
        self._output_shape = output_shape if callable(output_shape) or output_shape is None else tuple(output_shape)
        self.by_steps = self._acts_per_step = check.boolean("by_steps", by_steps)

    def call(self, inputs: Any) -> Any:
        """What the function makes of arrays."""
        return self.function(inputs, **self.arguments)

    def backward(self, x: Any, y: Any, dy: Any) -> Any:
        """The gradient of x."""
        if self._backward is None:
            raise TypeError(
                f"{self.name!r} has no gradient, which training needs: give Lambda backward=(x, y, dy) -> dx"
            )
        return self._backward(x, y, dy, **self.arguments)

    def _shapes_said(self, shapes: Sequence[Any]) -> Any:
        if self._output_shape is None:
            return None
        given = shapes[0] if len(shapes) == 1 else list(shapes)
        return self._output_shape(given) if callable(self._output_shape) else (shapes[0][0], *self._output_shape)

    def _code(self) -> dict[str, Any]:
        """Its functions, by the arguments that they are."""
        return {"function": self.function, "backward": self._backward, "output_shape": self._output_shape}

    def _again(self) -> Lambda:
        """The layer made anew."""
        return type(self)(**{**self.get_config(), **self._code()})

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, functions by their names."""
        found = {**super().get_config(), **self._code(), "arguments": self.arguments}
        for argument, value in self._code().items():
            if callable(value):
                name = getattr(value, "__name__", "<lambda>")
                found[argument] = f"{self.name}/{argument}" if name == "<lambda>" else name
            elif isinstance(value, tuple):
                found[argument] = list(value)
        return found

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make a layer from what `get_config` gave; its functions are among `custom_objects`."""
        config = dict(config)
        for argument in ("function", "backward", "output_shape"):
            if isinstance(name := config.get(argument), str):
                config[argument] = custom_object(name)
                if config[argument] is None:
                    raise ValueError(f"{argument} of Lambda is code: give custom_objects={{{name!r}: ...}}")
        return cls(**config)
