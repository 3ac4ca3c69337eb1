"""`lengths` count leading steps: data that is padded at its beginning is warned of, and no other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from rnncore import layers, models, utils

Array = npt.NDArray[np.float64]


def padded_rows(padding: str, dtype: str) -> Array:
    rng = np.random.default_rng(8)
    shape: tuple[int, ...] = () if dtype == "int32" else (3,)
    rows = [rng.integers(1, 9, size=(n, *shape)) for n in (5, 2, 4, 3)]
    return utils.pad_sequences(rows, padding=padding, dtype=dtype)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_padding_at_the_beginning_is_warned_of(dtype: str) -> None:
    lengths = [5, 2, 4, 3]
    front = [layers.Embedding(9, 3)] if dtype == "int32" else [layers.Dense(3)]
    model = models.Sequential([*front, layers.GRU(2)])
    model.compile("sgd", "mse", backend="reference")
    y = np.zeros((4, 2))
    x = padded_rows("pre", dtype)
    for call in (
        lambda: model.fit(x, y, lengths=lengths, verbose=0),
        lambda: model.evaluate(x, y, lengths=lengths, verbose=0),
        lambda: model.predict(x, lengths=lengths, verbose=0),
        lambda: model.train_on_batch(x, y, lengths=lengths),
        lambda: model.test_on_batch(x, y, lengths=lengths),
        lambda: model.predict_on_batch(x, lengths=lengths),
        lambda: model(x, lengths=lengths),
        lambda: model.fit(iter([(x, y, None, lengths)]), steps_per_epoch=1, verbose=0),
    ):
        with pytest.warns(UserWarning, match=r"x looks padded before its data: .* padding='post'"):
            call()


def test_other_padding_is_not_warned_of() -> None:
    """Warnings are errors here."""
    model = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
    rng = np.random.default_rng(9)
    after, before = padded_rows("post", "float32"), padded_rows("pre", "float32")
    silent = after.copy()
    silent[:, 0] = 0  # begins with zeros, as its padding
    noise = rng.normal(size=after.shape)  # padding that holds anything
    one_row = before.copy()
    one_row[1] = after[1]
    for x, lengths in (
        (after, [5, 2, 4, 3]),
        (silent, [5, 2, 4, 3]),
        (noise, [5, 2, 4, 3]),
        (one_row, [5, 2, 4, 3]),
        (np.zeros((4, 5, 3)), [5, 2, 4, 3]),
        (before, [5, 5, 5, 5]),
        (before, [0, 0, 0, 0]),
        (before, None),
    ):
        model.predict(x, lengths=lengths, verbose=0)
