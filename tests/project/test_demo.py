"""The main job on real data."""

from __future__ import annotations

import builtins
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rnncore import demo
from rnncore.__main__ import main
from rnncore.datasets import sunspots


def test_sunspots_are_whole() -> None:
    years, numbers = sunspots()
    np.testing.assert_array_equal(years, np.arange(1700, 2009))
    assert numbers.shape == years.shape
    assert float(numbers[years == 1957][0]) == 190.2
    assert float(numbers.min()) == 0.0


def test_autoregression_finds_the_coefficients() -> None:
    rng = np.random.default_rng(5)
    series = rng.normal(size=80)
    for t in range(2, 80):
        series[t] = 1.2 * series[t - 1] - 0.7 * series[t - 2] + 0.3
    forecast = demo.autoregression(series, np.arange(80) < 40, 2)
    np.testing.assert_allclose(forecast[2:], series[2:], rtol=1e-10)
    assert np.isnan(forecast[:2]).all()


def test_windows_end_before_the_value_they_forecast() -> None:
    series = np.random.default_rng(6).normal(size=12)
    past = demo.windows(series, 5)
    assert past.shape == (7, 5)
    for t, row in enumerate(past):
        np.testing.assert_array_equal(row, series[t : t + 5])


@pytest.mark.parametrize("seed", range(5))
def test_demo_beats_the_simple_forecasts(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--seed", str(seed), "--output", str(tmp_path / "new"), "--quiet"]) == 0
    out = capsys.readouterr().out
    error = {line.rsplit(maxsplit=2)[0]: float(line.split()[-1]) for line in out.splitlines()[2:6]}
    # The figures of the least-squares forecasts are fixed by the data.
    assert error == {**error, "AR(9)": 0.113, "AR(9) of roots": 0.108, "persistence": 0.381}
    assert error["GRU"] < 0.095
    assert (tmp_path / "new" / "sunspots.rnn").exists()


def test_demo_shows_how_the_loss_falls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.run(tmp_path)
    shown = capsys.readouterr().out
    assert f"after pass {demo.EPOCHS}: loss" in shown
    assert len(shown.splitlines()) < 20


def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: Any) -> ModuleType:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_forecast_is_drawn_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_matplotlib(monkeypatch)
    years = np.arange(1921, 1926)
    demo.draw(years, np.array([0.0, 10.0, 20.0, 10.0, 0.0]), np.array([0.0, 20.0, 10.0, 10.0, 5.0]), tmp_path / "p.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "   20 |  x o     "
    assert lines[-4] == "    0 |*       o "
    assert lines[-2].split() == ["1921", "1925"]
    assert not list(tmp_path.iterdir())
