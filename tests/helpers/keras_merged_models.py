"""Graphs whose values have masks of their own, written once for Keras and for rnncore, whose names are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

WORDS, FEATURES, STEPS = 7, 3, 5

# Right padding, left padding, holes, one real step, everything; the others are shifted by a row.
MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [1] * 5])
ROWS = len(MASK)

Graph = Callable[[Any, Any, Any, Any], Any]  # of the layers, two sequences with a mask each, and one without


def data() -> list[Any]:
    rng = np.random.default_rng(1)
    words = rng.integers(1, WORDS, size=MASK.shape) * MASK
    tags = rng.integers(1, WORDS, size=MASK.shape) * np.roll(MASK, 1, axis=0)
    plain = rng.normal(size=(*MASK.shape, FEATURES))
    return [words.astype(np.int32), tags.astype(np.int32), plain.astype(np.float32)]


def make_model(api: Any, name: str) -> Any:
    """The merged sequence, and one number for each row that reads it."""
    layers = api.layers
    words, tags = (layers.Input((STEPS,), dtype="int32") for _ in range(2))
    plain = layers.Input((STEPS, FEATURES))
    first = layers.Embedding(WORDS, FEATURES, mask_zero=True)(words)
    second = layers.Embedding(WORDS, FEATURES, mask_zero=True)(tags)
    merged = GRAPHS[name](layers, first, second, plain)
    last = layers.Dense(1)(layers.GRU(4)(merged))
    # Every input leads to an output, whatever the graph reads.
    unused = layers.GlobalAveragePooling1D()(layers.Add()([first, second, plain]))
    return api.models.Model([words, tags, plain], [layers.Dense(2)(merged), last, unused])


def targets(shapes: Any) -> list[Any]:
    rng = np.random.default_rng(2)
    return [rng.normal(size=(ROWS, *shape[1:])).astype(np.float32) for shape in shapes]


def _merge(kind: str, which: str, **arguments: Any) -> Graph:
    def graph(layers: Any, first: Any, second: Any, plain: Any) -> Any:
        of = {"a": first, "b": second, "p": plain}
        return getattr(layers, kind)(**arguments)([of[letter] for letter in which])

    return graph


def _after_a_merge(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    both = layers.Concatenate()([first, second])
    return layers.Add()([layers.Dense(FEATURES)(both), layers.Multiply()([first, layers.Dropout(0.0)(second)])])


def _repeated_step(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    """A gate for each step, and one vector for all."""
    gate = layers.Dense(1, activation="sigmoid")(second)
    return layers.Add()([layers.Multiply()([first, gate]), layers.Multiply()([gate, first, second])])


def _attention(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    return layers.Add()([layers.Attention()([first, second]), layers.AdditiveAttention()([second, first])])


def _attention_to_a_masked_key(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    return layers.Attention()([first, plain, second])


def _heads(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    return layers.MultiHeadAttention(2, 2)(first, second, plain)


def _heads_with_three_masks(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    key = layers.Maximum()([first, second])
    return layers.MultiHeadAttention(2, 2)(first, key, second)


def _ended(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    """Masks end at a convolution, a pooling and another shape."""
    a = layers.Conv1D(FEATURES, 2, padding="causal")(first)
    b = layers.MaxPooling1D(2, strides=1, padding="same")(second)
    c = layers.Reshape((STEPS, FEATURES))(first)
    return layers.Concatenate()([a, b, c])


def _masked_again(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    """A new mask takes the place of the old one."""
    return layers.Masking(0.0)(layers.Masking(5.0)(first))


def _wrapped(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    both = layers.Bidirectional(layers.GRU(FEATURES, return_sequences=True), merge_mode=None)(first)
    steps = layers.TimeDistributed(layers.Dense(FEATURES))(second)
    return layers.Minimum()([*both, steps])


def _normalized(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    return layers.LayerNormalization()(layers.BatchNormalization()(layers.Average()([first, second])))


def _backwards(layers: Any, first: Any, second: Any, plain: Any) -> Any:
    """Masks stay in the order of the input."""
    return layers.SimpleRNN(FEATURES, return_sequences=True, go_backwards=True)(layers.Add()([first, second]))


GRAPHS: dict[str, Graph] = {
    **{
        f"{kind} {which}": _merge(kind, which)
        for kind, cases in {
            "Add": ("ab", "ap", "pa", "bab"),
            "Subtract": ("ba",),
            "Average": ("ab", "pab"),
            "Concatenate": ("ab", "ap", "pa", "bap"),
            "Multiply": ("ab", "ap", "pa", "apb", "bab"),
            "Maximum": ("ab", "ap", "pa", "apb", "bap"),
            "Minimum": ("ab", "pab"),
        }.items()
        for which in cases
    },
    **{f"Concatenate {which} in time": _merge("Concatenate", which, axis=1) for which in ("ab", "ap", "pa", "bpa")},
    "after a merge": _after_a_merge,
    "repeated step": _repeated_step,
    "attention": _attention,
    "attention to a masked key": _attention_to_a_masked_key,
    "heads": _heads,
    "heads with three masks": _heads_with_three_masks,
    "ended": _ended,
    "masked again": _masked_again,
    "wrapped": _wrapped,
    "normalized": _normalized,
    "backwards": _backwards,
}
