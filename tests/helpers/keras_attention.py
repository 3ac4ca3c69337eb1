"""Calls of attention layers written once for two libraries: `k` is Keras or rnncore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Case = Callable[[Any], tuple[Any, list[Any], list[Any]]]  # k -> layer, inputs, outputs

ROWS, QUERIES, STEPS, FEATURES = 6, 4, 5, 3
LEARNING_RATE = 2.0


def data(rng: np.random.Generator, shapes: list[tuple[int | None, ...]], target: Any) -> tuple[list[Array], Array]:
    """Arrays for inputs of three (values) or fewer (masks) axes; no query of the masks sees nothing."""
    arrays: list[Array] = []
    for number, shape in enumerate(shapes):
        sizes = (ROWS, *(size or 0 for size in shape[1:]))
        if number < 3 and len(sizes) == 3:
            arrays.append(rng.normal(size=sizes).astype(np.float32))
        else:
            mask = rng.random(sizes) < 0.6
            mask[..., 0] = True
            arrays.append(mask.astype(np.int32))
    return arrays, rng.normal(size=(ROWS, *target[1:])).astype(np.float32)


def _case(
    name: str, *, keys: bool = False, masks: tuple[int, ...] = (), options: dict[str, Any] | None = None, **call: Any
) -> Case:
    """`masks`: whether there is a query mask, a value mask and an attention mask."""

    def case(k: Any) -> tuple[Any, list[Any], list[Any]]:
        query, value = k.layers.Input((QUERIES, FEATURES)), k.layers.Input((STEPS, FEATURES))
        key = k.layers.Input((STEPS, FEATURES)) if keys else None
        values = [query, value, *([key] if keys else [])]
        shapes = [(QUERIES,), (STEPS,), (QUERIES, STEPS)]
        uses = [*masks, *[0] * (3 - len(masks))]
        given = [k.layers.Input(s, dtype="int32") if use else None for s, use in zip(shapes, uses, strict=True)]
        inputs = [*values, *(mask for mask in given if mask is not None)]
        cast = [None if mask is None else _boolean(k, mask) for mask in given]
        layer = getattr(k.layers, name)(**(options or {}))
        call_options = {"return_attention_scores": True, **call}
        if name == "MultiHeadAttention":
            names = ("query_mask", "value_mask", "attention_mask")
            named = {role: mask for role, mask in zip(names, cast, strict=True) if mask is not None}
            return layer, inputs, list(layer(query, value, key, **named, **call_options))
        return layer, inputs, list(layer(values, mask=cast[:2] if masks else None, **call_options))

    return case


def _boolean(k: Any, mask: Any) -> Any:
    """Keras wants booleans."""
    return mask if not hasattr(k, "ops") else k.ops.cast(mask, "bool")


HEADS = {"num_heads": 2, "key_dim": 4}

CASES: dict[str, Case] = {
    "dot": _case("Attention"),
    "scale": _case("Attention", options={"use_scale": True}, keys=True, use_causal_mask=True),
    "dot-masks": _case("Attention", options={"use_scale": True}, masks=(1, 1)),
    "value-mask": _case("Attention", options={"use_scale": True}, masks=(0, 1), use_causal_mask=True),
    "concat": _case("Attention", options={"score_mode": "concat"}, masks=(1, 1)),
    "concat-scale": _case("Attention", options={"score_mode": "concat", "use_scale": True}, keys=True),
    "additive": _case("AdditiveAttention", keys=True),
    "additive-masks": _case("AdditiveAttention", masks=(1, 1), use_causal_mask=True),
    "additive-plain": _case("AdditiveAttention", options={"use_scale": False}, masks=(1, 1)),
    "heads": _case("MultiHeadAttention", options=HEADS),
    "heads-keys": _case("MultiHeadAttention", options={**HEADS, "value_dim": 3, "output_shape": 7}, keys=True),
    "heads-masks": _case(
        "MultiHeadAttention", options={**HEADS, "use_bias": False}, masks=(0, 1, 1), use_causal_mask=True
    ),
}


def translation(attention: str) -> Callable[[Any], tuple[Any, Callable[[], Any]]]:
    """An encoder and a decoder with a shared embedding whose mask goes everywhere; and how they train."""

    def program(k: Any) -> tuple[Any, Callable[[], Any]]:
        rng = np.random.default_rng(6)
        lengths = rng.integers(1, 6, size=(2, 24, 1))
        real = np.arange(5) < lengths
        source, given = np.where(real, rng.integers(1, 7, size=(2, 24, 5)), 0)
        target = rng.integers(0, 7, size=(24, 5))
        tokens = [k.layers.Input((5,), dtype="int32"), k.layers.Input((5,), dtype="int32")]
        embedding = k.layers.Embedding(7, 6, mask_zero=True)
        encoded, state = k.layers.GRU(8, return_sequences=True, return_state=True)(embedding(tokens[0]))
        states = k.layers.GRU(8, return_sequences=True)(embedding(tokens[1]), initial_state=state)
        if attention == "MultiHeadAttention":  # reading a value twice would lose its mask in Keras
            context = k.layers.MultiHeadAttention(2, 3)(states, encoded)
            joined = k.layers.MultiHeadAttention(2, 3)(context, context, use_causal_mask=True)
        else:
            context = getattr(k.layers, attention)(use_scale=True)([states, encoded])
            joined = k.layers.Concatenate()([states, context])
        hidden = k.layers.Dense(8, activation="tanh")(joined)
        model = k.models.Model(tokens, k.layers.Dense(7, activation="softmax")(hidden))
        model.compile(k.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        return model, lambda: model.fit([source, given], target, epochs=10, batch_size=8, shuffle=False, verbose=0)

    return program


TRANSLATIONS = ("Attention", "AdditiveAttention", "MultiHeadAttention")
