"""A Keras program with only its import lines changed, what it can learn, and what it cannot.

The first model sees one value of a sine and is asked for the cosine at the same moment. Its mean squared error
stops near 0.498, however long it trains: each sine value belongs to a rising and to a falling moment, whose
cosines differ in sign only, so the best answer is their mean, zero, and the error left is the mean square of the
cosine. The second model sees the last ten values, hence the direction, and learns the cosine.

Run it with ``python examples/keras_sine_to_cosine.py [--quick]``.
"""

from __future__ import annotations

import argparse

import numpy as np

from rnncore.layers import Dense, SimpleRNN  # from keras.layers import Dense, SimpleRNN
from rnncore.models import Sequential  # from keras.models import Sequential


def one_step(epochs: int) -> float:
    """Ask for the cosine from one sine value; return the last loss."""
    t = np.linspace(0, 100, 1000)
    X = np.sin(t).reshape(-1, 1)  # (N, 1): a time axis of one step is what the model adds
    y = np.cos(t)

    model = Sequential([SimpleRNN(10, input_shape=(1, 1)), Dense(1)])
    model.compile(optimizer="rmsprop", loss="mse")
    history = model.fit(X, y, epochs=epochs, verbose=0)
    return float(history.history["loss"][-1])


def windowed(epochs: int, steps: int = 10) -> float:
    """Ask for the cosine from the last `steps` sine values; return the last loss."""
    t = np.linspace(0, 100, 1000)
    X = np.lib.stride_tricks.sliding_window_view(np.sin(t), steps)[..., np.newaxis]  # (N, steps, 1)
    y = np.cos(t)[steps - 1 :]

    model = Sequential([SimpleRNN(10, input_shape=(steps, 1)), Dense(1)])
    model.compile(optimizer="rmsprop", loss="mse")
    history = model.fit(X, y, epochs=epochs, verbose=0)
    return float(history.history["loss"][-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="From sine to cosine, with and without a past.")
    parser.add_argument("--quick", action="store_true", help="100 epochs in place of 500")
    epochs = 100 if parser.parse_args().quick else 500
    print(f"one sine value:    mean squared error {one_step(epochs):.3f}")
    print(f"ten sine values:   mean squared error {windowed(epochs):.6f}")


if __name__ == "__main__":
    main()
