"""Attention: each query reads the values whose keys it matches."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, ClassVar

from rnncore import _validation as check
from rnncore import initializers
from rnncore._configurable import fields
from rnncore.layers.arguments import LayerArguments, Self, Unpack
from rnncore.layers.base import Layer, WeightView
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.layers.symbolic import SymbolicValue, symbolic_values
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["AdditiveAttention", "Attention", "AttentionLayer"]

ROLES = ("query", "value", "key", "query_mask", "value_mask", "attention_mask", "key_mask")


class AttentionLayer(Layer, registered=False):
    """Base of the attention layers: what a call gives, and the node of the op."""

    _op = "attention"

    def __init__(self, *, dropout: float, seed: int | None, arguments: LayerArguments) -> None:
        super().__init__(**arguments)
        self.dropout = check.number("dropout", dropout, low=0.0)
        if self.dropout >= 1:
            raise ValueError(f"dropout must be below 1, got {dropout}")
        self.seed = None if seed is None else check.integer("seed", seed, low=0)
        # Of each call: roles of its inputs, use_causal_mask, return_attention_scores.
        self._told: list[dict[str, Any]] = []
        self._call: dict[str, Any] = {}  # the one being described or appended

    # Calls

    def _describe_roles(self, given: dict[str, Any], use_causal_mask: bool, return_attention_scores: bool) -> Any:
        """Describe a call on the symbolic values of each role; None where one is absent."""
        read = {role: value for role, value in given.items() if value is not None}
        values = symbolic_values(f"inputs of {self.name!r}", list(read.values()))
        self._call = {
            "roles": list(read),
            "use_causal_mask": check.boolean("use_causal_mask", use_causal_mask),
            "return_attention_scores": check.boolean("return_attention_scores", return_attention_scores),
        }
        described = self._describe(values)
        self._told.append(self._call)
        return described

    def _recall(self, index: int) -> None:
        """Take up the roles and options of a call."""
        self._call = self._told[index]

    def _call_options(self, index: int) -> dict[str, Any]:
        """The roles of the inputs and the options of a call."""
        return self._told[index]

    def _call_again(self, values: list[SymbolicValue], options: dict[str, Any]) -> Any:
        """Describe a call as `_call_options` tells."""
        fields("the options of a call", options, ("roles", "use_causal_mask", "return_attention_scores"))
        roles = [check.lookup("role", role, dict.fromkeys(ROLES, role)) for role in options["roles"]]
        given = dict(zip(roles, values, strict=True))
        return self._describe_roles(given, options["use_causal_mask"], options["return_attention_scores"])

    def _by_role(self, items: Any) -> dict[str, Any]:
        """What belongs to each input by its role; the key is the value unless it is given."""
        found = dict(zip(self._call["roles"], items, strict=True))
        return {"key": found["value"], **found}

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless these are sequences (N, T, C) that fit each other, and masks of integers."""
        given = self._by_role(values)
        for role in ("query", "value", "key"):
            value = given[role]
            if value.dtype != "float":
                raise TypeError(f"{role} of {self.name!r} must be a float value, got {value}")
            if len(value.shape) != 3 or value.shape[2] is None:
                hint = check.last_output_hint(value.shape)
                raise ValueError(f"{role} of {self.name!r} must have shape (N, T, features), got {value.shape}{hint}")
        steps = {"query": given["query"].shape[1], "value": given["value"].shape[1]}
        if None not in (steps["value"], given["key"].shape[1]) and steps["value"] != given["key"].shape[1]:
            raise ValueError(
                f"key of {self.name!r} must have {steps['value']} steps as value, got {given['key'].shape}"
            )
        self._check_features(*(given[role].shape[2] for role in ("query", "value", "key")))
        expected = {
            "query_mask": (None, steps["query"]),
            "value_mask": (None, steps["value"]),
            "key_mask": (None, steps["value"]),
            "attention_mask": (None, steps["query"], steps["value"]),
        }
        for role, shape in expected.items():
            if role not in given:
                continue
            mask = given[role]
            mask.layer._become_integers()
            if mask.dtype != "int":
                raise TypeError(f"{role} of {self.name!r} must be an Input of integers or booleans, got {mask}")
            fits = len(mask.shape) == len(shape) and all(
                None in sizes or len(set(sizes)) == 1 for sizes in zip(mask.shape[1:], shape[1:], strict=True)
            )
            if not fits:
                raise ValueError(f"{role} of {self.name!r} must have shape {shape}, got {mask.shape}")

    def _check_features(self, query: int, value: int, key: int) -> None:
        """Raise a ValueError unless the sizes of the last axes fit."""
        if query != key:
            raise ValueError(
                f"query and {'key' if value != key else 'value'} of {self.name!r} must have the same number of features"
                f" to be compared, got {query} and {key}"
            )

    def _shapes_of_call(self, values: tuple[SymbolicValue, ...]) -> tuple[Shape, ...]:
        """The shape of the context and, if they are returned, of the scores."""
        given = self._by_role(values)
        return self._shapes(given["query"].shape, given["value"].shape)

    def _shapes(self, query: Shape, value: Shape) -> tuple[Shape, ...]:
        scores = (query[0], *self._head_axis(), query[1], value[1])
        returned = self._call.get("return_attention_scores", False)
        return ((*query[:2], self._width(query, value)), *([scores] if returned else []))

    def _width(self, query: Shape, value: Shape) -> int | None:
        """The size of the last axis of the output."""
        return value[2]

    def _head_axis(self) -> tuple[int, ...]:
        """The axis of the scores for heads, if they have one."""
        return ()

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the output, batch first, from the shapes of query and value (and key).

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.Attention().compute_output_shape([(None, 4, 8), (None, 9, 8)])
        (None, 4, 8)
        """
        query, value = (check.shape("input_shape", shape) for shape in list(input_shape)[:2])
        return self._shapes(query, value)[0]

    @property
    def output_shape(self) -> Any:
        """Shape of the last output, or a list of shapes."""
        output = self.output
        return [value.shape for value in output] if isinstance(output, list) else output.shape

    def _over_border(self) -> Self:
        """The layer, with its weights, where an attention_mask, the last input, says what a query sees of all keys."""
        twin = copy.copy(self)
        off = {"use_causal_mask": False, "return_attention_scores": False}
        twin._told = [{"roles": [*self._roles_over_border(told), "attention_mask"], **off} for told in self._told]
        return twin

    def _roles_over_border(self, told: dict[str, Any]) -> list[str]:
        """The roles of the inputs there, the attention_mask left out."""
        return list(told["roles"])

    # Description

    def _emit_attention(
        self,
        builder: ProgramBuilder,
        read: tuple[int, int, int],
        given: dict[str, int],
        masks: dict[str, Mask],
        parameters: tuple[int, ...],
        attributes: dict[str, Any],
    ) -> tuple[int, int]:
        """Append the node of the op over projected values; return the context and the weights."""
        query, value = builder.shape(read[0]), builder.shape(read[1])
        context = builder.value(f"{self.name}/context", (*query[:2], value[2]))
        weights = builder.value(f"{self.name}/weights", (query[0], *self._head_axis(), query[1], value[1]))
        masks = self._masks_of_call(given, masks)
        of_value = builder.both(f"{self.name}/value", (read[1], masks["value"]), (read[2], masks["key"]))
        slots = (
            builder.real(read[0], masks["query"]),
            builder.real(read[1], of_value),
            given.get("attention_mask", -1),
        )
        attributes = {
            **attributes,
            "causal": self._call["use_causal_mask"],
            "rate": self.dropout,
            "seed": self.seed or 0,
        }
        builder.node(self._op, self.name, (*read, *slots), (context, weights), parameters, attributes)
        return context, weights

    def _masks_of_call(self, given: dict[str, int], masks: dict[str, Mask]) -> dict[str, Mask]:
        """The masks of query, value and key: those that come with them, or that the call was given."""

        def of(role: str, mask: Mask) -> Mask:
            return replace(mask, own=given.get(f"{role}_mask", mask.own))

        query, value = of("query", masks["query"]), of("value", masks["value"])
        return {
            "query": query,
            "value": value,
            "key": of("key", masks["key"] if "key" in self._call["roles"] else value),
        }

    def _returned(self, context: Any, weights: Any) -> tuple[Any, ...]:
        """The outputs of a call."""
        return (context, weights) if self._call["return_attention_scores"] else (context,)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """The mask of the query goes on with the context."""
        return self._returned(self._masks_of_call(self._by_role(inputs), self._by_role(masks))["query"], NO_MASK)


class Attention(AttentionLayer):
    """Dot-product attention (Luong et al. 2015): each query reads a mean of the values, weighted by its scores.

    Called on `[query, value]` or `[query, value, key]` of shapes (N, Tq, K), (N, Tv, V), (N, Tv, K), where the
    key is the value unless it is given; the output has shape (N, Tq, V). The weights are the softmax of the scores over
    the steps of the value that are real and seen. The masks of query and value come with them: padded steps get
    no weight, and the output of a padded query is zero, as that of a query that may see no step.

    Parameters
    ----------
    use_scale : bool, default False
        Whether a trainable number, at first 1, scales the scores.
    score_mode : {"dot", "concat"}, default "dot"
        "dot": q · k. "concat": w · sum(tanh(q + k)) with a trainable number w, at first 1, and the scale before tanh.
    dropout : float, default 0.0
        The part of the weights that is dropped in training.
    seed : int, optional
        Added to the seed of the run.
    **arguments
        `name`, `trainable`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or inputs that do not fit each other.

    Examples
    --------
    >>> from rnncore import layers
    >>> query, value = layers.Input((5, 8)), layers.Input((None, 8))
    >>> layers.Attention()([query, value]).shape
    (None, 5, 8)
    >>> context, scores = layers.Attention()([query, value], return_attention_scores=True)
    >>> scores.shape
    (None, 5, None)
    """

    scale = WeightView()
    concat_score_weight = WeightView()
    _scores: ClassVar[tuple[str, ...]] = ("dot", "concat")

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(dropout=dropout, seed=seed, arguments=arguments)
        self.use_scale = check.boolean("use_scale", use_scale)
        self.score_mode = check.lookup("score_mode", score_mode, {score: score for score in self._scores})

    def __call__(
        self,
        inputs: Any,
        mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Describe this layer applied to symbolic values.

        Parameters
        ----------
        inputs : list of SymbolicValue
            `[query, value]` or `[query, value, key]`.
        mask : list of two SymbolicValue or None, optional
            Masks of query (N, Tq) and value (N, Tv), integers that are not 0 where a step is real, instead of those
            that come with the inputs.
        return_attention_scores : bool, default False
            Whether the weights (N, Tq, Tv) are a second output.
        use_causal_mask : bool, default False
            Whether query i sees only the steps up to i.

        Returns
        -------
        SymbolicValue of shape (N, Tq, V), or a list of it and the weights.
        """
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(f"{self.name!r} takes a list [query, value] or [query, value, key], got {inputs}")
        if not 2 <= len(inputs) <= 3:
            raise ValueError(f"{self.name!r} takes [query, value] or [query, value, key], got {len(inputs)} inputs")
        if mask is not None and not (isinstance(mask, (list, tuple)) and 2 <= len(mask) <= 3):
            raise ValueError(f"mask of {self.name!r} must be a list [query_mask, value_mask], got {mask}")
        given = {**dict(zip(ROLES, inputs, strict=False)), **dict(zip(ROLES[3:5], mask or (), strict=False))}
        return self._describe_roles(given, use_causal_mask, return_attention_scores)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Scale () and weight of the concat score ()."""
        names = ["scale"] * self.use_scale + ["concat_score_weight"] * (self.score_mode == "concat")
        return [self._weight(name, (), initializers.Ones(), None) for name in names]

    def _masks_of_call(self, given: dict[str, int], masks: dict[str, Mask]) -> dict[str, Mask]:
        """Those of query and value: that of a key is not read, and given masks take the place of both, as in Keras."""
        if {"query_mask", "value_mask"} & set(given):
            masks = {role: mask.padding_alone for role, mask in masks.items()}
        found = super()._masks_of_call(given, masks)
        return {**found, "key": found["key"].padding_alone}

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {"score": self.score_mode, "drops_weights": True}

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append one node."""
        given = self._by_role(inputs)
        read = (given["query"], given["value"], given["key"])
        parameters = self._emit_weights(builder)
        return self._returned(
            *self._emit_attention(builder, read, given, self._by_role(masks), parameters, self._attributes())
        )


class AdditiveAttention(Attention):
    """Additive attention (Bahdanau, Cho, Bengio 2015): as `Attention`, with scores sum(scale · tanh(q + k)).

    Query and key have the same number of features K. The inputs, outputs and masks are those of `Attention`.

    Parameters
    ----------
    use_scale : bool, default True
        Whether there is a trainable vector `scale` (K,); without it, ones.
    dropout : float, default 0.0
        The part of the weights that is dropped in training.
    **arguments
        `seed`, `name`, `trainable`: see `Attention`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or inputs that do not fit each other.

    Examples
    --------
    >>> from rnncore import layers
    >>> query, value = layers.Input((5, 8)), layers.Input((None, 8))
    >>> layers.AdditiveAttention()([query, value]).shape
    (None, 5, 8)
    """

    _scores: ClassVar[tuple[str, ...]] = ("additive",)
    _fixed = ("score_mode",)

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(use_scale=use_scale, score_mode="additive", dropout=dropout, **arguments)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Scale (K,)."""
        shape = (self._features(input_shape),)
        return [self._weight("scale", shape, initializers.get("glorot_uniform"), None)] if self.use_scale else []
