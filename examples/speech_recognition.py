"""Recognise spoken digits.

The recordings are those of the Free Spoken Digit Dataset (Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0): six
speakers, 8 kHz, files ``{digit}_{speaker}_{index}.wav``. Of each speaker and digit the indices 5 to 9 are held back.

Every 10 ms of sound becomes the logarithm of its energy in 40 mel bands. Five frames at a time
are brought to 64 features, an LSTM reads these from both ends, and its last states name the digit.

Run it with ``python examples/speech_recognition.py --data DIR [--quick] [--epochs 15] [--seed 0]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure, save
from _speech import BANDS, log_mel, padded, recordings
from rnncore import layers, models, optimizers, utils

Array = npt.NDArray[Any]

DIGITS = 10
CONTEXT = 5  # frames that are looked at together
MEAN, SPREAD = -1.0, 3.5  # of log-mel features of speech, about


def features(waves: Sequence[Array]) -> list[Array]:
    """Log-mel frames (T, 40) of each recording, scaled by what is usual for such recordings."""
    return [(log_mel(samples) - MEAN) / SPREAD for samples in waves]


def energies(row: Array) -> Array:
    """Undo the scaling of `features`."""
    return row * SPREAD + MEAN


def in_context(rows: Sequence[Array]) -> list[Array]:
    """Each frame beside its neighbours, zeros beyond the ends: (T, 200)."""
    outside = CONTEXT // 2
    edged = (np.pad(row, ((outside, outside), (0, 0))) for row in rows)
    views = (np.lib.stride_tricks.sliding_window_view(row, CONTEXT, axis=0) for row in edged)  # (T, 40, 5)
    return [view.transpose(0, 2, 1).reshape(len(view), -1) for view in views]


def build_model() -> models.Model:
    """Frames with their neighbours (N, T, 200) to the probabilities of the ten digits."""
    return models.Sequential(
        [
            layers.Input((None, CONTEXT * BANDS)),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Bidirectional(layers.LSTM(96)),
            layers.Dropout(0.3),
            layers.Dense(DIGITS, activation="softmax"),
        ]
    )


def train(model: models.Model, rows: Sequence[Array], digits: Array, epochs: int = 15, verbose: int = 1) -> None:
    """Fit, with a learning rate that falls to zero."""
    frames, lengths = padded(in_context(rows))
    rate = optimizers.schedules.CosineDecay(3e-3, decay_steps=epochs * -(-len(rows) // 32))
    model.compile(optimizers.Adam(rate, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(frames, digits, batch_size=32, epochs=epochs, lengths=lengths, verbose=verbose)


def recognise(model: models.Model, rows: Sequence[Array]) -> Array:
    """The digit of each recording."""
    frames, lengths = padded(in_context(rows))
    digits: Array = np.argmax(model.predict(frames, lengths=lengths, batch_size=64, verbose=0), axis=1)
    return digits


def evaluate(model: models.Model, rows: Sequence[Array], digits: Array) -> float:
    """The share of recordings that are named right."""
    return float(np.mean(recognise(model, rows) == digits))


def draw(rows: Sequence[Array], said: Array, heard: Array, file: Path) -> None:
    """Draw spectrograms, what was said and what was understood."""
    picture = figure(figsize=(12, 3))
    if picture is None:
        return
    for place, (row, wanted, found) in enumerate(zip(rows, said, heard, strict=True)):
        axes = picture.add_subplot(1, len(rows), place + 1, title=f"{wanted}, heard {found}", xlabel="frame")
        axes.imshow(row.T, origin="lower", aspect="auto")
    picture.axes[0].set_ylabel("mel band")
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train and measure on the recordings held back."""
    options = arguments(__doc__ or "", given, epochs=15, quick=5, data="fsdd/recordings")
    utils.set_random_seed(options.seed)
    folder = options.data / "fsdd" / "recordings"
    waves, digits, *_ = recordings(folder, range(10, 25 if options.quick else 50))
    held_waves, held_digits, *_ = recordings(folder, range(5, 10))
    rows, held_rows = features(waves), features(held_waves)

    model = build_model()
    train(model, rows, digits, options.epochs, options.verbose)
    heard = recognise(model, held_rows)
    accuracy = float(np.mean(heard == held_digits))
    print(f"Named right of {len(held_digits)} recordings held back: {accuracy:.1%}")
    chosen = np.linspace(0, len(heard) - 1, 8, dtype=int)
    draw([held_rows[i] for i in chosen], held_digits[chosen], heard[chosen], options.output / "speech_recognition.png")
    return {"accuracy": accuracy}


if __name__ == "__main__":
    main()
