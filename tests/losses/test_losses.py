"""Losses by name, class and description, called on arrays and described to executors."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from rnncore import losses, metrics
from rnncore.losses.functions import FUNCTIONS

ALL = [
    losses.MeanSquaredError(),
    losses.MeanAbsoluteError(),
    losses.Huber(0.7),
    losses.BinaryCrossentropy(label_smoothing=0.1),
    losses.CategoricalCrossentropy(from_logits=True),
    losses.SparseCategoricalCrossentropy(from_logits=True),
]


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("mse", losses.MeanSquaredError),
        ("mean_squared_error", losses.MeanSquaredError),
        ("MeanSquaredError", losses.MeanSquaredError),
        ("MAE", losses.MeanAbsoluteError),
        ("huber", losses.Huber),
        ("bce", losses.BinaryCrossentropy),
        ("categorical_crossentropy", losses.CategoricalCrossentropy),
        ("sparse_categorical_crossentropy", losses.SparseCategoricalCrossentropy),
    ],
)
def test_names_lead_to_classes(name: str, cls: type[losses.Loss]) -> None:
    assert type(losses.get(name)) is cls
    assert type(losses.get(cls)) is cls


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
def test_a_loss_survives_its_description(loss: losses.Loss) -> None:
    again = losses.deserialize(losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert again.describe(1, 0.5) == loss.describe(1, 0.5)
    assert losses.get(loss) is loss


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown loss 'mean_square_error'.*'mean_squared_error'"):
        losses.get("mean_square_error")
    with pytest.raises(TypeError, match="loss must be given by name or object, got int"):
        losses.get(3)


def test_values_follow_the_definitions() -> None:
    p, q = 0.3, 0.8
    assert losses.MeanSquaredError()([[1, 2]], [[2, 4]]) == pytest.approx(2.5)
    assert losses.MeanAbsoluteError()([[1, 2]], [[2, 4]]) == pytest.approx(1.5)
    assert losses.Huber(1.0)([[0, 0]], [[0.5, 3]]) == pytest.approx((0.125 + 2.5) / 2)
    expected = -(math.log(p) + math.log(1 - q)) / 2
    assert losses.BinaryCrossentropy()([[1, 0]], [[p, q]]) == pytest.approx(expected, rel=1e-6)
    logits = [[math.log(p / (1 - p)), math.log(q / (1 - q))]]
    assert losses.BinaryCrossentropy(from_logits=True)([[1, 0]], logits) == pytest.approx(expected, rel=1e-6)
    categorical = losses.CategoricalCrossentropy()([[0, 1, 0]], [[0.2, 0.5, 0.3]])
    assert categorical == pytest.approx(math.log(2), rel=1e-6)
    assert losses.SparseCategoricalCrossentropy()([1], [[0.2, 0.5, 0.3]]) == pytest.approx(categorical)


def test_sample_weights_multiply_and_do_not_normalise() -> None:
    y, p = np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]])
    assert losses.MeanSquaredError()(y, p, sample_weight=[3.0, 0.5]) == pytest.approx((3 * 1 + 0.5 * 4) / 2)
    steps = np.array([[1.0, 0.0], [0.0, 2.0]])
    by_step = losses.MeanSquaredError()(np.zeros((2, 2, 1)), np.ones((2, 2, 1)), sample_weight=steps)
    assert by_step == pytest.approx(3 / 4)


def test_a_last_axis_of_one_may_be_left_out() -> None:
    column = losses.MeanSquaredError()([[1.0], [2.0]], [[2.0], [4.0]])
    assert losses.MeanSquaredError()([1.0, 2.0], [[2.0], [4.0]]) == column
    ids = losses.SparseCategoricalCrossentropy(from_logits=True)
    scores = np.random.default_rng(0).normal(size=(3, 4))
    assert ids([[0], [3], [1]], scores) == ids([0, 3, 1], scores)


def test_float64_stays_precise_and_other_numbers_are_welcome() -> None:
    assert losses.MeanAbsoluteError()(np.array([[1e-12]]), np.array([[0.0]])) == 1e-12
    for dtype in (np.float16, np.int8, np.dtype(">f4"), np.bool_):
        assert losses.MeanSquaredError()(np.array([[1]], dtype), np.array([[0]], dtype)) == 1.0


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"y_true must have shape \(2, 2\), got \(2, 3\)"):
        losses.MeanSquaredError()(np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(TypeError, match="y_pred must hold real numbers, got dtype complex128"):
        losses.MeanSquaredError()([[0.0]], [[1j]])
    with pytest.raises(ValueError, match=r"y_true must lie in \[0, 2\], got 3"):
        losses.SparseCategoricalCrossentropy()([3], [[0.2, 0.5, 0.3]])
    with pytest.raises(ValueError, match="class ids go with sparse_categorical_crossentropy"):
        losses.CategoricalCrossentropy()([1], [[0.2, 0.5, 0.3]])
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(2,\), got \(3,\)"):
        losses.MeanSquaredError()([[0.0], [1.0]], [[0.0], [1.0]], sample_weight=[1, 2, 3])
    with pytest.raises(ValueError, match="label_smoothing must be a finite number in"):
        losses.BinaryCrossentropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match="delta must be above 0"):
        losses.Huber(0.0)
    with pytest.raises(ValueError, match="unknown reduction 'summ'"):
        losses.MeanSquaredError(reduction="summ")


def test_reductions() -> None:
    y, p, w = np.zeros((2, 1)), np.array([[1.0], [2.0]]), [3.0, 0.5]
    assert losses.MeanSquaredError(reduction="sum")(y, p, w) == 5.0
    assert losses.MeanSquaredError(reduction="mean")(y, p, w) == 2.5
    assert losses.MeanSquaredError(reduction="mean_with_sample_weight")(y, p, w) == pytest.approx(5.0 / 3.5)
    for reduction in (None, "none"):
        loss = losses.MeanSquaredError(reduction=reduction)
        np.testing.assert_array_equal(loss(y, p, w), [3.0, 2.0])
        np.testing.assert_array_equal(loss(y, p), [1.0, 4.0])
        with pytest.raises(ValueError, match="loss 'mean_squared_error' has no reduction"):
            loss.describe()


def test_ignored_labels_may_be_no_class() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 3))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    plain = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert loss([0, -1, 2, -1], scores) == pytest.approx(plain([0, 2], scores[[0, 2]]), rel=1e-12)
    with pytest.raises(ValueError, match=r"y_true must lie in \[0, 2\], got 3"):
        loss([0, -1, 3, -1], scores)


OF_ROWS = (losses.CTC, losses.CRF)
OF_POSITIONS = [function.__name__ for function, loss in FUNCTIONS.items() if loss not in OF_ROWS]


@pytest.mark.parametrize("name", OF_POSITIONS)
def test_functions_give_the_value_of_each_position_and_name_the_loss(name: str) -> None:
    function = getattr(losses, name)
    rng = np.random.default_rng(1)
    output = rng.uniform(0.1, 0.9, size=(4, 3, 5))
    loss = losses.get(function)
    target = rng.integers(5, size=(4, 3)) if loss.sparse else rng.uniform(size=(4, 3, 5))
    values = function(target, output)
    assert values.shape == (4, 3)
    assert values.mean() == pytest.approx(loss(target, output), rel=1e-12)
    assert type(loss) is type(losses.get(name))
    assert loss.kind == name


def test_functions_are_found_where_they_say() -> None:
    for function in (*FUNCTIONS, *metrics.FUNCTIONS):
        assert pickle.loads(pickle.dumps(function)) is function
