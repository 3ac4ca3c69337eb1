"""Without h5py, or without Keras, the functions that need them say so; all else works."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rnncore import keras, layers, models


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setitem(sys.modules, "keras", None)
    (tmp_path / "model.keras").touch()
    for act in (
        lambda: keras.load_model(tmp_path / "model.keras"),
        lambda: keras.load_weights(model, tmp_path / "model.keras"),
        lambda: keras.save_model(model, tmp_path / "new.keras"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'rnncore\[keras\]'"):
            act()
    with pytest.raises(ImportError, match="pip install keras"):
        keras.to_keras(model)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
