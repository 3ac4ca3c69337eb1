"""Recognise spoken digits, one at a time and in a row.

The recordings are those of the Free Spoken Digit Dataset (Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0): six
speakers, 8 kHz, files ``{digit}_{speaker}_{index}.wav``. Of each speaker and digit the indices 5 to 9 are held back.

Every 10 ms of sound becomes the logarithm of its energy in 40 mel bands. A convolution looks at
five frames at a time, an LSTM reads from both ends, and its last states name the digit.

The second model hears several digits of a speaker one after the other and writes all of them, without being told where
one begins: it gives the probability of each digit, or of none, at each frame, and learns by the CTC loss (Graves et al.
2006).

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
from rnncore import decoding, layers, losses, models, optimizers, utils

Array = npt.NDArray[Any]

DIGITS = 10
MEAN, SPREAD = -1.0, 3.5  # of log-mel features of speech, about


def features(waves: Sequence[Array]) -> list[Array]:
    """Log-mel frames (T, 40) of each recording, scaled by what is usual for such recordings."""
    return [(log_mel(samples) - MEAN) / SPREAD for samples in waves]


def energies(row: Array) -> Array:
    """Undo the scaling of `features`."""
    return row * SPREAD + MEAN


def build_model() -> models.Model:
    """Frames (N, T, 40) to the probabilities of the ten digits."""
    return models.Sequential(
        [
            layers.Input((None, BANDS)),
            layers.Conv1D(64, 5, padding="same", activation="relu"),
            layers.Dropout(0.3),
            layers.Bidirectional(layers.LSTM(96)),
            layers.Dropout(0.3),
            layers.Dense(DIGITS, activation="softmax"),
        ]
    )


def train(model: models.Model, rows: Sequence[Array], digits: Array, epochs: int = 15, verbose: int = 1) -> None:
    """Fit, with a learning rate that falls to zero."""
    frames, lengths = padded(rows)
    rate = optimizers.schedules.CosineDecay(3e-3, decay_steps=epochs * -(-len(rows) // 32))
    model.compile(optimizers.Adam(rate, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(frames, digits, batch_size=32, epochs=epochs, lengths=lengths, verbose=verbose)


def recognise(model: models.Model, rows: Sequence[Array]) -> Array:
    """The digit of each recording."""
    frames, lengths = padded(rows)
    digits: Array = np.argmax(model.predict(frames, lengths=lengths, batch_size=64, verbose=0), axis=1)
    return digits


def evaluate(model: models.Model, rows: Sequence[Array], digits: Array) -> float:
    """The share of recordings that are named right."""
    return float(np.mean(recognise(model, rows) == digits))


def strings(
    rows: Sequence[Array], digits: Array, speakers: Array, count: int, seed: int = 0
) -> tuple[list[Array], list[Array]]:
    """Recordings of two to five digits by one speaker, one after the other, and what was said."""
    rng = np.random.default_rng(seed)
    heard, said = [], []
    for speaker in rng.choice(np.unique(speakers), count):
        chosen = rng.choice(np.flatnonzero(speakers == speaker), rng.integers(2, 6))
        heard.append(np.concatenate([rows[i] for i in chosen]))
        said.append(digits[chosen])
    return heard, said


def build_transcriber() -> models.Model:
    """Frames (N, T, 40) to logits (N, T, 11) of no label, id 0, and the digits, ids 1 to 10."""
    return models.Sequential(
        [
            layers.Input((None, BANDS)),
            layers.Conv1D(64, 5, padding="same", activation="relu"),
            layers.Dropout(0.3),
            layers.Bidirectional(layers.LSTM(96, return_sequences=True)),
            layers.Dropout(0.3),
            layers.Dense(1 + DIGITS),
        ]
    )


def train_transcriber(
    model: models.Model,
    heard: Sequence[Array],
    said: Sequence[Array],
    epochs: int = 15,
    verbose: int = 1,
    batch_size: int = 16,
) -> None:
    """Fit by the CTC loss, which sums over all ways to place the labels in time."""
    frames, lengths = padded(heard)
    labels, _ = padded([digits + 1 for digits in said])  # zeros behind the labels are no labels
    rate = optimizers.schedules.CosineDecay(3e-3, decay_steps=epochs * -(-len(heard) // batch_size))
    model.compile(optimizers.Adam(rate, global_clipnorm=1.0), losses.CTC())
    model.fit(frames, labels, batch_size=batch_size, epochs=epochs, lengths=lengths, verbose=verbose)


def transcribe(model: models.Model, heard: Sequence[Array]) -> list[Array]:
    """The digits of each recording: the best label of each frame, repetitions joined."""
    frames, lengths = padded(heard)
    logits = model.predict(frames, lengths=lengths, batch_size=64, verbose=0)
    return [transcript.labels - 1 for transcript in decoding.ctc_greedy(logits, lengths)]


def label_error_rate(found: Sequence[Sequence[int]], said: Sequence[Sequence[int]]) -> float:
    """Insertions, deletions and replacements that turn what was found into what was said, for each label said.

    Examples
    --------
    >>> label_error_rate([[1, 2, 3]], [[2, 3, 3, 4]])  # without 1, with 3 and 4
    0.75
    """
    return sum(map(distance, found, said)) / sum(map(len, said))


def distance(a: Sequence[int], b: Sequence[int]) -> int:
    """The fewest insertions, deletions and replacements from `a` to `b` (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, label in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (label != other))
    return row[-1]


def draw(rows: Sequence[Array], logits: Array, said: Sequence[Array], file: Path) -> None:
    """Draw what was heard, and the probability of each digit over time."""
    picture = figure(figsize=(11, 5))
    if picture is None:
        return
    axes = picture.subplots(2, len(rows), sharex="col", squeeze=False)
    for place, (row, scores, digits) in enumerate(zip(rows, logits, said, strict=True)):
        p = np.exp(scores[: len(row)] - scores[: len(row)].max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        axes[0, place].imshow(row.T, origin="lower", aspect="auto")
        axes[0, place].set_title("said: " + " ".join(map(str, digits)))
        for digit in np.unique(digits):
            axes[1, place].plot(p[:, 1 + digit], label=str(digit))
        axes[1, place].legend()
        axes[1, place].set_xlabel("frame")
    axes[0, 0].set_ylabel("mel band")
    axes[1, 0].set_ylabel("probability")
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train both models and measure them on the recordings held back."""
    options = arguments(__doc__ or "", given, epochs=15, quick=5, data="fsdd/recordings")
    utils.set_random_seed(options.seed)
    folder = options.data / "fsdd" / "recordings"
    waves, digits, speakers, _ = recordings(folder, range(10, 25 if options.quick else 50))
    held_waves, held_digits, held_speakers, _ = recordings(folder, range(5, 10))
    rows, held_rows = features(waves), features(held_waves)

    model = build_model()
    train(model, rows, digits, options.epochs, options.verbose)
    accuracy = evaluate(model, held_rows, held_digits)
    print(f"Named right of {len(held_digits)} recordings held back: {accuracy:.1%}")

    transcriber = build_transcriber()
    count, batch_size, epochs = (400, 8, 2 * options.epochs) if options.quick else (2000, 16, options.epochs)
    heard, said = strings(rows, digits, speakers, count, options.seed)
    train_transcriber(transcriber, heard, said, epochs, options.verbose, batch_size)
    held_heard, held_said = strings(held_rows, held_digits, held_speakers, 200)
    found = transcribe(transcriber, held_heard)
    errors = label_error_rate([list(row) for row in found], [list(row) for row in held_said])
    print(f"Label error rate of {len(held_said)} strings of two to five digits: {errors:.1%}")
    for digits_found, digits_said in list(zip(found, held_said, strict=True))[:5]:
        print(f"  said {' '.join(map(str, digits_said)):<10} understood {' '.join(map(str, digits_found))}")
    frames, lengths = padded(held_heard[:3])
    logits = transcriber.predict(frames, lengths=lengths, verbose=0)
    draw(held_heard[:3], logits, held_said[:3], options.output / "speech_recognition.png")
    return {"accuracy": accuracy, "label error rate": errors}


if __name__ == "__main__":
    main()
