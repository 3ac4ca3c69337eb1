"""Multi-head attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rnncore import _validation as check
from rnncore import initializers, regularizers
from rnncore.layers.arguments import LayerArguments, Self, Unpack
from rnncore.layers.attention import AttentionLayer
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.layers.symbolic import SymbolicValue
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["MultiHeadAttention", "Projections"]


class MultiHeadAttention(AttentionLayer):
    """Scaled dot-product attention of several heads, each on projections of its own (Vaswani et al. 2017).

    Queries (N, Tq, D), values (N, Tv, ·) and keys (N, Tv, ·) are projected to `num_heads` heads of `key_dim` or
    `value_dim` features; the contexts of all heads are projected to the output (N, Tq, E). Masks come with query and
    value and key: padded steps of either get no weight, and a padded query sees nothing.

    Parameters
    ----------
    num_heads, key_dim : int
    value_dim : int, optional
        By default `key_dim`.
    dropout : float, default 0.0
        The part of the weights that is dropped in training.
    use_bias : bool, default True
    output_shape : int or tuple of one int, optional
        E, by default the features of the query.
    attention_axes : None
        Only the default, attention over steps.
    kernel_initializer, bias_initializer : str or Initializer, default "glorot_uniform", "zeros"
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    seed : int, optional
        Added to the seed of the run.
    kernel_constraint, bias_constraint, flash_attention, sliding_window, use_gate
        Only the defaults.
    **arguments
        `name`, `trainable`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or inputs that do not fit each other.

    Examples
    --------
    >>> from rnncore import layers
    >>> x = layers.Input((5, 16))
    >>> layer = layers.MultiHeadAttention(num_heads=2, key_dim=3)
    >>> layer(x, x, use_causal_mask=True).shape
    (None, 5, 16)
    >>> [w.shape for w in layer.get_weights()]
    [(16, 2, 3), (2, 3), (16, 2, 3), (2, 3), (16, 2, 3), (2, 3), (2, 3, 16), (16,)]
    """

    _reads_projected = False

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: None = None,
        kernel_initializer: initializers.Identifier = "glorot_uniform",
        bias_initializer: initializers.Identifier = "zeros",
        kernel_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        seed: int | None = None,
        *,
        kernel_constraint: None = None,
        bias_constraint: None = None,
        flash_attention: bool | None = None,
        sliding_window: None = None,
        use_gate: bool = False,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        check.unsupported(
            "MultiHeadAttention",
            attention_axes=attention_axes,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            flash_attention=flash_attention,
            sliding_window=sliding_window,
            use_gate=use_gate,
        )
        super().__init__(dropout=dropout, seed=seed, arguments=arguments)
        self.num_heads = check.positive_int("num_heads", num_heads)
        self.key_dim = check.positive_int("key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else check.positive_int("value_dim", value_dim)
        self.use_bias = check.boolean("use_bias", use_bias)
        self._output_size = None
        if output_shape is not None:
            sizes = [output_shape] if isinstance(output_shape, int) else list(output_shape)
            if len(sizes) != 1:
                raise ValueError(f"output_shape must be one size, got {output_shape!r}")
            self._output_size = check.positive_int("output_shape", sizes[0])
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self._projection_penalty, self.activity_regularizer = self.activity_regularizer, None  # as Keras has it
        self._sizes: tuple[int, int, int] | None = None  # features of query, value, key

    def __call__(  # type: ignore[override]  # Keras's arguments
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Describe this layer applied to symbolic values.

        Parameters
        ----------
        query, value, key : SymbolicValue
            Of shapes (N, Tq, ·), (N, Tv, ·), (N, Tv, ·); the key is the value unless it is given.
        query_mask, value_mask, key_mask : SymbolicValue, optional
            Integers (N, Tq), (N, Tv), (N, Tv), not 0 where a step is real, instead of the masks that come with the
            inputs. A step is read where value and key have it.
        attention_mask : SymbolicValue, optional
            Integers (N, Tq, Tv), not 0 where a query may see a step.
        return_attention_scores : bool, default False
            Whether the weights (N, num_heads, Tq, Tv), before dropout, are a second output.
        use_causal_mask : bool, default False
            Whether query i sees only the steps up to i.

        Returns
        -------
        SymbolicValue of shape (N, Tq, E), or a list of it and the weights.
        """
        given = {
            "query": query,
            "value": value,
            "key": key,
            "query_mask": query_mask,
            "value_mask": value_mask,
            "attention_mask": attention_mask,
            "key_mask": key_mask,
        }
        return self._describe_roles(given, use_causal_mask, return_attention_scores)

    def _check_features(self, query: int, value: int, key: int) -> None:
        """Remember the sizes; raise a ValueError if the layer was built for others."""
        if self.built and self._sizes != (query, value, key):
            raise ValueError(
                f"{self.name!r} was built for a query, value and key of {self._sizes} features, got {query, value, key}"
            )
        self._sizes = query, value, key

    def build(self, input_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None) -> None:
        """Make the weights for a query, value and key of these shapes, batch first; once.

        Examples
        --------
        >>> from rnncore import layers
        >>> layer = layers.MultiHeadAttention(2, 4, use_bias=False)
        >>> layer.build((None, 5, 8), (None, 7, 6))
        >>> layer.count_params()
        224
        """
        if value_shape is not None:
            shapes = [check.shape("input_shape", s) for s in (input_shape, value_shape, key_shape or value_shape)]
            query, value, key = (self._features(shape) for shape in shapes)
            self._check_features(query, value, key)
        super().build(input_shape)

    def _features(self, shape: Shape) -> int:
        """The size of the last axis, which must be known."""
        if len(shape) != 3 or shape[-1] is None:
            raise ValueError(f"{self.name!r} needs inputs of shape (N, T, features), got {shape}")
        return shape[-1]

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Kernel and bias of the projections of query, key, value and the heads' contexts."""
        if self._sizes is None:
            raise ValueError(f"{self.name!r} is built by calling it, or for the shapes of query and value")
        query, value, key = self._sizes
        h, output = self.num_heads, self._output_size or query
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
            "query": ((query, h, self.key_dim), (h, self.key_dim)),
            "key": ((key, h, self.key_dim), (h, self.key_dim)),
            "value": ((value, h, self.value_dim), (h, self.value_dim)),
            "attention_output": ((h, self.value_dim, output), (output,)),
        }
        weights = []
        for name, (kernel, bias) in shapes.items():
            weights.append(self._weight(f"{name}/kernel", kernel, self.kernel_initializer, self.kernel_regularizer))
            if self.use_bias:
                weights.append(self._weight(f"{name}/bias", bias, self.bias_initializer, self.bias_regularizer))
        return weights

    def _width(self, query: Shape, value: Shape) -> int | None:
        """The size of the last axis of the output."""
        return self._output_size or query[2]

    def _head_axis(self) -> tuple[int, ...]:
        """The axis of the scores for heads."""
        return (self.num_heads,)

    def _projected_widths(self) -> dict[str, int]:
        """The features of query, value and key once they are projected, of all heads together."""
        widths = {"query": self.key_dim, "value": self.value_dim, "key": self.key_dim}
        return {role: self.num_heads * width for role, width in widths.items()}

    def _project(self, builder: ProgramBuilder, name: str, x: int, width: int) -> int:
        """Append a projection."""
        place = ("query", "key", "value", "attention_output").index(name)
        count = 2 if self.use_bias else 1
        y = builder.value(f"{self.name}/{name}", (*builder.shape(x)[:2], width))
        features = builder.shape(x)[2]
        assert features is not None
        pieces = zip(self.weights[place * count : (place + 1) * count], ((features, width), (width,)), strict=False)
        parameters = tuple(builder.parameter(weight, shape) for weight, shape in pieces)
        builder.node("dense", f"{self.name}/{name}", (x,), (y,), parameters, {"activation": "linear"})
        builder.penalise((y,), self._projection_penalty)
        return y

    def _over_border(self) -> Self:
        """As in `AttentionLayer`, on a query, value and key that are projected already."""
        twin = super()._over_border()
        twin._reads_projected = True
        return twin

    def _roles_over_border(self, told: dict[str, Any]) -> list[str]:
        """The roles of the inputs there: a key is always given, with the mask of the value if it is the value."""
        masks = [role for role in told["roles"] if role.endswith("mask")]
        if "key" not in told["roles"] and "value_mask" in masks and "key_mask" not in masks:
            masks.append("key_mask")
        return ["query", "value", "key", *masks]

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append a projection of each input, the attention of the heads, and the projection of their contexts."""
        given = self._by_role(inputs)
        if self._reads_projected:
            query, value, key = (given[role] for role in ("query", "value", "key"))
        else:
            widths = self._projected_widths().items()
            query, value, key = (self._project(builder, role, given[role], width) for role, width in widths)
        attributes = {
            "score": "dot",
            "heads": self.num_heads,
            "factor": 1 / math.sqrt(self.key_dim),
            "hides_queries": True,
        }
        context, weights = self._emit_attention(
            builder, (query, value, key), given, self._by_role(masks), (), attributes
        )
        output = self._project(builder, "attention_output", context, self.weights[-1].shape[-1])
        return self._returned(output, weights)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data."""
        config = {**super().get_config(), "output_shape": self._output_size}
        if self._projection_penalty is not None:
            config["activity_regularizer"] = regularizers.serialize(self._projection_penalty)
        return config


class Projections(Layer, registered=False):
    """What a MultiHeadAttention makes of query, value and key before its heads see them."""

    def __init__(self, of: MultiHeadAttention) -> None:
        super().__init__(name=f"{of.name}/projections")
        self._of = of
        self.weights = of.weights

    def _shapes_of_call(self, values: tuple[SymbolicValue, ...]) -> tuple[Shape, ...]:
        """The steps of each, and the features of all heads together."""
        widths = self._of._projected_widths().values()
        return tuple((*value.shape[:2], width) for value, width in zip(values, widths, strict=True))

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append a projection of each."""
        widths = self._of._projected_widths().items()
        return tuple(
            self._of._project(builder, role, x, width) for x, (role, width) in zip(inputs, widths, strict=True)
        )

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """The mask of each goes on."""
        return masks
