"""What all layers share: calls on symbolic values, and what they append to a Program."""

from __future__ import annotations

from typing import Any, ClassVar

from rnncore import activations
from rnncore._keras_names import LAYER
from rnncore._pages import see
from rnncore.layers.buildable import Buildable, WeightView, described
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.layers.own_code import OwnCode, add_weight
from rnncore.layers.symbolic import Call, SymbolicValue, symbolic_values
from rnncore.layers.trainable import parts
from rnncore.program import Shape

__all__ = ["Layer", "WeightView"]


class Layer(OwnCode, Buildable, registry="layer"):
    """Base of all layers: describes a computation and owns its weights.

    A subclass of your own has methods `call(x)`, which makes an array (N, ...) or a list of them of the array, or the
    list of arrays, x, and `backward(x, y, dy)`, which training needs: it returns the gradient of x, and with weights a
    pair of that and a list of their gradients. Both are NumPy code, may ask for `training` and `mask` (N, T) by name,
    and get copies. `build(input_shape)` adds weights by `self.add_weight(shape, initializer, trainable, regularizer,
    constraint, name)`. `compute_output_shape` need not be there: `call` is tried on ones. Class attributes:
    `supports_masking`, whether masks go on, and `by_steps`, whether a step depends on that step alone, as streams need.

    Such a layer is slow: one thread runs it while the others wait, and each pass costs some 15 µs and copies, which for
    400 kB take 0.1 ms in a step of training, besides the code itself. An error in it leaves the weights as they were
    before the batch.

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
        call, masked steps too, divided by the number of samples; `dtype`: a precision, "float32" or "float64",
        or a `dtype_policy`; a model refuses a layer whose precision is not its own.

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
    >>> class Scale(layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), "ones")
    ...
    ...     def call(self, x):
    ...         return x * self.factor
    ...
    ...     def backward(self, x, y, dy):
    ...         return dy * self.factor, [(dy * x).reshape(-1, x.shape[-1]).sum(axis=0)]
    >>> Scale()(layers.Input((None, 3))).shape
    (None, None, 3)
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
        "layers are described, and run by the engine; a subclass of Layer itself may have call and backward, which are"
        " NumPy code"
    )

    _op: ClassVar[str]  # of the one node that `_emit` appends
    _input_dtype: ClassVar[str] = "float"
    _output_dtype: str = "float"
    _node_arguments: ClassVar[tuple[str, ...]] = ()  # the arguments that are attributes of the node
    _keeps_time: bool = True  # axis 1 of the first output is axis 1 of the input
    _treats_steps_as_samples: bool = False  # over (N, T, ...) it does what it does over (N·T, ...)
    _ends_masks: ClassVar[bool] = False  # lengths alone go on with the time axis, as Keras's masks do not
    _mixes_features: bool = False  # a number of the output depends on all numbers along the last axis
    _takes_mask: ClassVar[bool] = False  # as an argument of a call
    _acts_per_step: bool = False  # a step of the output depends on that step of the input and on carried states alone
    _call_count: int = 0  # so far
    _last_call: tuple[tuple[SymbolicValue, ...], tuple[SymbolicValue, ...]] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        if hasattr(cls, "call") and not getattr(cls, "_op", "") and cls._emit is Layer._emit:
            is_lambda = "_is_own_code" in vars(cls)
            cls._is_own_code, cls._ignored = True, Layer._ignored - {"call", "compute_output_shape"}
            cls._acts_per_step = bool(getattr(cls, "by_steps", False))
            if not (is_lambda or hasattr(cls, "add_weight")):
                cls.add_weight = add_weight  # type: ignore[attr-defined]
        super().__init_subclass__(**options)

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return (cls.__name__,)

    # Calls

    def __call__(self, inputs: Any, mask: SymbolicValue | None = None) -> Any:
        """Describe this layer applied to symbolic values: one value, or a list if there are several.

        Parameters
        ----------
        inputs : SymbolicValue or list of SymbolicValue
        mask : SymbolicValue of shape (N, T), optional
            An `Input` of integers or booleans, zero where a step is not valid, in place of the mask that comes with
            `inputs`; for layers that read a mask.
        """
        if mask is not None and not self._takes_mask:
            raise TypeError(f"{self.name!r} takes no mask, got {mask}")
        return self._describe(symbolic_values(f"inputs of {self.name!r}", inputs), mask)

    def _describe(self, values: tuple[SymbolicValue, ...], mask: Any = None, resets: Any = None) -> Any:
        """The call on `values`, for a subclass whose calls take more than inputs.

        `mask`, integers (N, T), not 0 where a step of the first value is real, takes the place of the mask that
        comes with that value; `resets` are not 0 where a step begins a new sequence.
        """
        for part in parts([self]):
            part._refuse_overrides()  # a method may have been given to a class after it was made
            if type(part)._emit is Layer._emit and not part._is_own_code:
                part._require_kind("_op")
        shapes = self._checked_shapes(values, mask=mask, resets=resets)
        if not self.built:
            self.build(values[0].shape)
        if not self.built:
            raise ValueError(f"build of {self.name!r} must call super().build(input_shape), which makes the weights")
        call = Call(self, self._call_count, values, mask, resets)
        self._call_count += 1
        outputs = tuple(SymbolicValue(shape, call, index) for index, shape in enumerate(shapes))
        self._last_call = (values, outputs)
        return outputs[0] if len(outputs) == 1 else list(outputs)

    def _call_options(self, index: int) -> dict[str, Any]:
        """What call number `index` was told besides its values, as JSON-serialisable data."""
        return {}

    def _call_again(self, values: list[SymbolicValue], options: dict[str, Any]) -> Any:
        """Describe a call as `_call_options` tells."""
        return self(values, **options)

    def _recall(self, index: int) -> None:
        """Be ready to check or append call number `index` as it was told; see `_call_options`."""

    def _checked_shapes(self, values: tuple[SymbolicValue, ...], **of_steps: Any) -> tuple[Shape, ...]:
        """The shape of each output of a call, or the error of one that does not fit."""
        self._check_values(values)
        for argument, given in of_steps.items():
            if given is not None:
                self._check_of_steps(argument, given, values[0])
        self._check_input(values[0].shape)
        return self._shapes_of_call(values)

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The shape of each output; that of own code is tried."""
        if self._is_own_code:
            return self._own_shapes((SymbolicValue(input_shape, None, 0),))  # type: ignore[arg-type]
        return super()._output_shapes(input_shape)

    def _shapes_of_call(self, values: tuple[SymbolicValue, ...]) -> tuple[Shape, ...]:
        """The shape of each output of a call on these inputs; by default the first one decides."""
        if self._is_own_code:
            return self._own_shapes(values)
        return self._output_shapes(values[0].shape)

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless the layer takes these inputs: by default one, of its `_input_dtype`."""
        if len(values) != 1 and not self._is_own_code:
            raise ValueError(f"{self.name!r} takes one input, got {len(values)}")
        for value in values:
            if value.dtype != self._input_dtype:
                raise TypeError(f"{self.name!r} takes {self._input_dtype} values, got {value}")

    def _check_of_steps(self, argument: str, given: Any, value: SymbolicValue) -> None:
        """Raise unless `given` is a mask for the time axis of `value`."""
        (mask,) = symbolic_values(f"{argument} of {self.name!r}", [given])
        if len(mask.shape) != 2 or (None not in (mask.shape[1], value.shape[1]) and mask.shape[1] != value.shape[1]):
            raise ValueError(
                f"{argument} of {self.name!r} must have shape {value.shape[:2]}, got {mask.shape}"
                + see("guide/sequences")
            )
        mask.layer._become_integers()
        if mask.dtype != "int":
            raise TypeError(f"{argument} of {self.name!r} must be an Input of integers or booleans, got {mask}")

    def _become_integers(self) -> None:
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

    # Description

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        found: dict[str, Any] = {}
        for name in self._node_arguments:
            value = getattr(self, name)
            found |= activations.attributes(name, value) if name == "activation" else {name: described(value)}
        return found

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the layer's nodes; return the value of each output.

        Parameters
        ----------
        builder : ProgramBuilder
        inputs : tuple of int
            Values the layer reads.
        masks : tuple of Mask
            For each of them what says which of its steps are valid; `builder.real` makes one value of it.
        """
        if self._is_own_code:
            return self._emit_own(builder, inputs, masks)
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
        if self._is_own_code:
            return self._own_masks(builder, inputs, masks)
        shape = builder.shape(inputs[0])
        kept = self._keeps_time and not (len(shape) == 2 and self._mixes_features)
        mask = masks[0] if kept else NO_MASK
        others = len(self._output_shapes(shape)) - 1
        return (mask.padding_alone if self._ends_masks else mask, *[NO_MASK] * others)

    def _emit_weights(self, builder: ProgramBuilder) -> tuple[int, ...]:
        """Append the layer's parameters."""
        return tuple(builder.parameter(weight) for weight in self.weights)
