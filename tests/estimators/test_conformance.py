"""What scikit-learn asks of estimators, and the tools of scikit-learn that take them."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from rnncore import layers, models
from rnncore.sklearn import PadSequences, RNNClassifier, RNNRegressor, SequenceEstimator, SequenceScaler, WindowMaker

NEEDS_WHOLE_BATCHES = {
    "check_sample_weight_equivalence_on_dense_data": "a batch with a row twice is not a batch with a row of weight 2"
}
OF_A_FUNCTION = NEEDS_WHOLE_BATCHES | {
    "check_do_not_raise_errors_in_init_or_set_params": "an argument that nobody has is refused, as by any function"
}
OF_A_SERIES = {
    "check_methods_sample_order_invariance": "a window has the rows before",
    "check_methods_subset_invariance": "a window has the rows before",
}
QUICK: dict[str, Any] = {"units": 8, "epochs": 60, "learning_rate": 0.02}


def small(n_features: int, n_outputs: int) -> models.Model:
    """A model of the user's for classes."""
    chain = [layers.Input((None, n_features)), layers.GRU(8), layers.Dense(n_outputs, "softmax")]
    model = models.Sequential(chain)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.optimizer.learning_rate = 0.05
    return model


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (RNNClassifier(**QUICK), NEEDS_WHOLE_BATCHES),
        (RNNRegressor(**QUICK), NEEDS_WHOLE_BATCHES),
        (RNNClassifier("lstm", layers=2, bidirectional=True, dropout=0.1, layout="NC", **QUICK), NEEDS_WHOLE_BATCHES),
        (SequenceEstimator(small, epochs=20), OF_A_FUNCTION),
        (SequenceScaler(), {}),
        (SequenceScaler(layout="NC"), {}),
        (PadSequences(), {}),
        (PadSequences(4, layout="NCT"), {}),
        (WindowMaker(3), OF_A_SERIES),
    ],
    ids=lambda value: type(value).__name__,
)
def test_estimators_pass_the_checks(estimator: Any, expected: dict[str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks give what deserves a warning, and tell which ones are skipped
        results = check_estimator(estimator, expected_failed_checks=expected, on_fail=None)
    assert [(result["check_name"], result["exception"]) for result in results if result["status"] == "failed"] == []
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(expected)
    assert len(results) > 35


@pytest.fixture(scope="module")
def labelled() -> tuple[Any, Any, Any]:
    """Sequences (N, T, C) that are padded with NaN, their lengths, and classes that can be learnt."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(3, 9, size=90)
    X = rng.normal(size=(90, 8, 2))
    X[np.arange(8) >= lengths[:, None]] = np.nan
    return X, lengths, np.where(np.nansum(X[..., 0], axis=1) > 0, "up", "down")


def test_a_search_finds_the_same_in_any_number_of_processes(labelled: Any) -> None:
    X, lengths, y = labelled
    ragged = [row[:length] for row, length in zip(X, lengths, strict=True)]
    pipeline = make_pipeline(SequenceScaler(), RNNClassifier(random_state=3, epochs=10, learning_rate=0.03))
    grid = {"rnnclassifier__units": [2, 16], "rnnclassifier__cell": ["gru", "lstm"]}
    one = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    two = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(ragged, y)
    with joblib.parallel_backend("threading"):
        threads = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)
    for other in (two, threads):
        assert np.array_equal(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])
        assert np.array_equal(one.predict_proba(X), other.predict_proba(X))
    assert one.best_score_ > 0.8
    assert np.array_equal(one.predict(X), one.predict(ragged))


@pytest.mark.parametrize("options", [{}, {"resource": "epochs", "max_resources": 8, "min_resources": 4}])
def test_halving_search_by_rows_and_by_epochs(labelled: Any, options: dict[str, Any]) -> None:
    X, _, y = labelled
    grid = {"units": [4, 8]}
    search = HalvingGridSearchCV(RNNClassifier(random_state=0), grid, cv=2, random_state=0, factor=2, **options)
    if not options:
        search.set_params(estimator__epochs=4)
    search.fit(X, y)
    assert search.n_iterations_ > 1
    assert search.best_estimator_.n_iter_ == (8 if options else 4)


def test_lengths_and_weights_are_routed(labelled: Any) -> None:
    X, lengths, y = labelled
    filled = np.nan_to_num(X, nan=7.0)  # a number like others, for those that do not hear of lengths
    weights = np.where(y == "up", 2.0, 0.5)
    plain = make_pipeline(SequenceScaler(), RNNClassifier(epochs=4, random_state=0)).fit(
        X, y, rnnclassifier__sample_weight=weights
    )
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = SequenceScaler().set_fit_request(lengths=True).set_transform_request(lengths=True)
        classifier = RNNClassifier(epochs=4, random_state=0).set_fit_request(lengths=True, sample_weight=True)
        classifier = classifier.set_predict_request(lengths=True).set_score_request(lengths=True, sample_weight=True)
        pipeline = make_pipeline(scaler, classifier).fit(filled, y, lengths=lengths, sample_weight=weights)
        assert np.array_equal(pipeline.predict(filled, lengths=lengths), plain.predict(X))
        score = pipeline.score(filled, y, lengths=lengths, sample_weight=weights)
        search = GridSearchCV(classifier, {"units": [4]}, cv=3).fit(filled, y, lengths=lengths, sample_weight=weights)
    assert score == plain.score(X, y, sample_weight=weights)
    told = RNNClassifier(units=4, epochs=4, random_state=0).fit(X, y, sample_weight=weights)
    assert np.array_equal(search.best_estimator_.predict_proba(X), told.predict_proba(X))
    for one, other in zip(pipeline[-1].model_.get_weights(), plain[-1].model_.get_weights(), strict=True):
        assert np.array_equal(one, other)
    unaware = RNNClassifier(epochs=4, random_state=0).fit(filled, y)
    assert not np.array_equal(unaware.predict_proba(filled), plain.predict_proba(X))


def test_what_was_fitted_is_cloned_pickled_and_mapped(labelled: Any, tmp_path: Path) -> None:
    X, _, y = labelled
    fitted = RNNClassifier("lstm", 4, layers=2, dropout=0.2, epochs=3, random_state=7, n_jobs=1).fit(X, y)
    joblib.dump(fitted, tmp_path / "fitted")
    copies = [pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "fitted", mmap_mode="r")]
    expected = fitted.predict_proba(X)
    further = fitted.partial_fit(X, y).predict_proba(X)
    for copy in copies:
        assert np.array_equal(copy.predict_proba(X), expected)
        assert np.array_equal(copy.partial_fit(X, y).predict_proba(X), further)
    again = clone(fitted)
    with pytest.raises(NotFittedError):
        again.predict(X)
    assert np.array_equal(again.fit(X, y).predict_proba(X), expected)
    assert "RNNClassifier" in fitted._repr_html_()
    assert repr(again) == (
        "RNNClassifier(cell='lstm', dropout=0.2, epochs=3, layers=2, n_jobs=1,\n              random_state=7, units=4)"
    )


def test_tables_give_names_and_take_them_on(labelled: Any) -> None:
    X, _, y = labelled
    frame = pd.DataFrame(X[:, :3, 0], columns=["a", "b", "c"], index=np.arange(90) + 5)
    scaler = SequenceScaler().set_output(transform="pandas").fit(frame)
    scaled = scaler.transform(frame)
    assert isinstance(scaled, pd.DataFrame)
    assert list(scaled.columns) == ["a", "b", "c"]
    assert list(scaled.index) == list(frame.index)
    np.testing.assert_allclose(scaled, (frame - np.mean(frame.to_numpy())) / np.std(frame.to_numpy()))
    pipeline = make_pipeline(StandardScaler(), SequenceScaler(), RNNClassifier(epochs=2, layout="NC"))
    pipeline.set_output(transform="pandas").fit(frame, y)
    assert list(pipeline[-1].feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names should match"):
        pipeline.predict(frame[["c", "b", "a"]])
    rnn = RNNClassifier(epochs=1).fit(frame.to_numpy(), y)
    assert rnn.n_features_in_ == 3
    with pytest.raises(ValueError, match="X has 2 features, but RNNClassifier is expecting 3 features as input"):
        rnn.predict(frame.to_numpy()[:, :2])
    assert scaler.set_output(transform="pandas").fit_transform(X).shape == X.shape  # no table has three axes


def test_windows_of_a_table_are_learnt_in_a_pipeline() -> None:
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(size=(400, 2)), columns=["load", "hour"])
    ahead = table["load"].to_numpy() - 2 * table["hour"].shift(2).fillna(0.0).to_numpy()
    regressor = RNNRegressor(units=16, epochs=40, learning_rate=0.01, random_state=0)
    scaled = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    pipeline = make_pipeline(StandardScaler(), WindowMaker(4), scaled).set_output(transform="pandas")
    scores = cross_val_score(pipeline, table, 1000 + 100 * ahead, cv=TimeSeriesSplit(3))
    assert scores[-1] > 0.9


@pytest.mark.parametrize("labels", ["three classes", "two classes", "several labels"])
def test_probabilities_can_be_calibrated(labels: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 4, 2))
    truth = X.sum(axis=1) @ [[1.0, 0.5, -1.0], [0.0, 1.0, 0.5]]
    if labels == "three classes":
        y = np.array(["a", "b", "c"])[(truth + rng.gumbel(size=truth.shape)).argmax(axis=1)]
    else:
        y = (rng.random((900, 2)) < 1 / (1 + np.exp(-truth[:, :2]))).astype(int)
        y = y if labels == "several labels" else y[:, 0]
    eager = RNNClassifier(units=32, epochs=60, learning_rate=0.02, validation_fraction=0.3, random_state=0)
    found = {"eager": eager, "calibrated": clone(eager).set_params(calibrate=True)}
    if labels == "two classes":
        found["by scikit-learn"] = CalibratedClassifierCV(clone(eager), cv=3)
    loss = {}
    for name, classifier in found.items():
        p = classifier.fit(X[:600], y[:600]).predict_proba(X[600:])
        right = np.where(y[600:], p, 1 - p) if y.ndim == 2 else p[classifier.classes_ == y[600:, None]]
        loss[name] = -np.log(np.maximum(right, 1e-7)).mean()
    assert eager.temperature_ == 1.0 < 1.2 < found["calibrated"].temperature_
    assert all(loss[name] < loss["eager"] - 0.1 for name in found if name != "eager"), loss
    p = found["calibrated"].predict_proba(X)
    expected = p > 0.5 if y.ndim == 2 else eager.classes_[p.argmax(axis=1)]
    assert np.array_equal(found["calibrated"].predict(X), expected)


def test_calibration_is_for_classes() -> None:
    with pytest.raises(ValueError, match="calibrate must be False for a regression"):
        SequenceEstimator(small, "regression", calibrate=True).fit(np.ones((4, 3)), np.ones(4))
    with pytest.raises(ValueError, match="partial_fit does not support calibrate=True"):
        RNNClassifier(calibrate=True).partial_fit(np.ones((4, 3)), [0, 1, 0, 1], [0, 1])
