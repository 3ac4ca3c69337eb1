"""What estimators make of the forms of X, of targets and weights, and of a model of the user's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from alone import run_alone
from given_kinds import KINDS
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import MinMaxScaler

import rnncore.sklearn
from rnncore import callbacks, layers, losses, models, optimizers, seeds
from rnncore.sklearn import PadSequences, RNNClassifier, RNNRegressor, SequenceEstimator, SequenceScaler, WindowMaker
from rnncore.utils import set_random_seed

LENGTHS = np.array([5, 2, 4, 5, 1, 3] * 5)


@pytest.fixture
def rows() -> list[Any]:
    """Sequences (T_n, 2) of the lengths above."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, 2)) for length in LENGTHS]


def filled(rows: list[Any], value: float) -> Any:
    X = np.full((len(rows), 5, 2), value)
    for place, row in zip(X, rows, strict=True):
        place[: len(row)] = row
    return X


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_read_however_it_is_held(kind: str) -> None:
    X, y = np.random.default_rng(0).normal(size=(12, 4)).astype("f"), np.arange(12.0)
    expected = RNNRegressor(units=2, epochs=1, random_state=0).fit(X, y).predict(X)
    given, targets = KINDS[kind](X), KINDS[kind](y)
    assert np.array_equal(RNNRegressor(units=2, epochs=1, random_state=0).fit(given, targets).predict(given), expected)


def test_all_forms_of_the_same_sequences_give_the_same_bits(rows: list[Any]) -> None:
    y = np.array([row.sum() for row in rows])
    padded = filled(rows, np.nan)
    expected = RNNRegressor(units=4, epochs=2, random_state=0).fit(padded, y).predict(padded)
    objects = np.empty(len(rows), object)
    objects[:] = rows
    swapped = [row.T for row in rows]
    for X, options in [
        (rows, {}),
        (tuple(row.tolist() for row in rows), {}),
        (objects, {}),
        ([pd.DataFrame(row) for row in rows], {}),
        ([KINDS["only DLPack"](row) for row in rows], {}),
        (np.ma.array(filled(rows, 7.0), mask=np.isnan(padded)), {}),
        (swapped, {"layout": "NCT"}),
        (padded.swapaxes(1, 2), {"layout": "NCT"}),
    ]:
        regressor = RNNRegressor(units=4, epochs=2, random_state=0, **options).fit(X, y)
        assert np.array_equal(regressor.predict(X), expected)
        assert regressor.n_features_in_ == 2
    told = RNNRegressor(units=4, epochs=2, random_state=0).fit(filled(rows, 9.0), y, lengths=LENGTHS)
    assert np.array_equal(told.predict(filled(rows, -3.0), lengths=LENGTHS), expected)
    alone = [told.predict([row])[0] for row in rows]
    assert np.array_equal(alone, expected)


def test_a_model_of_ones_own_is_trained_as_by_its_own_fit(rows: list[Any]) -> None:
    """The same weights as from `Model.fit` by hand, given the same random numbers."""
    y = np.array([row.sum() for row in rows])
    weights = np.linspace(0.5, 2, len(y))

    def build(n_features: int, n_outputs: int) -> models.Model:
        model = models.Sequential([layers.Input((None, n_features)), layers.LSTM(3), layers.Dense(n_outputs)])
        model.compile("sgd", "huber")
        return model

    state = np.random.RandomState(5).randint(2**31 - 1)
    estimator = SequenceEstimator(build, "regression", epochs=3, batch_size=7, random_state=5).fit(rows, y, weights)
    set_random_seed(state)
    by_hand = build(2, 1)
    by_hand.fit(filled(rows, 0.0), y, 7, 3, 0, sample_weight=weights, lengths=LENGTHS)
    for one, other in zip(estimator.model_.get_weights(), by_hand.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert estimator.loss_curve_ == by_hand.history.history["loss"]


def test_series_may_lack_the_axis_of_the_features() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 6)), rng.normal(size=20)
    regressor = RNNRegressor(units=4, epochs=1, random_state=0)
    expected = clone(regressor).fit(X[:, :, None], y)
    assert (expected.n_features_in_, clone(regressor).fit(X, y).n_features_in_) == (1, 6)
    for form in (X, list(X), X[:, :, None]):
        assert np.array_equal(clone(regressor).fit(form, y).predict(form), expected.predict(X))
    assert expected.predict(X[:, :4]).shape == (20,)
    ragged = clone(regressor).fit([X[0], X[1, :2], X[2]], y[:3])
    assert np.array_equal(ragged.predict(X[:3, :5]), ragged.predict([*X[:3, :5]]))


@pytest.mark.parametrize(
    ("X", "options", "error"),
    [
        (np.full((3, 4, 2), np.inf), {}, "infinity"),
        (np.array([[[np.nan], [1.0]], [[1.0], [2.0]], [[1.0], [1.0]]]), {}, "Input X contains NaN"),
        (np.array([[[np.nan, 1.0]], [[1.0, 2.0]], [[1.0, 1.0]]]), {}, "Input X contains NaN"),
        (
            [np.ones((2, 1)), np.ones((0, 1)), np.ones((3, 1))],
            {},
            "at least one step that is no padding, got none in row 1",
        ),
        ([np.ones((2, 1)), np.ones((2, 2)), np.ones((3, 1))], {}, r"the same features, got \[1, 2\]"),
        (
            [np.ones(2), np.ones((3, 2, 1)), np.ones(2)],
            {},
            r"\(T, C\) or \(T,\) of real numbers, got one of shape \(3, 2, 1\)",
        ),
        ([["a", "b"], ["c"], ["d"]], {}, "got one of shape .* and dtype <U1"),
        (np.ones((3, 4, 2, 1)), {}, "two or three axes, got 4"),
        (np.ones((3, 4, 2)), {"layout": "NC"}, "two axes"),
        (np.ones((3, 4, 2)), {"layout": "TNC"}, "unknown layout 'TNC'"),
        (np.ones((3, 0, 2)), {}, "at least one step"),
        (np.full((3, 4), 1e300), {}, "X must hold numbers of dtype float32"),
        (np.ones((3, 4)), {"cell": "rnn"}, "unknown cell 'rnn'.*simple_rnn"),
        (np.ones((3, 4)), {"validation_fraction": 1.0, "early_stopping": True}, "validation_fraction"),
        (np.ones((3, 4)), {"epochs": 0}, "epochs must be at least 1"),
        (np.ones((3, 4)), {"layers": 0}, "layers must be at least 1"),
        (np.ones((3, 4)), {"optimizer": "adm"}, "did you mean 'adam'"),
    ],
)
def test_wrong_sequences_and_parameters_are_named(X: Any, options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        RNNRegressor(**options).fit(X, [1.0, 2.0, 3.0])


def test_wrong_lengths_weights_and_targets_are_named(rows: list[Any]) -> None:
    X, y = filled(rows, np.nan), np.arange(30) % 3
    classifier = RNNClassifier(units=2, epochs=1)
    for arguments, error in [
        ({"lengths": LENGTHS + 1}, "lengths must lie in"),
        ({"lengths": np.full(30, 5)}, "Input X contains NaN"),
        ({"lengths": LENGTHS[:4]}, "lengths must have shape"),
        ({"sample_weight": np.zeros(30)}, "[Ss]ample.weights? must .* (not 0|non-zero)"),
    ]:
        with pytest.raises(ValueError, match=error):
            classifier.fit(X, y, **arguments)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier.partial_fit(X, y)
    classifier.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"y must hold labels of \[0 1 2\], got .*3"):
        classifier.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        classifier.set_params(early_stopping=True).partial_fit(X, y)
    with pytest.raises(ValueError, match="several classes"):
        RNNClassifier(epochs=1).fit(X, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="class_weight must be None"):
        RNNClassifier(epochs=1, class_weight="balanced").fit(X, np.eye(3, dtype=int)[y])
    with pytest.raises(ValueError, match="X has 1 features, but RNNClassifier is expecting 2 features as input"):
        classifier.predict(X[..., :1])


def test_several_outputs_and_several_labels(rows: list[Any]) -> None:
    sums = np.array([row.sum(axis=0) for row in rows])
    regressor = RNNRegressor(units=16, epochs=150, learning_rate=0.01, random_state=0).fit(rows, sums)
    assert regressor.predict(rows).shape == (30, 2)
    assert regressor.score(rows, sums) > 0.9
    assert RNNRegressor(units=2, epochs=1, loss="mae").fit(rows, sums[:, :1]).predict(rows).shape == (30, 1)
    classifier = RNNClassifier(units=16, epochs=150, learning_rate=0.01, random_state=0).fit(
        rows, (sums > 0).astype(int)
    )
    assert classifier.score(rows, (sums > 0).astype(int)) > 0.9
    assert list(classifier.classes_) == [0, 1]
    assert classifier.predict_proba(rows).shape == (30, 2)
    with pytest.warns(DataConversionWarning):
        RNNClassifier(units=2, epochs=1).fit(rows, sums[:, :1] > 0)


def test_weights_of_classes_and_sequences(rows: list[Any]) -> None:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(200, 4, 1)), np.array(["no", "yes"])[(rng.random(200) < 0.1).astype(int)]
    options = {"units": 4, "epochs": 5, "learning_rate": 0.02, "random_state": 0}
    plain, balanced = (RNNClassifier(class_weight=w, **options).fit(X, y) for w in (None, "balanced"))
    assert plain.predict_proba(X)[:, 1].mean() < 0.2
    assert 0.35 < balanced.predict_proba(X)[:, 1].mean() < 0.65
    counts = {label: (y == label).sum() for label in ("no", "yes")}
    by_dict = RNNClassifier(class_weight={label: 100 / count for label, count in counts.items()}, **options).fit(X, y)
    by_row = RNNClassifier(**options).fit(X, y, sample_weight=[100 / counts[label] for label in y])
    for other in (by_dict, by_row):
        assert np.array_equal(balanced.predict_proba(X), other.predict_proba(X))
    left_out = RNNClassifier(**options).fit(X, y, sample_weight=np.arange(200) < 120)
    assert np.array_equal(left_out.predict_proba(X), RNNClassifier(**options).fit(X[:120], y[:120]).predict_proba(X))


def test_training_stops_early_and_goes_on() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 5, 1))
    y = rng.permutation(X.sum(axis=(1, 2)) > 0)  # nothing to learn
    stopped = RNNClassifier(units=8, learning_rate=0.05, early_stopping=True, n_iter_no_change=3, tol=0, random_state=0)
    stopped.fit(X, y)
    validation = stopped.history_["val_loss"]
    assert stopped.n_iter_ == len(stopped.loss_curve_) == len(validation) == int(np.argmin(validation)) + 4 < 100
    warm = RNNRegressor(units=4, epochs=2, warm_start=True, random_state=0).fit(X, y)
    first = warm.predict(X)
    assert warm.fit(X, y).n_iter_ == 4
    assert not np.array_equal(warm.predict(X), first)
    cold = RNNRegressor(units=4, epochs=4, random_state=0).fit(X, y)
    assert cold.loss_curve_[:2] == warm.loss_curve_[:2]
    for _ in range(2):
        cold.set_params(epochs=2).fit(X, y)
        assert cold.n_iter_ == 2
    np.testing.assert_array_equal(cold.predict(X), first)


def test_parameters_reach_the_model() -> None:
    watch = callbacks.EarlyStopping("loss")
    rate = optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    X, y = np.zeros((4, 3, 2)), np.zeros(4)
    made = RNNRegressor(
        "lstm", 3, 2, bidirectional=True, dropout=0.25, recurrent_dropout=0.5, optimizer=optimizers.SGD(rate, 0.9),
        loss=losses.Huber(2.0), epochs=1, dtype_policy="float64", callbacks=watch, n_jobs=1,
    )  # fmt: skip
    made.fit(X, y)
    assert not hasattr(watch, "model")
    first, second, dropout, head = made.model_.layers
    assert (first.forward_layer.dropout, second.forward_layer.dropout, dropout.rate) == (0.0, 0.25, 0.25)
    assert {layer.forward_layer.recurrent_dropout for layer in (first, second)} == {0.5}
    assert (first.output_shape, second.output_shape, head.output_shape) == ((None, None, 6), (None, 6), (None, 1))
    assert made.model_.optimizer is not made.optimizer
    assert (made.model_.optimizer.momentum, made.optimizer.iterations) == (0.9, 0)
    assert repr(made.model_.loss) == repr(made.loss)
    assert made.model_.dtype_policy == "float64"


def test_the_numbers_of_others_do_not_matter(rows: list[Any]) -> None:
    """What an estimator draws neither follows nor disturbs the seed of the process."""
    y = np.arange(30) % 2
    options = {"units": 3, "epochs": 2, "dropout": 0.5}
    set_random_seed(1)
    expected = seeds.next_seed()
    fits = []
    for seed in (1, 2):
        set_random_seed(seed)
        fits.append(RNNClassifier(random_state=0, **options).fit(rows, y).predict_proba(rows))
    assert np.array_equal(*fits)
    set_random_seed(1)
    RNNClassifier(random_state=0, **options).fit(rows, y)
    assert seeds.next_seed() == expected
    states = [RNNClassifier(random_state=np.random.RandomState(4), **options) for _ in range(2)]
    assert np.array_equal(*(found.fit(rows, y).predict_proba(rows) for found in states))


def build(n_features: int, n_outputs: int, head: str = "softmax", filters: int = 4) -> models.Model:
    """Three kinds of heads for classes."""
    kinds: dict[str, tuple[int, Any, Any]] = {
        "softmax": (n_outputs, "softmax", "categorical_crossentropy"),
        "logits": (n_outputs, None, losses.SparseCategoricalCrossentropy(from_logits=True)),
        "sigmoid": (1, "sigmoid", "binary_crossentropy"),
        "logit": (1, None, losses.BinaryCrossentropy(from_logits=True)),
        "wrong": (n_outputs + 1, None, "mse"),
    }
    units, activation, loss = kinds[head]
    model = models.Sequential(
        [layers.Conv1D(filters, 1), layers.GlobalAveragePooling1D(), layers.Dense(units, activation)]
    )
    model.compile(optimizers.Adam(0.1), loss, metrics=["accuracy"])
    return model


def test_a_search_over_the_arguments_of_build_fn() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4, 2))
    y = np.where(X[..., 0].mean(axis=1) > 0, "b", "a")
    estimator = SequenceEstimator(build, epochs=15, random_state=0)
    search = GridSearchCV(estimator, {"head": ["softmax", "logits", "sigmoid", "logit"], "filters": [2, 4]}, cv=2)
    search.fit(X, y)
    assert search.cv_results_["mean_test_score"].min() > 0.8
    found = search.best_estimator_.set_params(head="logit").fit(X, y)
    np.testing.assert_allclose(found.predict_proba(X).sum(axis=1), 1)
    assert np.array_equal(found.classes_[found.predict_proba(X).argmax(axis=1)], found.predict(X))
    assert "accuracy" in found.history_
    assert clone(found).get_params() == found.get_params()
    assert is_classifier(found)
    regressor = SequenceEstimator(build, "regression")
    assert is_regressor(regressor)
    assert not hasattr(regressor, "predict_proba")
    for wrong, error in [
        ({"head": "wrong"}, r"output of shape \(None, 2\), got \(None, 3\)"),
        ({"task": "labels"}, "unknown task 'labels'"),
    ]:
        with pytest.raises(ValueError, match=error):
            clone(found).set_params(**wrong).fit(X, y)
    with pytest.raises(TypeError, match="build_fn must return a Model, got int"):
        SequenceEstimator(lambda: 3).fit(X, y)
    with pytest.raises(TypeError, match="filtrs is an argument neither of SequenceEstimator nor of build_fn"):
        SequenceEstimator(build, filtrs=3)


def test_transformers_leave_padding_alone(rows: list[Any]) -> None:
    padded = filled(rows, np.nan)
    scaler = SequenceScaler(MinMaxScaler()).fit(rows)
    scaled = scaler.transform(padded)
    steps = np.concatenate(rows)
    assert np.array_equal(np.isnan(scaled), np.isnan(padded))
    np.testing.assert_allclose(scaler.scaler_.data_min_, steps.min(axis=0))
    np.testing.assert_allclose(scaler.inverse_transform(scaled), padded)
    told = SequenceScaler(layout="NCT").fit_transform(filled(rows, 5.0).swapaxes(1, 2), lengths=LENGTHS)
    np.testing.assert_allclose(
        told.swapaxes(1, 2)[~np.isnan(padded)].reshape(-1, 2), (steps - steps.mean(axis=0)) / steps.std(axis=0)
    )
    cut = PadSequences(3).fit(rows).transform(rows)
    kept = PadSequences(3, "post").fit(rows).transform(padded)
    for row, last, first in zip(rows, cut, kept, strict=True):
        np.testing.assert_array_equal(last[: len(row)], row[-3:])
        np.testing.assert_array_equal(first[: len(row)], row[:3])
    assert np.array_equal(PadSequences(7).fit_transform(padded)[:, :5], padded, equal_nan=True)
    with pytest.raises(ValueError, match="X has 1 features, but PadSequences is expecting 2"):
        PadSequences().fit(rows).transform(padded[..., :1])


@pytest.mark.parametrize(("rate", "stride", "partial"), [(1, 1, True), (3, 2, True), (2, 1, False), (1, 4, False)])
def test_windows_have_the_rows_before(rate: int, stride: int, partial: bool) -> None:
    table = np.random.default_rng(0).normal(size=(15, 2))
    maker = WindowMaker(4, sampling_rate=rate, stride=stride, partial=partial).fit(table)
    windows, ends = maker.transform(table), maker.align(np.arange(15))
    assert np.array_equal(ends, range(0 if partial else 3 * rate, 15, stride))
    for window, end in zip(windows, ends, strict=True):
        expected = table[end % rate : end + 1 : rate][-4:]
        assert np.array_equal(window[: len(expected)], expected)
        assert np.isnan(window[len(expected) :]).all()
    with pytest.raises(ValueError, match="more than 20 rows for a whole window, got 15"):
        WindowMaker(11, sampling_rate=2, partial=False).fit(table)


def test_without_scikit_learn_an_error_names_the_extra() -> None:
    code = """
import sys
sys.modules["sklearn"] = None
import rnncore.sklearn
print(dir(rnncore.sklearn))
try:
    rnncore.sklearn.RNNClassifier
except ImportError as error:
    print(error)
"""
    names, message = run_alone(code).splitlines()
    assert names == str(sorted(rnncore.sklearn.__all__))
    assert message == "rnncore.sklearn.RNNClassifier needs scikit-learn: pip install 'rnncore[sklearn]'"
    with pytest.raises(AttributeError, match="did you mean 'RNNClassifier'"):
        _ = rnncore.sklearn.RnnClassifier
