"""Errors lead to pages that exist, and name extras that exist."""

from __future__ import annotations

import builtins
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from email.message import Message
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rnncore
from rnncore import _pages, callbacks, layers, models, plotting

ROOT = Path(__file__).parents[2]
PACKAGE = Path(rnncore.__file__).parent
SOURCES = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
PAGES = {page for text in SOURCES.values() for page in re.findall(r"""\bsee\(["']([\w/]+)["']\)""", text)}


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    _pages._address.cache_clear()
    yield
    _pages._address.cache_clear()


def test_pages_that_errors_name_exist() -> None:
    assert len(PAGES) >= 5
    for page in PAGES:
        assert (ROOT / "docs" / f"{page}.md").exists(), page


def model(*after: Any) -> models.Sequential:
    made = models.Sequential([layers.Input((None, 2)), *(after or [layers.GRU(3)])])
    made.compile("sgd", "mse")
    return made


def masked(steps: int) -> Any:
    return layers.GRU(3)(layers.Input((5, 2)), mask=layers.Input((steps,), dtype="bool"))


X = np.ones((4, 5, 2))
CALLS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "return_sequences": ("guide/recurrent", lambda _: model(layers.LSTM(3), layers.LSTM(3))),
    "lengths": ("guide/sequences", lambda _: model().predict(X, lengths=[1, 2], verbose=0)),
    "mask": ("guide/sequences", lambda _: masked(6)),
    "shape": ("faq", lambda _: model().predict(X[:, 0], verbose=0)),
    "file": ("guide/saving", lambda folder: models.load_model(folder / "text.rnn")),
    "stream": ("guide/streams", lambda _: model(layers.Bidirectional(layers.GRU(3))).stream()),
    "stateful": ("guide/recurrent", lambda _: model(layers.GRU(3, stateful=True))),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_errors_of_the_first_hour_end_with_a_page(call: str, tmp_path: Path) -> None:
    (tmp_path / "text.rnn").write_text("something else, and long enough to be read")
    page, run = CALLS[call]
    with pytest.raises(ValueError, match="must|need|not") as error:
        run(tmp_path)
    assert str(error.value).endswith(_pages.see(page))


def test_the_warning_about_trainable_ends_with_a_page() -> None:
    changed = model(layers.GRU(3), layers.Dense(1))
    changed.layers[0].trainable = False
    with pytest.warns(UserWarning, match=f"next compile{re.escape(_pages.see('guide/training'))}$"):
        changed.fit(X, np.ones((4, 1)), verbose=0)


@pytest.mark.parametrize(
    ("urls", "shown"),
    [
        (["Documentation, https://example.org/docs/"], "; see https://example.org/docs/guide/streams.html"),
        (["Source, https://example.org/source"], "; see docs/guide/streams.md"),
        ([], "; see docs/guide/streams.md"),
    ],
)
def test_the_address_is_that_of_the_project(urls: list[str], shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Message()
    for url in urls:
        told["Project-URL"] = url
    monkeypatch.setattr(metadata, "metadata", lambda name: told)
    assert _pages.see("guide/streams") == shown


def test_a_checkout_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> Message:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "metadata", unknown)
    assert _pages.see("faq") == "; see docs/faq.md"


def extras() -> set[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    return set(re.findall(r"^(\w+) = ", table, re.MULTILINE))


def test_extras_that_errors_name_exist() -> None:
    named = {extra for text in SOURCES.values() for extra in re.findall(r"pip install 'rnncore\[(\w+)\]'", text)}
    assert named >= {"keras", "onnx", "plot", "sklearn", "torch"}
    assert named <= extras()


DOORS: dict[str, tuple[str, Callable[[], Any]]] = {
    "matplotlib": ("'rnncore[plot]'", lambda: plotting.plot_history({"loss": [1.0]})),
    "h5py": ("'rnncore[keras]'", lambda: rnncore.keras.load_model("none.h5")),
    "keras": ("keras", lambda: rnncore.keras.to_keras(model())),
    "tqdm": ("tqdm", lambda: model().fit(X, np.ones((4, 3)), callbacks=callbacks.TqdmCallback(), verbose=0)),
    "onnx": ("'rnncore[onnx]'", lambda: importlib.import_module("rnncore.onnx").load("none.onnx")),
    "torch": ("'rnncore[torch]'", lambda: importlib.import_module("rnncore.torch").accelerate),
    "sklearn": ("'rnncore[sklearn]'", lambda: importlib.import_module("rnncore.sklearn").RNNClassifier),
    "mpi4py": (
        "'rnncore[mpi]'",
        lambda: importlib.import_module("rnncore.distributed").fit(model(), X, np.ones((4, 3))),
    ),
}


@pytest.mark.parametrize("package", DOORS)
def test_a_missing_package_is_named_with_what_installs_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    advice, enter = DOORS[package]
    original = builtins.__import__

    def refuse(name: str, *arguments: Any) -> ModuleType:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return original(name, *arguments)

    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    for module in [name for name in sys.modules if re.match(rf"rnncore\.{package}\b", name)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=re.escape(f"pip install {advice}")):
        enter()
