"""Learn to write like Shakespeare, one character after the other.

The text is the beginning of ``input.txt`` of the repository karpathy/char-rnn (``data/tinyshakespeare``); its last
tenth is held back. What the model achieves is stated in bits per character: log2 of how many equally likely
characters it hesitates between.

The text is cut into 64 streams that are read side by side, 100 characters a step. Two LSTM layers of 256 units go on
from the states that the step before left behind; gradients stop at the borders of a step (truncated back-propagation
through time).

With dropout, 15 epochs of 12 s on two cores reach 2.10 bits per character on the text held back; six epochs without it,
as `benchmarks/tasks` trains it beside PyTorch, reach 2.16.

Run it with ``python examples/language_model.py --data DIR [--quick] [--epochs 15] [--seed 0]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure, save
from rnncore import initializers, layers, losses, models, optimizers, utils

Array = npt.NDArray[Any]

UNITS = 256
STREAMS, STEPS = 64, 100  # rows and columns of a training step


def load(file: Path) -> str:
    """The text."""
    if not file.exists():
        raise SystemExit(f"there is no {file}")
    return file.read_text(encoding="utf-8")


def split(text: str) -> tuple[str, str]:
    """The first nine tenths, and the last."""
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def encode(text: str, characters: str) -> Array:
    """The place of each character among `characters`; that of a space for those not among them."""
    places = {character: place for place, character in enumerate(characters)}
    return np.array([places.get(character, places[" "]) for character in text], np.int32)


def build_model(characters: int, dropout: float = 0.0, units: int = UNITS) -> models.Sequential:
    """Characters (N, T) to the logits (N, T, V) of those that follow."""
    return models.Sequential(
        [
            layers.Input((None,), dtype="int32"),
            # Keras's usual values, within ±0.05, cost 0.1 bits after six epochs.
            layers.Embedding(characters, 64, embeddings_initializer=initializers.RandomNormal(stddev=1.0)),
            layers.LSTM(units, return_sequences=True),
            layers.Dropout(dropout),
            layers.LSTM(units, return_sequences=True),
            layers.Dropout(dropout),
            layers.Dense(characters),
        ]
    )


def in_streams(text: Array, count: int) -> tuple[Array, Array]:
    """The text as parallel streams of characters (N, T), and the character after each."""
    length = (len(text) - 1) // count
    read, following = (text[first : first + count * length].reshape(count, length) for first in (0, 1))
    return read, following


def train(model: models.Model, text: Array, epochs: int = 15, verbose: int = 1, streams: int = STREAMS) -> list[float]:
    """Read the text `epochs` times, with a learning rate that falls to zero; bits per character of each epoch."""
    read, following = in_streams(text, streams)
    rate = optimizers.schedules.CosineDecay(4e-3, decay_steps=epochs * -(-read.shape[1] // STEPS))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(rate, global_clipnorm=5.0), loss)
    history = model.fit(
        read, following, batch_size=streams, shuffle=False, truncate=STEPS, epochs=epochs, verbose=verbose
    )
    return [nats / math.log(2) for nats in history.history["loss"]]


def evaluate(model: models.Model, text: Array) -> float:
    """Bits per character of a text that is read from its beginning in twenty streams."""
    nats = np.asarray(model.evaluate(*in_streams(text, 20), verbose=0))
    return float(nats) / math.log(2)


def sample(model: models.Model, characters: str, start: str, length: int, temperature: float, seed: int = 0) -> str:
    """Write on from `start`. A low temperature prefers likely characters, 1 draws as the model believes."""
    rng = np.random.default_rng(seed)
    stream, written = model.stream(), start
    for character in encode(start, characters):
        logits = stream.step([character])
    for _ in range(length):
        scaled = logits[0].astype(np.float64) / temperature
        p = np.exp(scaled - scaled.max())
        chosen = rng.choice(len(characters), p=p / p.sum())
        written += characters[chosen]
        logits = stream.step([chosen])
    return written


def draw(history: list[float], held: float, file: Path) -> None:
    """Draw the bits per character of the epochs."""
    picture = figure()
    if picture is None:
        return
    axes = picture.add_subplot(xlabel="epoch", ylabel="bits per character")
    axes.plot(np.arange(1, len(history) + 1), history, "o-", label="while training")
    axes.axhline(held, color="gray", linestyle="--", label="text held back")
    axes.legend()
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure on the end of the text, and write."""
    options = arguments(__doc__ or "", given, epochs=15, quick=5, data="tinyshakespeare/input.txt")
    utils.set_random_seed(options.seed)
    training, held = split(load(options.data / "tinyshakespeare" / "input.txt"))
    if options.quick:
        training, held = training[:100_000], held[:20_000]
    characters = "".join(sorted(set(training)))
    units, streams = (128, 8) if options.quick else (UNITS, STREAMS)
    model = build_model(len(characters), 0.25, units)
    history = train(model, encode(training, characters), options.epochs, options.verbose, streams)
    bits = evaluate(model, encode(held, characters))
    print(f"Text held back: {bits:.3f} bits per character, {math.log2(len(characters)):.3f} if all were equally likely")
    for temperature in (0.5, 1.0):
        print(f"--- written at temperature {temperature}")
        print(sample(model, characters, "ROMEO:\n", 300, temperature, options.seed))
    draw(history, bits, options.output / "language_model.png")
    return {"bits": bits}


if __name__ == "__main__":
    main()
