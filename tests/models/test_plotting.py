"""Pictures show what they are given, and summaries tell the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import data, forecaster

from rnncore import layers, models, plotting, utils


def branched() -> models.Model:
    x = layers.Input((None, 3), name="x")
    sequence, h, c = layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    last = layers.GRU(4, name="gru")(sequence)
    joined = layers.Concatenate(name="joined")([last, h])
    return models.Model(x, [layers.Dense(2, name="y")(joined), c], name="branched")


def test_history_shows_training_beside_validation() -> None:
    x, y = data()
    history = forecaster(optimizer="sgd", loss="mse", metrics=["mae"]).fit(
        x, y, epochs=3, validation_split=0.25, verbose=0
    )
    axes = plotting.plot_history(history).axes
    assert [panel.get_title() for panel in axes] == ["loss", "mae"]
    for panel in axes:
        for line in panel.lines:
            assert np.array_equal(line.get_xdata(), [1, 2, 3])
            assert np.array_equal(line.get_ydata(), history.history[line.get_label()])
    assert [line.get_label() for line in axes[1].lines] == ["mae", "val_mae"]
    for panel in axes:
        assert np.array_equal(panel.get_xticks() % 1, np.zeros(len(panel.get_xticks())))
    assert len(plotting.plot_history(history, ["mae"]).axes) == 1
    with pytest.raises(ValueError, match="keys must be some of"):
        plotting.plot_history(history, ["auc"])


def test_history_puts_validations_at_their_epochs() -> None:
    x, y = data()
    model = forecaster(optimizer="sgd", loss="mse")
    options = {"epochs": 6, "initial_epoch": 1, "validation_split": 0.25, "validation_freq": 2, "verbose": 0}
    history = model.fit(x, y, **options)
    assert history.epochs_of("val_loss") == [1, 3, 5]
    trained, measured = plotting.plot_history(history).axes[0].lines
    assert np.array_equal(trained.get_xdata(), [2, 3, 4, 5, 6])
    assert np.array_equal(measured.get_xdata(), [2, 4, 6])


def test_runs_are_compared_in_one_panel() -> None:
    x, y = data()
    runs = {
        name: forecaster(optimizer=name, loss="mse").fit(x, y, epochs=2, validation_split=0.25, verbose=0)
        for name in ("sgd", "adam")
    }
    (axes,) = plotting.plot_history(runs).axes
    assert [line.get_label() for line in axes.lines] == ["sgd: loss", "sgd: val_loss", "adam: loss", "adam: val_loss"]
    colors = [line.get_color() for line in axes.lines]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert np.array_equal(axes.lines[2].get_ydata(), runs["adam"].history["loss"])
    assert len(plotting.plot_history({"a": {"loss": [1.0]}, "b": {"mae": [2.0]}}).axes) == 2


def bands(axes: Any) -> list[tuple[list[float], list[float]]]:
    """The lower and upper ends of the shaded areas, by step."""
    found = []
    for shade in axes.collections:
        points = shade.get_paths()[0].vertices
        steps = np.unique(points[:, 0])
        found.append(tuple([float(end(points[points[:, 0] == step, 1])) for step in steps] for end in (min, max)))
    return found


@pytest.mark.parametrize(
    ("history", "error", "message"),
    [
        (None, TypeError, "history must be what fit returned, or a dict of lists by key, got NoneType"),
        ([1.0], TypeError, "history must be what fit returned, or a dict of lists by key, got list"),
        ({"loss": 3.0}, ValueError, r"history\['loss'\] must be a list, one number for each epoch, got 3.0"),
        ({"loss": ["a"]}, TypeError, r"history\['loss'\] must hold real numbers"),
        ({}, ValueError, r"keys must be some of \[\], got \[\]"),
    ],
)
def test_history_says_what_is_no_run(history: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plotting.plot_history(history)


def test_forecast_shows_quantiles_of_paths_after_the_past() -> None:
    paths = np.linspace(0, 100, 101)[:, None] + [0.0, 10.0, 20.0]  # the quantile q is 100 q
    (axes,) = plotting.plot_forecast(paths, past=[5.0, 6.0], future=[1.0, 2.0, 3.0]).axes
    for (low, high), (first, last) in zip(bands(axes), ((5, 95), (25, 75)), strict=True):
        np.testing.assert_allclose(low, [first, first + 10, first + 20])
        np.testing.assert_allclose(high, [last, last + 10, last + 20])
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["median"].get_ydata(), [50, 60, 70])
    assert np.array_equal(lines["median"].get_xdata(), [1, 2, 3])
    assert np.array_equal(lines["past"].get_xdata(), [-1, 0])
    assert np.array_equal(lines["what came"].get_ydata(), [1, 2, 3])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "past",
        "90 %",
        "50 %",
        "median",
        "what came",
    ]


def test_forecast_takes_quantiles_several_series_and_dates() -> None:
    middle = np.arange(8.0).reshape(4, 2)
    given = {0.1: middle - 1, 0.5: middle, 0.9: middle + 2}
    dates = np.arange("2024-01", "2024-08", dtype="datetime64[M]")
    figure = plotting.plot_forecast(given, np.zeros((3, 2)), levels=[0.8], times=dates, titles=["a", "b"])
    for unit, axes in enumerate(figure.axes):
        assert axes.get_title() == "ab"[unit]
        ((low, high),) = bands(axes)
        np.testing.assert_allclose(low, middle[:, unit] - 1)
        np.testing.assert_allclose(high, middle[:, unit] + 2)
        assert axes.lines[1].get_xdata()[0] == dates[3]


def test_forecast_takes_periods_of_pandas() -> None:
    months = pytest.importorskip("pandas").period_range("2025-01", periods=3, freq="M")
    middle = plotting.plot_forecast(np.zeros((4, 3)), times=months).axes[0].lines[0]
    assert np.array_equal(middle.get_xdata(), np.array(["2025-01-01", "2025-02-01", "2025-03-01"], "datetime64[D]"))
    with pytest.raises(TypeError, match=r"levels must be a list of shares, got 0\.9"):
        plotting.plot_forecast(np.zeros((4, 3)), levels=0.9)


def test_many_forecasts_stand_in_two_columns() -> None:
    figure = plotting.plot_forecast(np.zeros((3, 2, 5)), titles=list("abcde"))
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in shown] == list("abcde")
    assert len({round(axes.get_subplotspec().colspan.start) for axes in shown}) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"forecast": [1.0]}, r"forecast must have shape \(paths, steps\) or .*, got \(1,\)"),
        ({"forecast": {0.5: [1.0]}}, "forecast must hold the quantile 0.05, got 0.5"),
        ({"forecast": {0.5: [1.0], 0.05: [1.0, 2.0]}}, r"each of forecast must have shape .*, got \(2,\)"),
        ({"levels": [1.0]}, r"each of levels must be above 0 and below 1, got \[1.0\]"),
        ({"past": [[1.0, 2.0]]}, r"past must have shape \(steps,\), as the forecast, got \(1, 2\)"),
        ({"future": [1.0]}, r"future must have shape \(2,\), as the forecast, got \(1,\)"),
        ({"times": [1.0]}, r"times must have shape \(2,\), as past and forecast, got \(1,\)"),
        ({"titles": ["a", "b"]}, "titles must be 1, one for each series, got 2"),
    ],
)
def test_forecast_says_what_does_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plotting.plot_forecast(**{"forecast": np.zeros((3, 2)), **arguments})


def test_confusion_counts_pairs() -> None:
    true, taken = [0, 0, 1, 2, 2, 2, -1], [0, 1, 1, 2, 0, 2, 1]
    axes = plotting.plot_confusion_matrix(true, taken, ["cat", "dog", "owl"]).axes[0]
    assert np.array_equal(axes.images[0].get_array(), [[1, 1, 0], [0, 1, 0], [1, 0, 2]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog", "owl"]
    assert [text.get_text() for text in axes.texts] == ["1", "1", "0", "0", "1", "0", "1", "0", "2"]
    scores = np.eye(4)[taken].reshape(1, 7, 4)
    assert plotting.plot_confusion_matrix([true], scores).axes[0].images[0].get_array().shape == (4, 4)


@pytest.mark.parametrize("true", [[0, 1, 1, 0], [[0], [1], [1], [0]]])
def test_confusion_takes_the_one_number_of_a_sigmoid(true: Any) -> None:
    axes = plotting.plot_confusion_matrix(true, [[0.1], [0.8], [0.4], [0.3]], labels=[10, 2000]).axes[0]
    assert np.array_equal(axes.images[0].get_array(), [[2, 0], [1, 1]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "2000"]


@pytest.mark.parametrize("normalize", ["true", "pred", "all"])
def test_confusion_shares_are_those_of_scikit_learn(normalize: str) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    true, taken = rng.integers(4, size=(2, 50))
    shown = plotting.plot_confusion_matrix(true, taken, normalize=normalize).axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, sklearn_metrics.confusion_matrix(true, taken, normalize=normalize))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_pred": [0]}, r"y_pred must have shape \(2,\), or an axis of classes more, got \(1,\)"),
        ({"y_true": [0.5, 1]}, "y_true must hold class ids, whole numbers, got 0.5"),
        ({"y_pred": [0, -1]}, "y_pred must hold class ids from 0, got -1"),
        ({"y_true": [-1, -1]}, "y_true must have a class that counts, got none"),
        ({"labels": ["a"]}, "labels must be 2, one for each class, got 1"),
        ({"y_true": [0, np.inf]}, "y_true must hold class ids, whole numbers, got inf"),
        ({"y_pred": [[0.1, np.nan], [0.5, 0.5]]}, "y_pred must hold finite numbers, got NaN"),
        ({"y_pred": [[-3.5], [2.0]]}, r"y_pred must lie in \[0, 1\] where it is one number, got -3.5 to 2.0"),
        ({"normalize": "rows"}, "normalize must be None, 'true', 'pred' or 'all', got 'rows'"),
    ],
)
def test_confusion_says_what_does_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plotting.plot_confusion_matrix(**{"y_true": [0, 1], "y_pred": [0, 1], **arguments})


def test_model_has_a_box_for_each_layer_and_an_arrow_for_each_connection(tmp_path: Path) -> None:
    figure = utils.plot_model(branched(), tmp_path / "model.png")
    assert (tmp_path / "model.png").read_bytes()[1:4] == b"PNG"
    texts = figure.axes[0].texts
    boxes = {text.get_text().split()[0]: text for text in texts if text.get_text()}
    assert list(boxes) == ["x", "lstm", "gru", "joined", "y"]
    assert "(None, None, 4)\n(None, 4)\n(None, 4)" in boxes["lstm"].get_text()
    heights = [box.get_position()[1] for box in boxes.values()]
    assert heights == sorted(heights, reverse=True)
    assert len(texts) - len(boxes) == 5  # x-lstm, lstm-gru, gru-joined, lstm-joined, joined-y
    for model in (branched(), forecaster()):  # with an arrow past boxes, and without
        drawn = plotting.plot_model(model).axes[0]
        ends = [patch.get_x() + side for patch in drawn.patches for side in (0, patch.get_width())]
        assert np.isclose(min(ends) + max(ends), sum(drawn.get_xlim()))
    plain = plotting.plot_model(branched(), show_shapes=False, show_layer_names=False).axes[0].texts
    assert "Concatenate" in [text.get_text() for text in plain]
    with pytest.raises(ValueError, match="must be built"):
        plotting.plot_model(models.Sequential([layers.Dense(1)]))


def test_attention_shows_scores_with_labels() -> None:
    scores = np.random.default_rng(0).random((2, 3, 4))
    panels = plotting.plot_attention(scores, list("abcd"), list("xyz")).axes
    for head in range(2):
        assert np.array_equal(panels[head].images[0].get_array(), scores[head])
        assert [label.get_text() for label in panels[head].get_xticklabels()] == list("abcd")
    with pytest.raises(ValueError, match="x_labels must be 4"):
        plotting.plot_attention(scores, ["a"])
    with pytest.raises(ValueError, match="scores must have shape"):
        plotting.plot_attention(scores[0, 0])


def test_gradient_flow_leaves_zeros_out() -> None:
    axes = plotting.plot_gradient_flow({"a": [0.0, 1e-3, 1.0]}).axes[0]
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [np.nan, 1e-3, 1.0])
    with pytest.raises(ValueError, match="at least one layer"):
        plotting.plot_gradient_flow({})
    with pytest.raises(ValueError, match=r"flow\['a'\] must have shape"):
        plotting.plot_gradient_flow({"a": [[1.0]]})


def test_summary_tells_connections_where_layers_branch() -> None:
    texts: list[str] = []
    branched().summary(print_fn=texts.append)
    assert texts[0].splitlines() == [
        'Model: "branched"',
        "┏━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━┓",
        "┃ Layer (type)         ┃ Output Shape    ┃ Param # ┃ Connected to ┃",
        "┡━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━━┩",
        "│ x (InputLayer)       │ (None, None, 3) │       0 │ -            │",
        "├──────────────────────┼─────────────────┼─────────┼──────────────┤",
        "│ lstm (LSTM)          │ (None, None, 4) │     128 │ x[0][0]      │",
        "│                      │ (None, 4)       │         │              │",
        "│                      │ (None, 4)       │         │              │",
        "├──────────────────────┼─────────────────┼─────────┼──────────────┤",
        "│ gru (GRU)            │ (None, 4)       │     120 │ lstm[0][0]   │",
        "├──────────────────────┼─────────────────┼─────────┼──────────────┤",
        "│ joined (Concatenate) │ (None, 8)       │       0 │ gru[0][0]    │",
        "│                      │                 │         │ lstm[0][1]   │",
        "├──────────────────────┼─────────────────┼─────────┼──────────────┤",
        "│ y (Dense)            │ (None, 2)       │      18 │ joined[0][0] │",
        "└──────────────────────┴─────────────────┴─────────┴──────────────┘",
        " Total params: 266 (1.04 KB)",
        " Trainable params: 266 (1.04 KB)",
        " Non-trainable params: 0 (0.00 B)",
    ]


def test_summary_counts_what_the_optimizer_keeps_and_what_is_trained() -> None:
    x, y = data()
    model = forecaster()
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    texts: list[str] = []
    model.summary(print_fn=texts.append)
    assert "Optimizer" not in texts[0]
    model.fit(x, y, verbose=0)
    model.summary(print_fn=texts.append, show_trainable=True)
    trained = sum(weight.size for weight in model.trainable_weights)
    total = model.count_params() + 2 * trained
    assert f" Optimizer params: {2 * trained} " in texts[1]
    assert f" Total params: {total} " in texts[1]
    assert [line.split()[-2] for line in texts[1].splitlines() if line.startswith("│")] == ["N", "Y", "Y"]
