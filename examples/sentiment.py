"""Tell praise from blame in sentences of film reviews, and show the words that told.

The sentences are those of Pang and Lee (2005), as in ``rt-polarity.pos`` and ``rt-polarity.neg`` of the repository
yoonkim/CNN_sentence: Latin-1, words separated by blanks. A tenth is held back at random, another tenth tells when to
stop.

An LSTM reads the words from both ends. Additive attention (Bahdanau et al. 2015), asked with the last states, weighs
the words; their weighted mean decides. The weights say what the model looked at.

Run it with ``python examples/sentiment.py --data DIR [--quick] [--epochs 10] [--seed 0]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure, save
from rnncore import callbacks, layers, models, optimizers, utils

Array = npt.NDArray[Any]

PADDING, UNKNOWN = 0, 1  # ids that stand for no word
UNITS = 64


def load(folder: Path) -> tuple[list[list[str]], Array]:
    """Sentences as lists of words, and 1 for praise, 0 for blame (N,)."""
    sentences, labels = [], []
    for label, ending in enumerate(("neg", "pos")):
        file = folder / f"rt-polarity.{ending}"
        if not file.exists():
            raise SystemExit(f"there is no {file}")
        rows = [line.split() for line in file.read_text(encoding="latin-1").split("\n") if line.strip()]
        sentences += rows
        labels += [label] * len(rows)
    return sentences, np.array(labels, np.float32)


def split(count: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Numbers of the rows to train on, to watch, and to measure on."""
    order = np.random.default_rng(seed).permutation(count)
    held, watched, kept = np.split(order, [count // 10, count // 5])
    return kept, watched, held


def vocabulary(sentences: Iterable[list[str]], least: int = 2) -> dict[str, int]:
    """The id of each word that occurs in at least `least` sentences."""
    counts = Counter(word for words in sentences for word in set(words))
    known = sorted(word for word, count in counts.items() if count >= least)
    return {word: number for number, word in enumerate(known, start=UNKNOWN + 1)}


def encode(sentences: Sequence[list[str]], words: dict[str, int]) -> tuple[Array, Array]:
    """Sentences as ids (N, T), padded to the longest, and their lengths (N,)."""
    lengths = np.array([len(sentence) for sentence in sentences], np.int32)
    ids = np.full((len(sentences), lengths.max()), PADDING, np.int32)
    for row, sentence in zip(ids, sentences, strict=True):
        row[: len(sentence)] = [words.get(word, UNKNOWN) for word in sentence]
    return ids, lengths


def graph(words: int) -> tuple[Any, Any, Any]:
    """Symbolic ids (N, T), probability of praise (N, 1), and weights of the words (N, 1, T)."""
    ids = layers.Input((None,), dtype="int32")
    x = layers.Dropout(0.7)(layers.Embedding(words, 64)(ids))
    read = layers.LSTM(UNITS, return_sequences=True, return_state=True)
    sequence, forward, _, backward, _ = layers.Bidirectional(read)(x)
    query = layers.Reshape((1, 2 * UNITS))(layers.Concatenate()([forward, backward]))
    key = layers.Dense(2 * UNITS)(sequence)
    summary, weights = layers.AdditiveAttention()([query, sequence, key], return_attention_scores=True)
    y = layers.Dropout(0.5)(layers.Flatten()(summary))
    return ids, layers.Dense(1, activation="sigmoid")(y), weights


def build_model(words: int) -> models.Model:
    """Ids (N, T) to the probability of praise (N, 1); `words` counts the two ids that are none."""
    ids, praise, _ = graph(words)
    return models.Model(ids, praise)


Encoded = tuple[Array, Array, Array]  # ids, lengths, labels


def train(model: models.Model, rows: Encoded, watched: Encoded, epochs: int = 10, verbose: int = 1) -> None:
    """Fit until the watched rows are named no better, and keep the best weights."""
    (ids, lengths, labels), (watched_ids, watched_lengths, watched_labels) = rows, watched
    model.compile(optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    model.fit(
        ids,
        labels,
        batch_size=32,
        epochs=epochs,
        lengths=lengths,
        verbose=verbose,
        validation_data=(watched_ids, watched_labels, None, watched_lengths),
        validation_batch_size=256,
        callbacks=callbacks.EarlyStopping("val_accuracy", patience=3, restore_best_weights=True),
    )


def evaluate(model: models.Model, ids: Array, lengths: Array, labels: Array) -> float:
    """The share of sentences that are named right."""
    praise = model.predict(ids, lengths=lengths, batch_size=256, verbose=0)[:, 0]
    return float(np.mean((praise > 0.5) == labels))


def draw(sentences: list[list[str]], weights: Array, praise: Array, file: Path) -> None:
    """Draw sentences, each word on a ground as dark as its weight."""
    picture = figure(figsize=(10, 0.4 * len(sentences) + 0.2))
    if picture is None:
        return
    for place, (words, row, probability) in enumerate(zip(sentences, weights, praise, strict=True)):
        axes = picture.add_subplot(len(sentences), 1, place + 1)
        axes.set_axis_off()
        axes.text(-0.04, 0.5, f"{probability:.2f}", va="center", fontsize=8)
        x = 0.0
        for word, weight in zip(words, row, strict=False):
            shade = {"facecolor": (1.0, 0.5, 0.1, float(weight / row.max())), "edgecolor": "none", "pad": 1.5}
            axes.text(x, 0.5, word, va="center", family="monospace", fontsize=8, bbox=shade)
            x += 0.0088 * (len(word) + 1)
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure on the sentences held back, and show which words counted."""
    options = arguments(__doc__ or "", given, epochs=10, quick=2, data="rt-polarity/rt-polarity.{pos,neg}")
    utils.set_random_seed(options.seed)
    sentences, labels = load(options.data / "rt-polarity")
    kept, watched, held = split(len(sentences))
    words = vocabulary(sentences[i] for i in kept)
    rows, watched_rows, held_rows = (
        (*encode([sentences[i] for i in part], words), labels[part]) for part in (kept, watched, held)
    )
    ids, praise, weights = graph(len(words) + 2)
    model, looker = models.Model(ids, praise), models.Model(ids, weights)
    train(model, rows, watched_rows, options.epochs, options.verbose)
    accuracy = evaluate(model, *held_rows)
    print(f"Named right of {len(held)} sentences held back: {accuracy:.1%}")

    ids, lengths = held_rows[0][:12], held_rows[1][:12]
    looked = looker.predict(ids, lengths=lengths, verbose=0)[:, 0]
    shown = [sentences[i] for i in held[:12]]
    for sentence, row in zip(shown, looked, strict=True):
        most = np.argsort(-row[: len(sentence)])[:3]
        print(f"  {', '.join(sentence[place] for place in most):<40} in: {' '.join(sentence)[:70]}")
    draw(shown, looked, model.predict(ids, lengths=lengths, verbose=0)[:, 0], options.output / "sentiment.png")
    return {"accuracy": accuracy}


if __name__ == "__main__":
    main()
