"""Tell where somebody speaks in a recording, chunk by chunk, with the network of the package silero-vad (MIT licence).

The package is a file, never imported: ``pip download --no-deps silero-vad==6.2.3`` fetches it. Its network, four
convolutions over a short-time Fourier transform and an LSTM, is an ONNX file; reading that needs ``pip install onnx``.
It hears 32 ms at a time, with 8 kHz or 16 kHz, and goes on from the state that the chunk before left.

Run it with ``python examples/voice_activity.py --package FILE --audio FILE``.
"""

from __future__ import annotations

import argparse
import time
import wave
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore.models import Model
from rnncore.onnx import load as load_onnx

Array = npt.NDArray[Any]

NETWORK = "silero_vad/data/silero_vad.onnx"
STATE = (1, 2, 128)  # h and c of the LSTM


def load(package: Path, rate: int) -> tuple[Model, int, int]:
    """The network for sound of a rate, and how many samples it hears anew and once more."""
    chunk, again = rate // 1000 * 32, rate // 1000 * 4
    with zipfile.ZipFile(package) as files:
        content = files.read(NETWORK)
    return load_onnx(content, shapes={"input": (None, chunk + again)}, values={"sr": rate}), chunk, again


def read_wave(file: Path) -> tuple[Array, int]:
    """Samples of a mono file of 16 bits, from -1 to 1, and their rate."""
    with wave.open(str(file)) as sound:
        rate = sound.getframerate()
        if rate not in (8000, 16000) or (sound.getsampwidth(), sound.getnchannels()) != (2, 1):
            raise SystemExit(f"{file} must be mono, 16 bits, 8 or 16 kHz, got {sound.getparams()}")
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32768, rate


def probabilities(model: Model, samples: Array, chunk: int, again: int) -> Iterator[float]:
    """Whether somebody speaks, for one chunk of samples after the other."""
    state = np.zeros(STATE, np.float32)
    heard = np.pad(samples, (again, -len(samples) % chunk)).astype(np.float32)
    for start in range(0, len(heard) - again, chunk):
        probability, state = model.forward([heard[np.newaxis, start : start + again + chunk], state])
        yield float(probability[0, 0])


def spoken(chances: Sequence[float], threshold: float = 0.5) -> list[tuple[int, int]]:
    """The first chunk of each piece of speech, and the one after its last."""
    speaks = np.concatenate([[False], np.asarray(chances) > threshold, [False]])
    edges = np.flatnonzero(speaks[1:] != speaks[:-1]).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Print the pieces of speech in a recording."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--package", type=Path, required=True, metavar="FILE", help="the file of silero-vad")
    parser.add_argument("--audio", type=Path, required=True, metavar="FILE", help="a mono wav file, 8 or 16 kHz")
    options = parser.parse_args(given)
    samples, rate = read_wave(options.audio)
    model, chunk, again = load(options.package, rate)
    begin = time.perf_counter()
    chances = list(probabilities(model, samples, chunk, again))
    seconds = time.perf_counter() - begin
    pieces = spoken(chances)
    for first, stop in pieces:
        print(f"speech from {first * chunk / rate:.2f} s to {stop * chunk / rate:.2f} s")
    print(f"{len(samples) / rate:.1f} s of sound in {seconds:.3f} s, {1e6 * seconds / len(chances):.0f} µs a chunk")
    return {"speech": sum(stop - first for first, stop in pieces) * chunk / rate, "pieces": float(len(pieces))}


if __name__ == "__main__":
    main()
