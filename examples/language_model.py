"""Learn to write like Shakespeare, one character after the other.

The text is the beginning of ``input.txt`` of the repository karpathy/char-rnn (``data/tinyshakespeare``); its last
tenth is held back. What the model achieves is stated in bits per character: log2 of how many equally likely
characters it hesitates between.

The text is cut into 64 streams that are read side by side, 100 characters a step. Two LSTM layers of 256 units go on
from the states that the step before left behind: the states are inputs and outputs of the model, and the loop in
`train` hands them on. Gradients stop at the borders of a step (truncated back-propagation through time).

Run it with ``python examples/language_model.py --data DIR [--quick] [--epochs 15] [--seed 0]``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure, save
from rnncore import layers, models, optimizers, utils

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


def build_model(characters: int, dropout: float = 0.0, units: int = UNITS) -> models.Model:
    """Characters (N, T) and four states (N, H) to logits (N, T, V) and the states after them."""
    x = layers.Input((None,), dtype="int32")
    states = [layers.Input((units,)) for _ in range(4)]
    y, kept = layers.Embedding(characters, 64)(x), []
    for initial in (states[:2], states[2:]):
        y, *final = layers.LSTM(units, return_sequences=True, return_state=True)(y, initial_state=initial)
        y = layers.Dropout(dropout)(y)
        kept += final
    return models.Model([x, *states], [layers.Dense(characters)(y), *kept])


def no_states(model: models.Model, rows: int) -> list[Array]:
    """The states before the first character."""
    units = [layer.units for layer in model.layers if isinstance(layer, layers.LSTM)]
    return [np.zeros((rows, width), np.float32) for width in units for _ in ("h", "c")]


def windows(text: Array, streams: int, steps: int) -> Iterator[tuple[Array, Array]]:
    """The text as parallel streams, window after window: characters (N, T) and those after each."""
    length = (len(text) - 1) // streams
    read, following = (text[first : first + streams * length].reshape(streams, length) for first in (0, 1))
    for start in range(0, length - steps + 1, steps):
        yield read[:, start : start + steps], following[:, start : start + steps]


def cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    """Mean cross-entropy in bits, and its gradient in nats for the logits."""
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    chosen = np.take_along_axis(p, targets[..., np.newaxis], axis=-1)
    np.put_along_axis(p, targets[..., np.newaxis], chosen - 1, axis=-1)
    return -float(np.log2(chosen).mean()), p / targets.size


def train(model: models.Model, text: Array, epochs: int = 15, verbose: int = 1, streams: int = STREAMS) -> list[float]:
    """Read the text `epochs` times, with a learning rate that falls to zero; bits per character of each epoch."""
    batches = list(windows(text, streams, STEPS))
    rate = optimizers.schedules.CosineDecay(4e-3, decay_steps=epochs * len(batches))
    model.compile(optimizers.Adam(rate, global_clipnorm=5.0))
    history, start = [], time.perf_counter()
    for epoch in range(epochs):
        states, bits = no_states(model, streams), []
        for done, (read, following) in enumerate(batches, start=1):
            logits, *states = model.forward([read, *states], training=True)
            loss, gradient = cross_entropy(logits, following)
            model.backward([gradient, None, None, None, None])
            model.apply_gradients()
            bits.append(loss)
            if verbose == 1 and done % 10 == 0:
                print(f"\repoch {epoch + 1}/{epochs}, {done / len(batches):4.0%}: {np.mean(bits):.3f}", end="")
        history.append(float(np.mean(bits)))
        if verbose:
            passed = time.perf_counter() - start
            print(f"\repoch {epoch + 1}/{epochs}, {passed:.0f} s: {history[-1]:.3f} bits per character")
    return history


def evaluate(model: models.Model, text: Array) -> float:
    """Bits per character of a text that is read from its beginning in twenty streams."""
    states, bits = no_states(model, 20), []
    for read, following in windows(text, 20, min(500, (len(text) - 1) // 20)):
        logits, *states = model.forward([read, *states])
        bits.append(cross_entropy(logits, following)[0])
    return float(np.mean(bits))


def sample(model: models.Model, characters: str, start: str, length: int, temperature: float, seed: int = 0) -> str:
    """Write on from `start`. A low temperature prefers likely characters, 1 draws as the model believes."""
    rng = np.random.default_rng(seed)
    states, written, read = no_states(model, 1), start, start
    for _ in range(length):
        logits, *states = model.forward([encode(read, characters)[np.newaxis], *states])
        scaled = logits[0, -1].astype(np.float64) / temperature
        p = np.exp(scaled - scaled.max())
        read = characters[rng.choice(len(characters), p=p / p.sum())]
        written += read
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
