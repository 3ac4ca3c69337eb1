"""What all layers share: names, weights, building, configs and calls on symbolic values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import constraints, initializers, regularizers
from rnncore._configurable import Configurable, serialize
from rnncore._keras_names import LAYER
from rnncore._naming import given_name
from rnncore._overrides import NoIgnoredOverrides, is_own
from rnncore.config import current_policy
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.layers.symbolic import Call, SymbolicValue, symbolic_values
from rnncore.layers.trainable import parts
from rnncore.parameters import Array, HasWeights, Weight, assign_all, start
from rnncore.policies import POLICIES
from rnncore.program import Shape

if TYPE_CHECKING:
    from typing_extensions import Self

    from rnncore.layers.builder import ProgramBuilder

__all__ = ["Layer", "WeightView"]


class WeightView:
    """An attribute of a layer that reads and overwrites one of its weights in place."""

    def __set_name__(self, owner: type[Layer], name: str) -> None:
        self._name = name

    def __get__(self, layer: Layer, owner: type[Layer]) -> Array:
        return self._find(layer).value

    def __set__(self, layer: Layer, value: npt.ArrayLike) -> None:
        self._find(layer).assign(value)

    def _find(self, layer: Layer) -> Weight:
        if not layer.built:
            raise AttributeError(f"{layer.name!r} has no {self._name} before it is built")
        for weight in layer.weights:
            if weight.name == self._name:
                return weight
        raise AttributeError(f"{layer.name!r} has no {self._name}")


class Layer(NoIgnoredOverrides, Configurable, HasWeights, registry="layer"):
    """Base of all layers: describes a computation and owns its weights.

    A subclass with one input and one output sets `_op` and defines `_attributes`, `_output_shapes`
    and `_make_weights`; one with more defines `_emit` itself.

    Parameters
    ----------
    name : str, optional
        By default the class name in snake case, with a number from the second on.
    trainable : bool, default True
        Whether training changes the weights. It can be set at any time, and reaches the layers inside; a model that
        is compiled follows from its next `compile` on.
    **arguments
        `input_shape`, `batch_input_shape`, or `input_dim`: the shape of the input, where the layer
        is the first of a model; `activity_regularizer`: a str or Regularizer, the penalty on every output of a
        call, masked steps too, divided by the number of samples; `dtype`: the precision "float32" or "float64", or a
        `dtype_policy`, if it should be told: that of the model, which refuses to compute with a layer of another one.

    Attributes
    ----------
    weights : list of Weight
        In Keras's order. Empty before the layer is built.
    built : bool
    batch_input_shape : tuple of int or None, or None
        The shape given to the constructor, batch first.
    input_shape : tuple of int or None, or None
        The shape the layer was built for, batch first.

    Raises
    ------
    TypeError
        For an unknown argument; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import layers
    >>> layer = layers.Dense(2, name="head")
    >>> layer.build((None, 3))
    >>> layer.weights
    [<Weight head/kernel (3, 2) float32>, <Weight head/bias (2,) float32>]
    """

    _elsewhere = LAYER
    _ignored = frozenset(
        {
            "_apply_scores",
            "_calculate_scores",
            "_compute_attention",
            "_merge_function",
            "build_from_config",
            "call",
            "compute_mask",
            "compute_output_shape",
            "compute_output_spec",
            "forward",
            "get_build_config",
            "get_dropout_mask",
            "get_initial_state",
            "get_recurrent_dropout_mask",
            "inner_loop",
            "load_assets",
            "load_own_variables",
            "save_assets",
            "save_own_variables",
            "stateless_call",
            "symbolic_call",
        }
    )
    _instead = (
        "layers are described, and run by the engine, not by Python code; combine the layers there are, or use"
        " Model.forward and Model.backward in a loop of your own"
    )

    _op: ClassVar[str]  # of the one node that `_emit` appends
    _input_dtype: ClassVar[str] = "float"
    _output_dtype: str = "float"
    _keeps_time: bool = True  # axis 1 of the first output is axis 1 of the input
    _treats_steps_as_samples: bool = False  # over (N, T, ...) it does what it does over (N·T, ...)
    _ends_masks: ClassVar[bool] = False  # lengths alone go on with the time axis, as Keras's masks do not
    _mixes_features: bool = False  # a number of the output depends on all numbers along the last axis
    _takes_mask: ClassVar[bool] = False  # as an argument of a call
    _inner: tuple[Layer, ...] = ()  # the layers a wrapper is made of
    _fixed: ClassVar[tuple[str, ...]] = ()  # arguments of a base's constructor that the class decides itself
    _acts_per_step: bool = False  # a step of the output depends on that step of the input and on carried states alone

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return (cls.__name__,)

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
        self._calls = 0
        self._last_call: tuple[tuple[SymbolicValue, ...], tuple[SymbolicValue, ...]] | None = None

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
        """The new weights for an input of this shape."""
        return []

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

    # Calls

    def __call__(self, inputs: Any, mask: SymbolicValue | None = None) -> Any:
        """Describe this layer applied to symbolic values: one value, or a list if there are several.

        Parameters
        ----------
        inputs : SymbolicValue or list of SymbolicValue
        mask : SymbolicValue of shape (N, T), optional
            An `Input` of integers or booleans, zero where a step is not real, in the place of the mask that comes with
            `inputs`; for layers that read a mask.
        """
        if mask is not None and not self._takes_mask:
            raise TypeError(f"{self.name!r} takes no mask, got {mask}")
        return self._describe(symbolic_values(f"inputs of {self.name!r}", inputs), mask)

    def _describe(self, values: tuple[SymbolicValue, ...], mask: SymbolicValue | None = None) -> Any:
        """The call on `values`, for a subclass whose calls take more than inputs.

        `mask`, integers (N, T), not 0 where a step of the first value is real, takes the place of the mask that
        comes with that value.
        """
        for part in parts([self]):
            part._refuse_overrides()  # a method may have been given to a class after it was made
            if type(part)._emit is Layer._emit:
                part._require_kind("_op")
        shapes = self._checked_shapes(values, mask)
        self.build(values[0].shape)
        if not self.built:
            raise ValueError(f"build of {self.name!r} must call super().build(input_shape), which makes the weights")
        call = Call(self, self._calls, values, mask)
        self._calls += 1
        outputs = tuple(SymbolicValue(shape, call, index) for index, shape in enumerate(shapes))
        self._last_call = (values, outputs)
        return outputs[0] if len(outputs) == 1 else list(outputs)

    def _call_options(self, index: int) -> dict[str, Any]:
        """What call number `index` was told beside its values, as JSON-serialisable data."""
        return {}

    def _call_again(self, values: list[SymbolicValue], options: dict[str, Any]) -> Any:
        """Describe a call as `_call_options` tells."""
        return self(values, **options)

    def _recall(self, index: int) -> None:
        """Be ready to check or append call number `index` as it was told; see `_call_options`."""

    def _checked_shapes(
        self, values: tuple[SymbolicValue, ...], mask: SymbolicValue | None = None
    ) -> tuple[Shape, ...]:
        """The shape of each output of a call, or the error of one that does not fit."""
        self._check_values(values)
        if mask is not None:
            self._check_mask(mask, values[0])
        self._check_input(values[0].shape)
        return self._shapes_of_call(values)

    def _shapes_of_call(self, values: tuple[SymbolicValue, ...]) -> tuple[Shape, ...]:
        """The shape of each output of a call on these inputs; by default the first one decides."""
        return self._output_shapes(values[0].shape)

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless the layer takes these inputs: by default one, of its `_input_dtype`."""
        if len(values) != 1:
            raise ValueError(f"{self.name!r} takes one input, got {len(values)}")
        if values[0].dtype != self._input_dtype:
            raise TypeError(f"{self.name!r} takes {self._input_dtype} values, got {values[0]}")

    def _check_mask(self, mask: Any, value: SymbolicValue) -> None:
        """Raise unless `mask` is one for the time axis of `value`."""
        (mask,) = symbolic_values(f"mask of {self.name!r}", [mask])
        if len(mask.shape) != 2 or (None not in (mask.shape[1], value.shape[1]) and mask.shape[1] != value.shape[1]):
            raise ValueError(f"mask of {self.name!r} must have shape {value.shape[:2]}, got {mask.shape}")
        mask.layer._become_mask()
        if mask.dtype != "int":
            raise TypeError(f"mask of {self.name!r} must be an Input of integers or booleans, got {mask}")

    def _become_mask(self) -> None:
        """Make integers of an output whose dtype nobody has stated; only an input's may be open."""

    @property
    def input(self) -> Any:
        """What the layer was last called on: a symbolic value, or a list of them."""
        return self._last(0)

    @property
    def output(self) -> Any:
        """What the last call gave: a symbolic value, or a list of them."""
        return self._last(1)

    def _last(self, side: int) -> Any:
        if self._last_call is None:
            raise AttributeError(f"{self.name!r} has not been called on a symbolic value yet")
        values = self._last_call[side]
        return values[0] if len(values) == 1 else list(values)

    @property
    def output_shape(self) -> Any:
        """Shape of the output for the input the layer was built for, or a list of shapes."""
        if self.input_shape is None:
            raise AttributeError(f"{self.name!r} has no output shape before it is built")
        return self.compute_output_shape(self.input_shape)

    # Description

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {}

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the layer's nodes; return the value of each output.

        Parameters
        ----------
        builder : ProgramBuilder
        inputs : tuple of int
            Values the layer reads.
        masks : tuple of Mask
            For each of them what says which of its steps are real; `builder.real` makes one value of it.
        """
        (shape,) = self._output_shapes(builder.shape(inputs[0]))
        output = builder.value(self.name, shape, self._output_dtype)
        builder.node(self._op, self.name, inputs, (output,), self._emit_weights(builder), self._attributes())
        return (output,)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """The mask of each output; called after `_emit` with the same arguments.

        By default the mask of the first input goes on with the first output where that keeps the time axis.
        """
        shape = builder.shape(inputs[0])
        kept = self._keeps_time and not (len(shape) == 2 and self._mixes_features)
        mask = masks[0] if kept else NO_MASK
        others = len(self._output_shapes(shape)) - 1
        return (mask.padding_alone if self._ends_masks else mask, *[NO_MASK] * others)

    def _emit_weights(self, builder: ProgramBuilder) -> tuple[int, ...]:
        """Append the layer's parameters."""
        return tuple(builder.parameter(weight) for weight in self.weights)

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


_OF_ALL = ("name", "trainable", "dtype", "activity_regularizer", "weights")  # attributes of every layer


def _arguments(cls: type[Layer]) -> list[str]:
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
