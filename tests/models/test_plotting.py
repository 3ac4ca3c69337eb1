"""Pictures show what they are given, and summaries tell the graph."""

from __future__ import annotations

from pathlib import Path

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
