"""What a layer is before it is called: a name, arguments, and weights for an input shape."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnncore import _html, constraints, initializers, regularizers
from rnncore import _validation as check
from rnncore._configurable import Configurable, serialize
from rnncore._naming import given_name
from rnncore._overrides import NoIgnoredOverrides, is_own
from rnncore.config import current_policy
from rnncore.layers.arguments import Self
from rnncore.parameters import Array, HasWeights, Weight, assign_all, start
from rnncore.policies import POLICIES
from rnncore.program import Shape

if TYPE_CHECKING:
    from rnncore.layers.base import Layer

__all__ = ["Buildable", "WeightView", "described"]


class WeightView:
    """An attribute of a layer that reads and overwrites one of its weights in place."""

    def __set_name__(self, owner: type[Buildable], name: str) -> None:
        self._name = name

    def __get__(self, layer: Buildable, owner: type[Buildable]) -> Array:
        return self._find(layer).value

    def __set__(self, layer: Buildable, value: npt.ArrayLike) -> None:
        self._find(layer).assign(value)

    def _find(self, layer: Buildable) -> Weight:
        if not layer.built:
            raise AttributeError(f"{layer.name!r} has no {self._name} before it is built")
        for weight in layer.weights:
            if weight.name == self._name:
                return weight
        raise AttributeError(f"{layer.name!r} has no {self._name}")


class Buildable(NoIgnoredOverrides, Configurable, HasWeights, registered=False):
    """Base of `Layer`: its constructor, its weights and its config."""

    _inner: tuple[Layer, ...] = ()  # the layers a wrapper is made of
    _fixed: ClassVar[tuple[str, ...]] = ()  # arguments of a base's constructor that the class decides itself

    def __init__(self, *, name: str | None = None, trainable: bool = True, **arguments: Any) -> None:
        self.dtype_wanted: str | None = None
        self.activity_regularizer = regularizers.get(arguments.pop("activity_regularizer", None))
        if isinstance(self.activity_regularizer, regularizers.OrthogonalRegularizer):
            raise ValueError("activity_regularizer must be L1, L2 or L1L2, got an OrthogonalRegularizer")
        self.batch_input_shape = self._declared_shape(arguments)
        self.name = given_name(self, name)
        self._trainable = check.boolean("trainable", trainable)
        self.weights: list[Weight] = []
        self.built = False
        self.input_shape: Shape | None = None

    def _declared_shape(self, arguments: dict[str, Any]) -> Shape | None:
        """Take the input shape out of a constructor's further arguments; there must be no others."""
        owner = type(self).__name__
        batch_shape = arguments.pop("batch_input_shape", None)
        shape = arguments.pop("input_shape", None)
        size = arguments.pop("input_dim", None)
        batch_size = arguments.pop("batch_size", None)
        self.dtype_wanted = _policy_name(owner, arguments.pop("dtype", None))
        for argument in arguments:
            known = {*inspect.signature(type(self)).parameters, "input_shape", "batch_input_shape", "name", "trainable"}
            known.discard("arguments")
            raise TypeError(f"{owner} got an unknown argument {argument!r}; {check.nearest(argument, known)}")
        if batch_shape is not None:
            return check.shape("batch_input_shape", batch_shape)
        if size is not None:
            shape = (size,)
        if shape is None:
            return None
        sizes = check.shape("input_shape", (shape,) if isinstance(shape, int) else shape)
        return (None if batch_size is None else check.positive_int("batch_size", batch_size), *sizes)

    # Shapes and weights

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the layer takes an input of this shape."""

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """The new weights for an input of this shape; those of own code are made already."""
        return self.weights

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The shape of each output."""
        return (input_shape,)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Shape of the output, batch first, or a list of shapes if there are several outputs.

        Parameters
        ----------
        input_shape : tuple of int or None
            Shape of the first input, batch first.

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.LSTM(4, return_sequences=True).compute_output_shape((None, 7, 3))
        (None, 7, 4)
        """
        shape = check.shape("input_shape", input_shape)
        self._check_input(shape)
        shapes = self._output_shapes(shape)
        return shapes[0] if len(shapes) == 1 else list(shapes)

    def _weight(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: initializers.Initializer,
        regularizer: regularizers.Regularizer | None,
        constraint: constraints.Constraint | None = None,
        *,
        statistic: bool = False,
    ) -> Weight:
        """A new weight of this layer; its first values obey no constraint, as in Keras."""
        if regularizer is not None:
            regularizer.check_shape(f"{self.name!r}: {name}", shape)
        return Weight(
            f"{self.name}/{name}",
            shape,
            initializer,
            regularizer,
            constraint,
            trainable=self.trainable,
            statistic=statistic,
        )

    def _own_weight(self, name: str, shape: tuple[int, ...], of: str = "") -> Weight:
        """A new weight by the initializer, regularizer and constraint that are attributes of its name, or of `of`."""
        rules = (getattr(self, f"{of or name}_{rule}") for rule in ("initializer", "regularizer", "constraint"))
        return self._weight(name, shape, *rules)

    def build(self, input_shape: Shape) -> None:
        """Make the weights for an input of this shape, batch first; once.

        Raises
        ------
        ValueError
            If the layer cannot take such an input, or was built for another one.

        Examples
        --------
        >>> from rnncore import layers
        >>> layer = layers.GRU(2)
        >>> layer.build((None, None, 3))
        >>> layer.kernel.shape
        (3, 6)
        """
        shape = check.shape("input_shape", input_shape)
        self._check_input(shape)
        if not self.built:
            weights = self._make_weights(shape)
            start(weights, current_policy().dtype)
            self.weights = weights
            self.input_shape = shape
            self.built = True

    def _features(self, shape: Shape) -> int:
        """The size of the last axis, which must be known and, once built, what the kernel takes."""
        if shape[-1] is None:
            raise ValueError(f"{self.name!r} needs an input whose last axis is known, got shape {shape}")
        if self.built and self.weights and shape[-1] != self.weights[0].shape[0]:
            raise ValueError(
                f"{self.name!r} was built for inputs with {self.weights[0].shape[0]} features (last axis), "
                f"got shape {shape}"
            )
        return shape[-1]

    def count_params(self) -> int:
        """Number of weight elements.

        Raises
        ------
        ValueError
            If the layer is not built.

        Examples
        --------
        >>> from rnncore import layers
        >>> layer = layers.LSTM(4)
        >>> layer.build((None, None, 3))
        >>> layer.count_params()
        128
        """
        if not self.built:
            raise ValueError(f"{self.name!r} has no weights to count before it is built")
        return sum(weight.size for weight in self.weights)

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it reaches all weights and the layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = check.boolean(f"trainable of {self.name!r}", value)
        Weight.times_set += 1
        for layer in self._inner:
            layer.trainable = value
        for weight in self.weights:
            weight.trainable = self._trainable and not weight.statistic

    @property
    def dtype(self) -> str:
        """The precision of the weights: that of the model once it has computed."""
        return self.weights[0].dtype.name if self.weights else current_policy().dtype.name

    @property
    def dtype_policy(self) -> str:
        """What was given as `dtype`, or the precision of the weights."""
        return self.dtype if self.dtype_wanted is None else self.dtype_wanted

    def get_weights(self) -> list[Array]:
        """Copies of the weights, in Keras's order.

        Examples
        --------
        >>> from rnncore import layers
        >>> layer = layers.Dense(1, kernel_initializer="ones")
        >>> layer.build((None, 2))
        >>> layer.get_weights()
        [array([[1.],
               [1.]], dtype=float32), array([0.], dtype=float32)]
        """
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: list[npt.ArrayLike]) -> None:
        """Overwrite the weights; nothing changes unless all fit.

        Parameters
        ----------
        weights : list of array_like
            As `get_weights` gives them.

        Raises
        ------
        TypeError, ValueError
            If the layer is not built, or the number, shape or kind of arrays is wrong.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers
        >>> layer = layers.Dense(1)
        >>> layer.build((None, 2))
        >>> layer.set_weights([np.zeros((2, 1)), np.ones(1)])
        >>> layer.bias
        array([1.], dtype=float32)
        """
        if not self.built:
            raise ValueError(f"{self.name!r} takes no weights before it is built")
        assign_all(f"weights of {self.name!r}", self.weights, weights)

    @property
    def output_shape(self) -> Any:
        """Shape of the output for the input the layer was built for, or a list of shapes."""
        if self.input_shape is None:
            raise AttributeError(f"{self.name!r} has no output shape before it is built")
        return self.compute_output_shape(self.input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data.

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.Flatten(name="flat").get_config()
        {'name': 'flat', 'trainable': True}
        """
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self.batch_input_shape is not None:
            config["batch_input_shape"] = list(self.batch_input_shape)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if self.dtype_wanted is not None:
            config["dtype"] = self.dtype_wanted
        kept = vars(self)
        return config | {name: described(kept[name]) for name in _arguments(type(self)) if name in kept}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a layer, without weights, from what `get_config` gave.

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.Dense.from_config(layers.Dense(3).get_config()).units
        3
        """
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {'built' if self.built else 'not built'}>"

    def _repr_html_(self) -> str:
        return _html.layer(self)


_OF_ALL = ("name", "trainable", "dtype", "activity_regularizer", "weights")  # attributes of every layer


def _arguments(cls: type[Buildable]) -> list[str]:
    """The arguments that rnncore's constructors of a class take, but for those of all layers."""
    constructors = [vars(owner)["__init__"] for owner in cls.__mro__ if is_own(owner) and "__init__" in vars(owner)]
    names = [name for constructor in constructors for name in inspect.signature(constructor).parameters]
    return [name for name in dict.fromkeys(names) if name not in (*_OF_ALL, *cls._fixed)]


def described(value: Any) -> Any:
    """An argument as JSON-serialisable data."""
    if isinstance(value, tuple):
        return list(value)
    return serialize(value) if isinstance(value, Configurable) else value


def _policy_name(owner: str, dtype: Any) -> str | None:
    """The policy that a layer's `dtype` names: a string, a NumPy dtype, or a description of Keras's."""
    if dtype is None:
        return None
    if isinstance(dtype, Mapping):
        dtype = dtype.get("config", {}).get("name")
    if not isinstance(dtype, str):
        dtype = np.dtype(dtype).name
    if dtype not in POLICIES:
        raise ValueError(f"{owner}: dtype must be one of {', '.join(POLICIES)}, got {dtype!r}")
    return str(dtype)
