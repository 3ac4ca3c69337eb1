"""The random numbers both executors draw, against the values its authors publish."""

from __future__ import annotations

import numpy as np
import pytest

from rnncore.reference.random import philox, uniform

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ONES, ONES, ONES, ONES], [ONES, ONES], [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers(counter: list[int], key: list[int], words: list[int]) -> None:
    drawn = philox(np.array([counter], np.uint64), np.array(key, np.uint64))
    np.testing.assert_array_equal(drawn[0], words)


def test_uniform_is_a_function_of_its_place() -> None:
    drawn = uniform(11, seed=5, step=3, node=2)
    np.testing.assert_array_equal(uniform(6, seed=5, step=3, node=2), drawn[:6])
    words = philox(np.array([[1, 0, 3, 2]], np.uint64), np.array([5, 0], np.uint64))[0]
    np.testing.assert_array_equal(drawn[4:8], (words >> np.uint64(8)) / 2**24)
    for other in (uniform(11, 6, 3, 2), uniform(11, 5 + 2**32, 3, 2), uniform(11, 5, 4, 2), uniform(11, 5, 3, 1)):
        assert not np.any(other == drawn)


def test_uniform_is_uniform() -> None:
    drawn = uniform(100_000, seed=1, step=0, node=0)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.bincount((drawn * 20).astype(int), minlength=20)
    assert np.sum((counts - 5000) ** 2 / 5000) < 43.8  # chi-squared, 19 degrees of freedom, p = 0.001
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01
    np.testing.assert_array_equal(drawn.astype(np.float32), drawn)
