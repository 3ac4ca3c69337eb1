"""Bars of tqdm tell where training is."""

from __future__ import annotations

import sys
from functools import partial
from io import StringIO
from typing import Any

import numpy as np
import pytest
from small_models import data, forecaster

from rnncore import callbacks


class Bar:
    """Notes what it is told, as a bar of tqdm."""

    made: list[Bar]

    def __init__(self, **options: Any) -> None:
        self.options, self.n = options, options["initial"]
        self.postfix: dict[str, float] = {}
        self.shown: list[int] = []
        self.closed = False
        self.made.append(self)

    def set_postfix(self, values: dict[str, float], refresh: bool) -> None:
        self.postfix = values

    def update(self, more: int) -> None:
        self.n += more
        self.shown.append(self.n)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars() -> type[Bar]:
    return type("Bars", (Bar,), {"made": []})


def test_epochs_and_batches_have_bars(bars: type[Bar]) -> None:
    x, y = data()
    model = forecaster(optimizer="sgd", loss="mse")
    shown = callbacks.TqdmCallback(tqdm_class=bars)
    history = model.fit(x, y, batch_size=8, epochs=4, initial_epoch=2, validation_split=0.2, verbose=0, callbacks=shown)
    epochs, *batches = bars.made
    assert epochs.options == {"total": 4, "initial": 2, "desc": "Training", "unit": "epoch", "leave": True}
    assert epochs.shown == [3, 4]
    assert epochs.postfix == {key: values[-1] for key, values in history.history.items()}
    assert [bar.options["desc"] for bar in batches] == ["Epoch 3", "Epoch 4"]
    for bar in batches:
        assert bar.options["total"] == 2
        assert not bar.options["leave"]
        assert bar.shown == [1, 2]
    assert all(bar.closed for bar in bars.made)


def test_without_bars_of_batches_training_is_not_interrupted(bars: type[Bar]) -> None:
    x, y = data()
    shown = callbacks.TqdmCallback(verbose=0, tqdm_class=bars)
    watched = callbacks.base.CallbackList.of(None, [shown], {})
    assert not watched.wants_batches("train")
    forecaster(optimizer="sgd", loss="mse").fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=shown)
    assert len(bars.made) == 1
    assert bars.made[0].shown == [1, 2, 3]


def test_bars_of_a_training_that_failed_are_closed_by_the_next(bars: type[Bar]) -> None:
    x, y = data()
    model, shown = forecaster(optimizer="sgd", loss="mse"), callbacks.TqdmCallback(tqdm_class=bars)

    def fail(epoch: int, logs: dict[str, float]) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_end=fail), shown])
    model.fit(x, y, verbose=0, callbacks=shown)
    assert all(bar.closed for bar in bars.made)


def test_bars_are_drawn_by_tqdm() -> None:
    tqdm = pytest.importorskip("tqdm", reason="tqdm is not installed").tqdm
    x, y = data()
    screen = StringIO()
    shown = callbacks.TqdmCallback(2, partial(tqdm, file=screen, mininterval=0, ascii=True, ncols=100))
    history = forecaster(optimizer="sgd", loss="mse").fit(x, y, batch_size=5, epochs=2, verbose=0, callbacks=shown)
    lines = screen.getvalue().replace("\n", "\r").split("\r")
    loss = f"loss={np.round(history.history['loss'][-1], 2):.3g}"[:7]
    for start, count in (("Training: 100%", "2/2"), ("Epoch 1: 100%", "4/4"), ("Epoch 2: 100%", "4/4")):
        assert any(line.startswith(start) and count in line for line in lines), lines
    assert any(line.startswith("Training: 100%") and loss in line for line in lines), lines


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="verbose must be 0, 1 or 2, got 3"):
        callbacks.TqdmCallback(3)
    with pytest.raises(TypeError, match="tqdm_class must be callable, got str"):
        callbacks.TqdmCallback(tqdm_class="bar")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="bars of tqdm need tqdm: pip install tqdm"):
        callbacks.TqdmCallback()
