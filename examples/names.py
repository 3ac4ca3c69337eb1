"""Name the language of a surname from its letters.

The 18,054 surnames in 18 languages are those of the repository spro/practical-pytorch (``data/names``): a file for
each language, one name a line. A tenth is held back at random. Russian is the language of half the names, and some
names belong to several languages, so that no model can be right about all.

Letters become vectors, a GRU reads them from both ends, and both last states together name the language. Names end
early by their `lengths`, so that padding costs nothing.

Run it with ``python examples/names.py --data DIR [--quick] [--epochs 12] [--seed 0]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure, save
from rnncore import layers, models, optimizers, utils

Array = npt.NDArray[Any]

PADDING, UNKNOWN = 0, 1  # ids that stand for no letter


def load(folder: Path) -> tuple[list[str], Array, list[str]]:
    """All names, the number of each one's language (N,), and the languages."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise SystemExit(f"there are no files of names in {folder}")
    rows = [file.read_text(encoding="utf-8").split("\n") for file in files]
    names = [[name.strip() for name in lines if name.strip()] for lines in rows]
    labels = np.repeat(np.arange(len(files), dtype=np.int32), [len(lines) for lines in names])
    return [name for lines in names for name in lines], labels, [file.stem for file in files]


def split(count: int, seed: int = 0) -> tuple[Array, Array]:
    """Numbers of the rows to train on, and of a random tenth held back."""
    order = np.random.default_rng(seed).permutation(count)
    held, kept = np.split(order, [count // 10])
    return kept, held


def alphabet(names: Sequence[str]) -> dict[str, int]:
    """The id of each letter in the training names."""
    return {letter: number for number, letter in enumerate(sorted(set("".join(names))), start=UNKNOWN + 1)}


def encode(names: Sequence[str], letters: dict[str, int]) -> tuple[Array, Array]:
    """Names as ids (N, T), padded to the longest, and their lengths (N,)."""
    lengths = np.array([len(name) for name in names], np.int32)
    ids = np.full((len(names), lengths.max()), PADDING, np.int32)
    for row, name in zip(ids, names, strict=True):
        row[: len(name)] = [letters.get(letter, UNKNOWN) for letter in name]
    return ids, lengths


def build_model(letters: int, languages: int) -> models.Sequential:
    """Ids (N, T) to the probabilities of the languages; `letters` counts the two ids that are none."""
    return models.Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(letters, 64),
            layers.Bidirectional(layers.GRU(128)),
            layers.Dropout(0.5),
            layers.Dense(languages, activation="softmax"),
        ]
    )


def train(model: models.Model, ids: Array, lengths: Array, labels: Array, epochs: int = 12, verbose: int = 1) -> None:
    """Fit, with a learning rate that falls to zero."""
    rate = optimizers.schedules.CosineDecay(5e-3, decay_steps=epochs * -(-len(ids) // 64))
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(ids, labels, batch_size=64, epochs=epochs, lengths=lengths, verbose=verbose)


def evaluate(model: models.Model, ids: Array, lengths: Array, labels: Array) -> float:
    """The share of names whose language is found."""
    return float(np.mean(classify(model, ids, lengths) == labels))


def classify(model: models.Model, ids: Array, lengths: Array) -> Array:
    """The number of the likeliest language (N,)."""
    likeliest: Array = np.argmax(model.predict(ids, lengths=lengths, batch_size=256, verbose=0), axis=1)
    return likeliest


def draw(labels: Array, guesses: Array, languages: list[str], file: Path) -> None:
    """Draw which languages (rows) are taken for which (columns)."""
    picture = figure(figsize=(7, 6))
    if picture is None:
        return
    counts = np.zeros((len(languages), len(languages)))
    np.add.at(counts, (labels, guesses), 1)
    axes = picture.add_subplot(xlabel="guessed", ylabel="language")
    image = axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks(range(len(languages)), languages, rotation=90)
    axes.set_yticks(range(len(languages)), languages)
    picture.colorbar(image, label="share of the row")
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure on the names held back, and show a few."""
    options = arguments(__doc__ or "", given, epochs=12, quick=3, data="names/*.txt")
    utils.set_random_seed(options.seed)
    names, labels, languages = load(options.data / "names")
    kept, held = split(len(names))
    if options.quick:
        kept = kept[::2]
    letters = alphabet([names[i] for i in kept])
    model = build_model(len(letters) + 2, len(languages))
    train(model, *encode([names[i] for i in kept], letters), labels[kept], options.epochs, options.verbose)

    guesses = classify(model, *encode([names[i] for i in held], letters))
    accuracy = float(np.mean(guesses == labels[held]))
    print(f"Languages found of {len(held)} names held back: {accuracy:.1%}")
    for i, guess in list(zip(held, guesses, strict=True))[:10]:
        print(f"  {names[i]:<16} {languages[labels[i]]:<12} {'' if guess == labels[i] else 'not ' + languages[guess]}")
    draw(labels[held], guesses, languages, options.output / "languages.png")
    return {"accuracy": accuracy}


if __name__ == "__main__":
    main()
