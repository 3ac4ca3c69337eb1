"""Attention layers: calls, weights and results as in Keras, masks from the graph, saving, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import arrays
from keras_attention import CASES, LEARNING_RATE, TRANSLATIONS, data, translation
from small_models import BACKENDS, same
from tolerance import assert_all_close, assert_close

import rnncore
from rnncore import layers, models

GOLDEN = arrays("keras_attention")


def golden(prefix: str) -> list[Any]:
    found = {int(key.rpartition("/")[2]): array for key, array in GOLDEN.items() if key.startswith(prefix)}
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_calls_and_a_training_step_agree_with_keras(name: str, backend: str) -> None:
    rng = np.random.default_rng(len(name))
    layer, inputs, outputs = CASES[name](rnncore)
    given, targets = data(rng, [value.shape for value in inputs], outputs[0].shape)
    before = golden(f"{name}/before/")
    assert [w.shape for w in layer.get_weights()] == [w.shape for w in before]
    layer.set_weights(before)
    model = models.Model(inputs, outputs)
    model.compile("sgd", "mse", backend=backend)
    assert_all_close(model.predict(given), golden(f"{name}/outputs/"))
    if not before:
        return
    trained = models.Model(inputs, layers.Flatten()(outputs[0]))
    trained.compile(rnncore.optimizers.SGD(LEARNING_RATE), "mse", backend=backend)
    trained.train_on_batch(given, targets.reshape(len(targets), -1))
    after = golden(f"{name}/after/")
    for weight, expected in zip(layer.get_weights(), after, strict=True):
        np.testing.assert_allclose(weight, expected, atol=2e-5)
    assert max(np.abs(w - b).max() for w, b in zip(after, before, strict=True)) > 0.01


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TRANSLATIONS)
def test_thirty_steps_of_an_encoder_and_decoder_end_as_in_keras(
    name: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNCORE_BACKEND", backend)
    model, train = translation(name)(rnncore)
    before, after = (golden(f"translation/{name}/{kind}/") for kind in ("before", "after"))
    model.set_weights(before)
    logs = train().history
    for weight, expected in zip(model.get_weights(), after, strict=True):
        np.testing.assert_allclose(weight, expected, atol=2e-4)
    assert max(np.abs(w - b).max() for w, b in zip(after, before, strict=True)) > 0.05
    np.testing.assert_allclose(logs["loss"], golden(f"translation/{name}/loss/")[0], atol=2e-4)


def pair() -> tuple[Any, Any]:
    return layers.Input((4, 6), name="query"), layers.Input((None, 6), name="value")


MAKERS: dict[str, Any] = {
    "Attention": lambda q, v, **call: layers.Attention(use_scale=True, score_mode="concat", dropout=0.2)(
        [q, v], **call
    ),
    "AdditiveAttention": lambda q, v, **call: layers.AdditiveAttention()([q, v], **call),
    "MultiHeadAttention": lambda q, v, **call: layers.MultiHeadAttention(2, 3, value_dim=5)(q, v, **call),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_saved_model_predicts_the_same(name: str, tmp_path: Path) -> None:
    query, value = pair()
    mask = layers.Input((None,), dtype="int32", name="mask")
    options = {"value_mask": mask} if name == "MultiHeadAttention" else {"mask": [None, mask]}
    context, scores = MAKERS[name](query, value, use_causal_mask=True, return_attention_scores=True, **options)
    model = models.Model([query, value, mask], [context, scores])
    model.save(tmp_path / "model.rnn")
    loaded = models.load_model(tmp_path / "model.rnn")
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 5, 6)), rng.integers(2, size=(3, 5))]
    assert same(model.predict(arrays), loaded.predict(arrays))
    assert model.predict(arrays)[1].shape == ((3, 2, 4, 5) if name == "MultiHeadAttention" else (3, 4, 5))
    copy = type(model.layers[-1]).from_config(model.layers[-1].get_config())
    assert copy.get_config() == model.layers[-1].get_config()


def test_calls_of_one_layer_may_differ(tmp_path: Path) -> None:
    """Another model may read one of them alone."""
    query, value = pair()
    mask = layers.Input((None,), dtype="int32", name="mask")
    layer = layers.AdditiveAttention()
    plain, masked = layer([query, value]), layer([query, value], mask=[None, mask], return_attention_scores=True)
    rng = np.random.default_rng(4)
    queries, values, masks = rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 5, 6)), rng.integers(2, size=(3, 5))
    both = models.Model([query, value, mask], [plain, *masked])
    alone = models.Model([query, value, mask], masked)
    expected = both.predict([queries, values, masks])
    assert same(alone.predict([queries, values, masks]), expected[1:])
    assert ((expected[2] > 0) == (masks != 0)[:, None]).all()
    for model in (both, alone):
        model.save(tmp_path / "model.rnn")
        arrays = [queries, values, masks]
        assert same(models.load_model(tmp_path / "model.rnn").predict(arrays), model.predict(arrays))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MAKERS)
def test_lengths_mask_the_value(name: str, backend: str) -> None:
    """Values that come first take the lengths; shorter sequences give the same without padding."""
    query, value = pair()
    model = models.Model([value, query], MAKERS[name](query, value))
    model.compile("sgd", "mse", backend=backend)
    rng = np.random.default_rng(2)
    values, queries = rng.normal(size=(3, 7, 6)), rng.normal(size=(3, 4, 6))
    whole = model.predict([values, queries], lengths=[7, 2, 4])
    for row, length in enumerate([7, 2, 4]):
        alone = model.predict([values[row : row + 1, :length], queries[row : row + 1]])
        assert_close(whole[row : row + 1], alone)


def test_bad_calls_name_the_layer_and_the_argument() -> None:
    query, value = pair()
    layer = layers.Attention(name="reader")
    with pytest.raises(ValueError, match=r"'reader' takes a list \[query, value\]"):
        layer(query)
    with pytest.raises(ValueError, match="query and value of 'reader' must have the same number of features"):
        layer([query, layers.Input((3, 5))])
    with pytest.raises(ValueError, match="value_mask of 'reader' must have shape"):
        layer([query, layers.Input((3, 6))], mask=[None, layers.Input((4,), dtype="int32")])
    with pytest.raises(TypeError, match="value_mask of 'reader' must be an Input of integers"):
        layer([query, value], mask=[None, layers.Input((4,), dtype="float32")])
    with pytest.raises(ValueError, match=r"query of 'reader' must have shape \(N, T, features\)"):
        layer([layers.Input((6,)), value])
    with pytest.raises(ValueError, match="unknown score_mode 'dott'"):
        layers.Attention(score_mode="dott")
    with pytest.raises(ValueError, match="dropout must be"):
        layers.AdditiveAttention(dropout=1.0)
    heads = layers.MultiHeadAttention(2, 3, name="heads")
    heads(query, value)
    with pytest.raises(ValueError, match="'heads' was built for a query, value and key"):
        heads(query, layers.Input((3, 5)))
