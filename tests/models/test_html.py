"""What notebooks show is well-formed, holds what it should, and is text where users gave text."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from small_models import data, forecaster

from rnncore import callbacks, layers, metrics, models

EVIL = "a<script>alert('1')</script>&\""


def parsed(shown: Any) -> ET.Element:
    """The HTML, which is well-formed XML too."""
    text = shown._repr_html_()
    assert not re.search(
        r"https?:|<script|<style|<link|\bid=|\bclass=", text
    )  # nothing for the page, or from elsewhere
    colours = set(re.findall(r"(?:#[0-9a-f]{3,6}\b|\brgba?\([^)]*\))", text))
    assert colours <= {"rgba(128, 128, 128, 0.4)"}  # seen on black and on white
    return ET.fromstring(text)


def cells(element: ET.Element) -> list[list[str]]:
    return [["|".join(cell.itertext()) for cell in row] for row in element.iter("tr")]


def title(element: ET.Element) -> str:
    found = element.find("p")
    assert found is not None
    return "".join(found.itertext())


def test_models_show_their_summary() -> None:
    model = models.Sequential([layers.Input((None, 3)), layers.GRU(4, name="gru"), layers.Dense(2, name=EVIL)])
    shown = parsed(model)
    assert title(shown) == (
        f"Sequential {model.name} Total params: 118 (472.00 B), Trainable params: 118 (472.00 B),"
        " Non-trainable params: 0 (0.00 B)"
    )
    assert cells(shown) == [
        ["Layer (type)", "Output Shape", "Param #"],
        ["gru (GRU)", "(None, 4)", "108"],
        [f"{EVIL} (Dense)", "(None, 2)", "10"],
    ]
    assert cells(parsed(models.Sequential([layers.Dense(3, name="a")])))[1] == ["a (Dense)", "?", "0 (unbuilt)"]


def test_models_with_branches_show_connections() -> None:
    x = layers.Input((5, 3), name="x")
    sequence, h = layers.GRU(4, return_sequences=True, return_state=True, name="gru")(x)
    model = models.Model(x, layers.Concatenate(name="joined")([layers.GRU(2, name="last")(sequence), h]), name=EVIL)
    rows = cells(parsed(model))
    assert rows[0][3] == "Connected to"
    assert rows[2] == ["gru (GRU)", "(None, 5, 4)|(None, 4)", "108", "x[0][0]"]
    assert rows[4][3] == "last[0][0]|gru[0][1]"
    assert title(parsed(model)).startswith(f"Model {EVIL} Total")


def test_layers_show_their_arguments_and_weights() -> None:
    layer = layers.GRU(4, name=EVIL, kernel_regularizer="l2", recurrent_activation="tanh", trainable=False)
    assert title(parsed(layer)) == (
        f"GRU {EVIL} (units=4, recurrent_activation='tanh', kernel_regularizer=L2), not built"
    )
    models.Sequential([layers.Input((None, 3)), layer])
    assert title(parsed(layer)).endswith("kernel_regularizer=L2)")
    assert cells(parsed(layer)) == [
        ["Weight", "Shape", "Param #", "Trainable"],
        [f"{EVIL}/kernel", "(3, 12)", "36", "no"],
        [f"{EVIL}/recurrent_kernel", "(4, 12)", "48", "no"],
        [f"{EVIL}/bias", "(2, 12)", "24", "no"],
    ]
    assert title(parsed(layers.Dropout(0.2, name="d"))) == "Dropout d (rate=0.2), not built"
    assert title(parsed(layers.Bidirectional(layers.LSTM(2), name="b"))).startswith("Bidirectional b (layer=LSTM")
    assert title(parsed(layers.LSTMCell(3, name="c"))) == "LSTMCell c (units=3), not built"


def test_histories_show_their_curves() -> None:
    x, y = data()
    history = forecaster(optimizer="sgd", loss="mse", metrics=[metrics.F1Score()]).fit(
        x, y > 0, epochs=3, validation_split=0.25, verbose=0
    )
    rows = cells(parsed(history))
    assert [row[0] for row in rows] == ["", *history.history]
    losses = history.history["loss"]
    assert rows[list(history.history).index("loss") + 1][1:5] == [
        f"{losses[0]:.4g}",
        f"{losses[-1]:.4g}",
        f"{min(losses):.4g} (epoch {1 + int(np.argmin(losses))})",
        f"{max(losses):.4g} (epoch {1 + int(np.argmax(losses))})",
    ]
    assert title(parsed(history)) == "History of 3 epochs"
    assert title(parsed(callbacks.History())) == "History of 0 epochs"


def test_curves_have_gaps_and_stay_in_their_frame() -> None:
    history = callbacks.History()
    history.history, history.epoch = {EVIL: [1.0, 3.0, np.nan, 2.0, np.inf, 2.0, 1.0], "same": [5.0] * 7}, [*range(7)]
    history.history["none"] = [np.nan] * 7
    lines = [
        [[float(number) for number in point.split(",")] for point in line.attrib["points"].split()]
        for line in parsed(history).iter("polyline")
    ]
    assert [len(line) for line in lines] == [2, 2, 2, 7]  # a point alone is a line to itself
    assert lines[0] == [pytest.approx([2, 22]), pytest.approx([2 + 116 / 6, 2], abs=0.05)]
    assert lines[1][0] == lines[1][1]
    assert {y for _, y in lines[3]} == {22}
    assert cells(parsed(history))[3][1:5] == ["nan", "nan", "", ""]
