"""Recordings as log-mel spectrograms, and back to sound: what the two examples on spoken digits share."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RATE = 8000  # samples a second
WINDOW, HOP, FFT = 200, 80, 256  # samples: frames of 25 ms, one every 10 ms
BANDS = 40
FLOOR = 1e-4  # added to the energy of a band; the loudest sample of a recording is 1


def recordings(folder: Path, indices: Iterable[int]) -> tuple[list[Array], Array, Array, list[str]]:
    """Waves, digits (N,) and speakers (N,) of the files ``{digit}_{speaker}_{index}.wav``, and the speakers' names."""
    files = sorted(folder.glob("*_*_*.wav"))
    if not files:
        raise SystemExit(f"there are no recordings in {folder}")
    names, wanted = sorted({file.stem.split("_")[1] for file in files}), set(indices)
    files = [file for file in files if int(file.stem.split("_")[2]) in wanted]
    digits = np.array([int(file.stem.split("_")[0]) for file in files], np.int32)
    speakers = np.array([names.index(file.stem.split("_")[1]) for file in files], np.int32)
    return [read_wave(file) for file in files], digits, speakers, names


def read_wave(file: Path) -> Array:
    """Samples of a mono file of 16 bits and 8 kHz, scaled so that the loudest is 1."""
    with wave.open(str(file)) as sound:
        if (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) != (RATE, 2, 1):
            raise ValueError(f"{file} must be mono, 16 bits, {RATE} Hz, got {sound.getparams()}")
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32)
    return samples / max(1.0, float(np.abs(samples).max()))


def write_wave(file: Path, samples: Array) -> None:
    """Write samples as a mono file of 16 bits, the loudest at 0.9."""
    scaled = np.asarray(samples) * (0.9 * 32767 / max(1e-9, float(np.abs(samples).max())))
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(scaled.astype("<i2").tobytes())


def transform(samples: Array) -> Array:
    """Short-time Fourier transform: (frames, FFT // 2 + 1), complex."""
    padded = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return np.fft.rfft(frames * np.hanning(WINDOW), FFT)


def inverse(spectrum: Array) -> Array:
    """The sound whose short-time Fourier transform comes closest (Griffin and Lim 1984, equation 6)."""
    frames = np.fft.irfft(spectrum, FFT)[:, :WINDOW] * np.hanning(WINDOW)
    samples, weight = np.zeros((2, HOP * (len(frames) - 1) + WINDOW))
    for place, frame in zip(range(0, len(samples), HOP), frames, strict=False):
        samples[place : place + WINDOW] += frame
        weight[place : place + WINDOW] += np.hanning(WINDOW) ** 2
    return samples / np.maximum(weight, 1e-3)


def mel_filters() -> Array:
    """Triangles of equal width on the mel scale, 2595·log10(1 + f / 700): (FFT // 2 + 1, BANDS)."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1) / RATE * FFT  # in bins
    bins = np.arange(FFT // 2 + 1)[:, np.newaxis]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    return np.maximum(0, np.minimum(rising, falling))


def log_mel(samples: Array) -> Array:
    """Logarithm of the energy in mel bands: (frames, BANDS)."""
    return np.log(np.abs(transform(samples)) ** 2 @ mel_filters() + FLOOR).astype(np.float32)


def griffin_lim(features: Array, rounds: int = 60, seed: int = 0) -> Array:
    """A sound for log-mel features (frames, BANDS): least-squares magnitudes, then phases that fit each other."""
    energy = np.maximum(0, np.exp(features.astype(np.float64)) - FLOOR) @ np.linalg.pinv(mel_filters())
    magnitude = np.sqrt(np.maximum(energy, 0))
    phase = np.exp(2j * np.pi * np.random.default_rng(seed).random(magnitude.shape))
    for _ in range(rounds):
        phase = transform(inverse(magnitude * phase))
        phase /= np.maximum(np.abs(phase), 1e-9)
    return inverse(magnitude * phase)


def padded(rows: Sequence[Array], steps: int | None = None) -> tuple[Array, Array]:
    """Sequences (T, ...) of any length as one array (N, T, ...), zeros behind each, and their lengths (N,)."""
    lengths = np.array([len(row) for row in rows], np.int32)
    array = np.zeros((len(rows), steps or int(lengths.max()), *rows[0].shape[1:]), rows[0].dtype)
    for place, row in zip(array, rows, strict=True):
        place[: len(row)] = row
    return array, lengths
