"""The textbook network in three calls: add two binary numbers, bit by bit.

At each step the network reads one bit of each number, lowest bit first, and gives the probability that the bit of
the sum is 1. The carry is nowhere in the input: the hidden state has to keep it.

Run it with ``python examples/rnn_from_scratch.py [--quick]``.
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt

from rnncore import RNNModel, predict, train
from rnncore.utils import set_random_seed

BITS = 8


def additions(count: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Random additions: x (count, BITS, 2) holds the bits of both numbers, y (count, BITS, 1) those of the sum."""
    a, b = rng.integers(0, 2 ** (BITS - 1), size=(2, count))
    place = np.arange(BITS)
    a_bits, b_bits, sum_bits = (n[:, np.newaxis] >> place & 1 for n in (a, b, a + b))
    return np.stack([a_bits, b_bits], axis=-1).astype(np.float32), sum_bits[..., np.newaxis].astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn binary addition.")
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    epochs = 100 if parser.parse_args().quick else 200

    set_random_seed(1)
    rng = np.random.default_rng(1)
    x, y = additions(1000, rng)
    model = RNNModel(n_input=2, n_hidden=16, n_output=1)
    train(model, x, y, learning_rate=0.03, epochs=epochs)

    x_new, y_new = additions(500, rng)
    right = (predict(model, x_new) > 0.5) == (y_new > 0.5)
    print(f"bits right: {right.mean():.1%}; sums right: {right.all(axis=(1, 2)).mean():.1%}")


if __name__ == "__main__":
    main()
