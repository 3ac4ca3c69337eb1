"""An encoder and a decoder with attention: masks, states and shared layers together, on strings to reverse."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tolerance import assert_all_close, assert_close

import rnncore
from rnncore import layers, models
from rnncore.decoding import beam_search, greedy_search

Array = npt.NDArray[Any]
PAD, START, END, FIRST_DIGIT, VOCABULARY = 0, 1, 2, 3, 9  # six digits
LONGEST = 5


class Translator(NamedTuple):
    whole: models.Model  # source, target so far -> probabilities of the next tokens; trains
    encoder: models.Model  # source -> sequence, state
    decoder: models.Model  # token, state, sequence, mask of the source -> probabilities, state


def build(units: int, width: int) -> Translator:
    """A shared embedding, a GRU each, and attention of the decoder's states on the encoder's."""
    source, target = layers.Input((None,), dtype="int32"), layers.Input((None,), dtype="int32")
    embedding = layers.Embedding(VOCABULARY, width, mask_zero=True)
    encoder = layers.GRU(units, return_sequences=True, return_state=True)
    decoder = layers.GRU(units, return_sequences=True, return_state=True)
    attention, join = layers.AdditiveAttention(), layers.Concatenate()
    hidden, head = layers.Dense(units, activation="tanh"), layers.Dense(VOCABULARY, activation="softmax")

    encoded, state = encoder(embedding(source))
    states, _ = decoder(embedding(target), initial_state=state)
    output = head(hidden(join([states, attention([states, encoded])])))

    sequence, before = layers.Input((None, units)), layers.Input((units,))
    mask, token = layers.Input((None,), dtype="bool"), layers.Input((1,), dtype="int32")
    states, after = decoder(embedding(token), initial_state=before)
    context = attention([states, sequence], mask=[None, mask])
    return Translator(
        models.Model([source, target], output),
        models.Model(source, [encoded, state]),
        models.Model([token, before, sequence, mask], [head(hidden(join([states, context]))), after]),
    )


def strings(rows: int, seed: int) -> tuple[Array, Array, Array]:
    """Sources (N, T), what the decoder reads and what it should say (N, T + 1), padded with zeros."""
    rng = np.random.default_rng(seed)
    sources, given, targets = (np.full((rows, LONGEST + extra), PAD, np.int32) for extra in (0, 1, 1))
    for n, length in enumerate(rng.integers(2, LONGEST + 1, size=rows)):
        digits = rng.integers(FIRST_DIGIT, VOCABULARY, size=length)
        sources[n, :length], targets[n, : length + 1] = digits, [*digits[::-1], END]
        given[n, : length + 1] = [START, *digits[::-1]]
    return sources, given, targets


def translate(translator: Translator, sources: Array, beam_width: int = 1) -> list[list[int]]:
    sequence, state = translator.encoder.predict(sources, verbose=0)

    def step(tokens: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        before, sequence, mask = state
        probabilities, after = translator.decoder.predict([tokens[:, None], before, sequence, mask], verbose=0)
        return np.log(probabilities[:, 0] + 1e-30), (after, sequence, mask)

    begin, starts = (state, sequence, sources != PAD), np.full(len(sources), START)
    if beam_width == 1:
        return [found.tokens.tolist() for found in greedy_search(step, begin, starts, end=END, max_length=8)]
    found = beam_search(step, begin, starts, end=END, max_length=8, beam_width=beam_width)
    return [hypotheses[0].tokens.tolist() for hypotheses in found]


def test_both_executors_train_alike() -> None:
    sources, given, targets = strings(48, 1)
    found = []
    for backend in ("compiled", "reference"):
        rnncore.utils.set_random_seed(5)
        model = build(7, 5).whole
        model.compile("adam", "sparse_categorical_crossentropy", backend=backend, dtype_policy="float64")
        before = model.get_weights()
        history = model.fit([sources, given], targets, epochs=2, batch_size=16, verbose=0).history
        found.append((np.array(history["loss"]), model.get_weights()))
        assert all((w != b).any() for w, b in zip(model.get_weights(), before, strict=True))
    assert_close(found[0][0], found[1][0], 1e-9)
    assert_all_close(found[0][1], found[1][1], 1e-9)


def test_padding_changes_nothing() -> None:
    sources, given, _ = strings(6, 2)
    model = build(7, 5).whole
    whole = model.predict([sources, given], verbose=0)
    for n, source in enumerate(sources):
        length = int((source != PAD).sum())
        alone = model.predict([source[None, :length], given[n : n + 1, : length + 1]], verbose=0)
        assert_close(whole[n : n + 1, : length + 1], alone)


def test_padding_is_no_part_of_the_loss() -> None:
    sources, given, targets = strings(6, 3)
    model = build(7, 5).whole
    model.compile("sgd", "sparse_categorical_crossentropy")
    probabilities = model.predict([sources, given], verbose=0)
    expected = -np.log(np.take_along_axis(probabilities, targets[..., None], axis=-1)[..., 0])[given != PAD].mean()
    np.testing.assert_allclose(model.evaluate([sources, given], targets, verbose=0), expected, rtol=1e-5)


def test_it_learns_to_reverse_strings() -> None:
    rnncore.utils.set_random_seed(1)
    sources, given, targets = strings(2000, 4)
    translator = build(32, 12)
    translator.whole.compile(rnncore.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    translator.whole.fit([sources, given], targets, epochs=8, batch_size=32, verbose=0)
    unseen, _, expected = strings(200, 99)
    wanted = [[token for token in row if token not in (PAD, END)] for row in expected.tolist()]
    for width in (1, 3):
        found = translate(translator, unseen, width)
        assert np.mean([one == other for one, other in zip(found, wanted, strict=True)]) > 0.95
