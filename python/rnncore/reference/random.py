"""Counter-based random numbers: Philox-4x32-10.

J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC (2011). A number depends on its
place (seed, step, node, element) alone, so any executor and any thread draws the same.
"""

from __future__ import annotations

import numpy as np

from .._sequence_arguments import Array

__all__ = ["normal", "philox", "uniform"]

ROUNDS = 10
MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
LOW = np.uint64(0xFFFFFFFF)
ARRAY_BITS = 48
SHIFT = np.uint64(32)


def philox(counter: Array, key: Array) -> Array:
    """Random words (n, 4) of counter (n, 4) and key (2,); all hold 32-bit words in uint64."""
    c0, c1, c2, c3 = counter.T
    for _ in range(ROUNDS):
        product0 = MULTIPLIERS[0] * c0  # 32 x 32 -> 64 bits
        product1 = MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> SHIFT) ^ c1 ^ key[0],
            product1 & LOW,
            (product0 >> SHIFT) ^ c3 ^ key[1],
            product0 & LOW,
        )
        key = (key + WEYL) & LOW
    return np.stack([c0, c1, c2, c3], axis=1)


def uniform(size: int, seed: int, step: int, node: int, array: int = 0) -> Array:
    """`size` numbers (size,) in [0, 1), multiples of 2**-24; element e is word e % 4 of block e // 4.

    A node that draws several arrays numbers them; number k begins with block k * 2**48.
    """
    block = np.arange((size + 3) // 4, dtype=np.uint64) + np.uint64(array << ARRAY_BITS)
    counter = np.stack(
        [block & LOW, block >> SHIFT, np.full_like(block, step), np.full_like(block, node)],
        axis=1,
    )
    key = np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF], np.uint64)
    words = philox(counter, key).reshape(-1)[:size]
    numbers: Array = (words >> np.uint64(8)) * 2.0**-24
    return numbers


def normal(size: int, seed: int, step: int, node: int) -> Array:
    """`size` normal numbers (size,) by Box and Muller (1958): elements 2k and 2k + 1 come of the uniform ones there."""
    pairs = uniform(size + size % 2, seed, step, node).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log(pairs[:, 0] + 2.0**-24))  # of a number from above 0 to 1
    angle = 2 * np.pi * pairs[:, 1]
    numbers: Array = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:size]
    return numbers
