"""Translate descriptions of pictures from English to German.

The sentences are those of Multi30k (Elliott et al. 2016), lower-cased and tokenised, as in
``data/task1/tok`` of the repository multi30k/dataset: ``train.lc.norm.tok.en``, ``.de`` and the same for ``val``.

A GRU reads the English words from both ends. A second GRU goes on from its last states and writes German; at each word
it looks back at the English ones through attention (Luong et al. 2015). While it learns it is given the wanted words
one place behind, so that all places are learnt at once. To translate, it is given its own: the likeliest word each
time (greedy), or the five likeliest beginnings side by side (beam search).

Sentences of like length share a batch, which leaves almost no padding.

Run it with ``python examples/translation.py --data DIR [--quick] [--epochs 7] [--seed 0]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _bleu import bleu
from _common import arguments, figure, save
from rnncore import initializers, layers, losses, models, optimizers, utils

Array = npt.NDArray[Any]

PADDING, START, END, UNKNOWN = 0, 1, 2, 3  # ids that stand for no word
UNITS = 256
LONGEST = 40  # words of a translation


def load(folder: Path, part: str) -> tuple[list[list[str]], list[list[str]]]:
    """English and German sentences as lists of words."""
    sides = []
    for language in ("en", "de"):
        file = folder / f"{part}.lc.norm.tok.{language}"
        if not file.exists():
            raise SystemExit(f"there is no {file}")
        sides.append([line.split() for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n")])
    return sides[0], sides[1]


def vocabulary(sentences: Sequence[list[str]], least: int = 2) -> list[str]:
    """The words that occur at least `least` times, by id."""
    counts = Counter(word for sentence in sentences for word in sentence)
    return ["", "<start>", "<end>", "<unknown>", *sorted(word for word, count in counts.items() if count >= least)]


def encode(sentences: Sequence[list[str]], words: list[str]) -> list[Array]:
    """Sentences as arrays of ids that end with END."""
    number = {word: place for place, word in enumerate(words)}
    return [np.array([*(number.get(word, UNKNOWN) for word in sentence), END], np.int32) for sentence in sentences]


def padded(rows: Sequence[Array]) -> Array:
    """Rows of ids as one array (N, T), zeros behind each."""
    array = np.full((len(rows), max(map(len, rows))), PADDING, np.int32)
    for place, row in zip(array, rows, strict=True):
        place[: len(row)] = row
    return array


def word_vectors() -> initializers.Initializer:
    """First values of what stands for words, where they are read and where they are named.

    The usual ones for a layer of thousands of outputs are so small that it learns slowly. A new object for each layer:
    the same one would give the same values again.
    """
    return initializers.RandomUniform(-0.3, 0.3)


class Translator:
    """The model to train, and its two halves that translate: one reads, the other writes word after word."""

    def __init__(self, english: int, german: int) -> None:
        source = layers.Input((None,), dtype="int32", name="source")
        written = layers.Input((None,), dtype="int32", name="written")
        embed = layers.Embedding(german, UNITS, word_vectors(), mask_zero=True)
        dropout = layers.Dropout(0.4)
        decode = layers.GRU(UNITS, return_sequences=True, return_state=True)
        attend, join = layers.Attention(), layers.Dense(UNITS, activation="tanh")
        name = layers.Dense(german, kernel_initializer=word_vectors())

        x = dropout(layers.Embedding(english, UNITS, word_vectors(), mask_zero=True)(source))
        read = layers.GRU(UNITS, return_sequences=True, return_state=True)
        sequence, forward, backward = layers.Bidirectional(read)(x)
        memory = layers.Dense(UNITS)(sequence)  # (N, T, UNITS)
        first = layers.Dense(UNITS, activation="tanh")(layers.Concatenate()([forward, backward]))

        def write(state: Any, memory: Any) -> tuple[Any, Any, Any]:
            """Logits of the next words, the state after them, and the places looked at."""
            query, state = decode(dropout(embed(written)), initial_state=state)
            context, looked = attend([query, memory], return_attention_scores=True)
            return name(dropout(join(layers.Concatenate()([query, context])))), state, looked

        logits, _, looked = write(first, memory)
        self.model = models.Model([source, written], logits)
        self.looker = models.Model([source, written], looked)
        self.reader = models.Model(source, [memory, first])
        given_memory, given_state = layers.Input((None, UNITS)), layers.Input((UNITS,))
        logits, state, _ = write(given_state, given_memory)
        self.writer = models.Model([written, given_memory, given_state], [logits, state])


Pair = tuple[Array, Array]  # ids of the English and of the German words


class Batches(utils.PyDataset):
    """Batches of pairs whose lengths are alike; which pairs meet changes from epoch to epoch."""

    def __init__(self, pairs: list[Pair], size: int, seed: int) -> None:
        super().__init__()
        self.pairs, self.size, self.rng = pairs, size, np.random.default_rng(seed)
        self.lengths = np.array([(len(german), len(english)) for english, german in pairs])
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Sort by the lengths, and those of equal lengths at random."""
        order = np.lexsort((self.rng.random(len(self.pairs)), self.lengths[:, 1], self.lengths[:, 0]))
        self.parts = np.split(order, range(self.size, len(order), self.size))

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> tuple[tuple[Array, Array], Array]:
        source, wanted = (padded([self.pairs[i][side] for i in self.parts[index]]) for side in (0, 1))
        return (source, before(wanted)), wanted


def train(
    translator: Translator, pairs: list[Pair], epochs: int = 7, seed: int = 0, verbose: int = 1, batch_size: int = 64
) -> None:
    """Fit to pairs of encoded sentences, with a learning rate that falls to zero."""
    data = Batches(pairs, batch_size, seed)
    rate = optimizers.schedules.CosineDecay(3e-3, decay_steps=epochs * len(data))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    translator.model.compile(optimizers.Adam(rate, global_clipnorm=1.0), loss)
    translator.model.fit(data, epochs=epochs, verbose=verbose)


def before(wanted: Array) -> Array:
    """What the writer is given: the wanted words one place behind, START first, and padding where they are padded."""
    given = np.concatenate([np.full_like(wanted[:, :1], START), wanted[:, :-1]], axis=1)
    return np.where(wanted == PADDING, PADDING, given)


def translate(translator: Translator, sources: Sequence[Array], beam: int = 1) -> list[list[int]]:
    """Write a translation for each encoded sentence, greedily or with a beam of some width; ids without END."""
    found: list[list[int]] = [[] for _ in sources]
    for length in sorted({len(source) for source in sources}):
        # Sentences of one length need no padding.
        rows = [row for row, source in enumerate(sources) if len(source) == length]
        memory, state = translator.reader.forward(np.stack([sources[row] for row in rows]))

        for row, words in zip(rows, write(translator, memory, state, beam), strict=True):
            found[row] = words
    return found


def write(translator: Translator, memory: Array, state: Array, beam: int) -> list[list[int]]:
    """Write for sentences that were read, keeping for each the `beam` likeliest beginnings.

    Of the finished translations the one with the highest mean log-probability of a word wins.
    """
    rows, kept = len(memory), np.zeros((len(memory), beam))  # kept: log-probabilities of the beginnings
    kept[:, 1:] = -np.inf  # all begin the same
    memory, state = np.repeat(memory, beam, axis=0), np.repeat(state, beam, axis=0)
    written = np.full((rows * beam, 1), START, np.int32)
    best: list[tuple[float, list[int]]] = [(-np.inf, [])] * rows
    for length in range(1, LONGEST + 1):
        logits, state = translator.writer.forward([written[:, -1:], memory, state])
        logits[:, 0, UNKNOWN] = -np.inf  # no word that could be written
        scores = logits[:, 0] - logits[:, 0].max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        vocabulary = scores.shape[1]
        scores = (kept.reshape(-1, 1) + scores).reshape(rows, beam * vocabulary)
        chosen = np.argpartition(-scores, beam - 1, axis=1)[:, :beam]
        kept = np.take_along_axis(scores, chosen, axis=1)
        origin = (chosen // vocabulary + np.arange(rows)[:, np.newaxis] * beam).ravel()
        words = (chosen % vocabulary).reshape(-1, 1).astype(np.int32)
        written, state = np.concatenate([written[origin], words], axis=1), state[origin]
        for place in np.flatnonzero((words[:, 0] == END) | (length == LONGEST)):
            row, column = divmod(int(place), beam)
            if kept[row, column] / length > best[row][0]:
                best[row] = (kept[row, column] / length, [int(word) for word in written[place, 1:] if word != END])
        kept = np.where(words.reshape(rows, beam) == END, -np.inf, kept)
        if (kept.max(axis=1) == -np.inf).all():
            break
    return [words for _, words in best]


def evaluate(
    translator: Translator, sources: Sequence[Array], wanted: Sequence[list[str]], words: list[str], beam: int = 1
) -> float:
    """BLEU of the translations."""
    return bleu([[words[i] for i in row] for row in translate(translator, sources, beam)], wanted)


def draw(translator: Translator, source: Array, names: list[list[str]], file: Path) -> None:
    """Draw which English words (columns) the writer looked at for each German word (rows)."""
    picture = figure(figsize=(8, 6))
    if picture is None:
        return
    wanted = [*translate(translator, [source])[0], END]
    looked = translator.looker.predict([source[np.newaxis], before(np.array([wanted]))], verbose=0)[0]
    axes = picture.add_subplot()
    axes.imshow(looked, cmap="gray_r", vmin=0, vmax=1)
    axes.set_xticks(range(len(source)), [names[0][i] for i in source], rotation=90)
    axes.set_yticks(range(len(wanted)), [names[1][i] for i in wanted])
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure on the validation sentences, and show a few."""
    options = arguments(__doc__ or "", given, epochs=7, quick=5, data="multi30k/{train,val}.lc.norm.tok.{en,de}")
    utils.set_random_seed(options.seed)
    sides, held = load(options.data / "multi30k", "train"), load(options.data / "multi30k", "val")
    if options.quick:  # short sentences only
        rows = [i for i, words in enumerate(sides[0]) if len(words) <= 8][:1500]
        sides = [sides[0][i] for i in rows], [sides[1][i] for i in rows]
        rows = [i for i, words in enumerate(held[0]) if len(words) <= 8][:100]
        held = [held[0][i] for i in rows], [held[1][i] for i in rows]
    names = [vocabulary(side) for side in sides]
    pairs = list(zip(*map(encode, sides, names), strict=True))
    translator = Translator(len(names[0]), len(names[1]))
    train(translator, pairs, options.epochs, options.seed, options.verbose, batch_size=16 if options.quick else 64)

    sources = encode(held[0], names[0])
    found = {"BLEU": evaluate(translator, sources, held[1], names[1])}
    found["BLEU with beam"] = evaluate(translator, sources, held[1], names[1], beam=5)
    print(f"BLEU of {len(sources)} sentences held back: {found['BLEU']:.1f} greedy, {found['BLEU with beam']:.1f} beam")
    for words, wanted, written in zip(held[0][:5], held[1], translate(translator, sources[:5], beam=5), strict=False):
        print(f"  {' '.join(words)}\n    wanted:  {' '.join(wanted)}")
        print(f"    written: {' '.join(names[1][i] for i in written)}")
    draw(translator, sources[0], names, options.output / "translation.png")
    return found


if __name__ == "__main__":
    main()
