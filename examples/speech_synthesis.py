"""Speak digits: an LSTM that invents spectrograms frame by frame, made audible.

It learns from the recordings of `speech_recognition.py` in the same folder, and that example's model says whether the
result is understood.

At each step the network is told the digit, the speaker and the frame before, and gives the next log-mel frame and the
probability that it is the last one. While it learns, the frame before is the recorded one, blurred by noise: so it
cannot lean on it and keeps its place in the word in its state, as it must when it later reads its own frames.
The algorithm of Griffin and Lim (1984) finds a sound that has the invented spectrogram.

Run it with ``python examples/speech_synthesis.py --data DIR [--quick] [--epochs 20] [--seed 0]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import speech_recognition
from _common import arguments, figure, save
from _speech import BANDS, griffin_lim, padded, recordings, write_wave
from rnncore import layers, models, optimizers, utils

Array = npt.NDArray[Any]

DIGITS, SPEAKERS = 10, 6
UNITS = 256
LONGEST = 100  # frames
NOISE = 1.0  # spread of what blurs the frame before; that of the features is about one


class Voice:
    """The model to train, and the same with its states as outputs, which speaks step by step."""

    def __init__(self) -> None:
        # Blurred frame before, digit and speaker as one-hot vectors, for each step.
        told = layers.Input((None, BANDS + DIGITS + SPEAKERS))
        before = [layers.Input((UNITS,)) for _ in range(2)]
        read = layers.LSTM(UNITS, return_sequences=True, return_state=True)
        sequence, *after = read(told, initial_state=before)
        frame = layers.Dense(BANDS, name="frame")(sequence)
        last = layers.Dense(1, activation="sigmoid", name="last")(sequence)
        self.model = models.Model([told, *before], [frame, last])
        self.speaker = models.Model([told, *before], [frame, last, *after])


def blurred(frames: Array, digits: Array, speakers: Array, rng: np.random.Generator) -> Array:
    """What the network is told at each step: (N, T, 56) from the frames before (N, T, 40)."""
    noisy = frames + NOISE * rng.standard_normal(frames.shape, np.float32)
    who = np.concatenate([np.eye(DIGITS)[digits], np.eye(SPEAKERS)[speakers]], axis=1)
    repeated = np.repeat(who[:, np.newaxis], frames.shape[1], axis=1)
    return np.concatenate([noisy, repeated], axis=2, dtype=np.float32)


class Recorded(utils.PyDataset):
    """Batches of recordings of at most one second, blurred anew each time they are read."""

    def __init__(self, rows: Sequence[Array], digits: Array, speakers: Array, size: int, seed: int) -> None:
        super().__init__()
        kept = [place for place, row in enumerate(rows) if len(row) <= LONGEST]
        self.rows = [rows[place] for place in kept]
        self.digits, self.speakers = digits[kept], speakers[kept]
        self.size, self.rng = size, np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Shuffle."""
        self.order = self.rng.permutation(len(self.rows))

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __getitem__(self, index: int) -> tuple[list[Array], list[Array], None, Array]:
        chosen = self.order[index * self.size :][: self.size]
        frames, lengths = padded([self.rows[place] for place in chosen], LONGEST)
        before = np.concatenate([np.zeros_like(frames[:, :1]), frames[:, :-1]], axis=1)
        last = (np.arange(LONGEST) == lengths[:, np.newaxis] - 1).astype(np.float32)
        none = np.zeros((len(chosen), UNITS), np.float32)
        told = blurred(before, self.digits[chosen], self.speakers[chosen], self.rng)
        return [told, none, none], [frames, last], None, lengths


def train(
    voice: Voice,
    rows: Sequence[Array],
    digits: Array,
    speakers: Array,
    epochs: int = 20,
    seed: int = 0,
    verbose: int = 1,
) -> None:
    """Fit to the recordings, with a learning rate that falls to zero."""
    data = Recorded(rows, digits, speakers, 32, seed)
    rate = optimizers.schedules.CosineDecay(2e-3, decay_steps=epochs * len(data))
    losses = {"frame": "mean_squared_error", "last": "binary_crossentropy"}
    voice.model.compile(optimizers.Adam(rate, global_clipnorm=1.0), losses)
    voice.model.fit(data, epochs=epochs, verbose=verbose)


def speak(voice: Voice, digits: Array, speakers: Array, seed: int = 0) -> list[Array]:
    """Invent log-mel frames (T, 40) for each digit, with the voice of each speaker."""
    rng = np.random.default_rng(seed)
    frame, frames = np.zeros((len(digits), 1, BANDS), np.float32), []
    states = [np.zeros((len(digits), UNITS), np.float32) for _ in range(2)]
    speaking, lengths = np.ones(len(digits)), np.full(len(digits), LONGEST)
    for step in range(LONGEST):
        frame, last, *states = voice.speaker.forward([blurred(frame, digits, speakers, rng), *states])
        frames.append(frame[:, 0])
        speaking *= 1 - last[:, 0, 0]  # the probability that the word still goes on
        lengths[(speaking < 0.5) & (lengths == LONGEST)] = step + 1
    return [row[:length] for row, length in zip(np.stack(frames, axis=1), lengths, strict=True)]


def audible(rows: Sequence[Array]) -> list[Array]:
    """The samples of each spectrogram, the loudest at 1."""
    waves = [griffin_lim(speech_recognition.energies(row)) for row in rows]
    return [samples / np.abs(samples).max() for samples in waves]


def draw(spoken: Sequence[Array], recorded: Sequence[Array], file: Path) -> None:
    """Draw the spectrograms of the ten digits, invented above recorded."""
    picture = figure(figsize=(12, 4))
    if picture is None:
        return
    axes = picture.subplots(2, DIGITS, sharey=True)
    for line, (rows, title) in enumerate(((spoken, "invented"), (recorded, "recorded"))):
        axes[line, 0].set_ylabel(f"{title}: mel band")
        for digit, row in enumerate(rows):
            axes[line, digit].imshow(row.T, origin="lower", aspect="auto", vmin=-2.4, vmax=2.4)
            axes[line, digit].set_title(str(digit))
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train a listener and a voice; let the one judge the other."""
    options = arguments(__doc__ or "", given, epochs=20, quick=6, data="fsdd/recordings")
    utils.set_random_seed(options.seed)
    waves, digits, speakers, names = recordings(options.data / "fsdd" / "recordings", range(10, 50))
    if options.quick:
        waves, digits, speakers = waves[::2], digits[::2], speakers[::2]
    rows = speech_recognition.features(waves)
    listener = speech_recognition.build_model()
    speech_recognition.train(listener, rows, digits, 4 if options.quick else 15, options.verbose)
    voice = Voice()
    train(voice, rows, digits, speakers, options.epochs, options.seed, options.verbose)

    wanted, who = np.tile(np.arange(DIGITS), 10), np.repeat(np.arange(10) % SPEAKERS, DIGITS)
    sounds = audible(speak(voice, wanted, who, options.seed))
    heard = speech_recognition.recognise(listener, speech_recognition.features(sounds))
    understood = float(np.mean(heard == wanted))
    print(f"Understood by the recogniser: {understood:.0%} of {len(wanted)} spoken digits")
    for digit, speaker, samples in zip(wanted, who, sounds, strict=True):
        write_wave(options.output / f"{digit}_{names[speaker]}.wav", samples)
    print(f"Written to {options.output / '{digit}_{speaker}.wav'}.")
    recorded = [rows[np.flatnonzero((digits == digit) & (speakers == 0))[0]] for digit in range(DIGITS)]
    draw(speech_recognition.features(sounds[:DIGITS]), recorded, options.output / "speech_synthesis.png")
    return {"understood": understood}


if __name__ == "__main__":
    main()
