"""The lessons run, find what they say they find, and are the same in both languages and in their notebooks."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rnncore

DOCS = Path(__file__).parents[2] / "docs"
LESSONS = sorted(path.stem for path in (DOCS / "tutorials").glob("*.py"))


def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_tutorials", DOCS / "write_tutorials.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "write_tutorials", module)
        spec.loader.exec_module(module)
    return module


WRITER = writer()


@pytest.mark.parametrize("language", WRITER.LANGUAGES)
@pytest.mark.parametrize("lesson", LESSONS)
def test_the_notebook_is_that_of_the_lesson(lesson: str, language: str) -> None:
    file = DOCS / "tutorials" / f"{lesson}{WRITER.LANGUAGES[language]}.ipynb"
    kept = json.loads(file.read_text(encoding="utf-8"))
    for cell in kept["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
    assert kept == WRITER.notebook(WRITER.read(lesson), language), "docs/write_tutorials.py makes it"
    assert file.stat().st_size < 100_000


def marks(text: str) -> dict[str, list[str]]:
    """What a text has in any language."""
    return {
        "headings": re.findall("^#+", text, re.MULTILINE),
        "items": re.findall("^- ", text, re.MULTILINE),
        "formulas": sorted(re.sub(r"\s+", "", formula) for formula in re.findall(r"\$+[^$]+\$+", text)),
        "code": sorted(re.findall(r"`[^`]+`", text)),
    }


@pytest.mark.parametrize("lesson", LESSONS)
def test_both_languages_say_the_same(lesson: str) -> None:
    texts = [cell for cell in WRITER.read(lesson) if cell.language]
    assert [cell.language for cell in texts] == ["en", "zh"] * (len(texts) // 2)
    for english, chinese in zip(texts[::2], texts[1::2], strict=True):
        assert marks(chinese.text) == marks(english.text)
        assert re.search("[\u4e00-\u9fff]", chinese.text)


def run(lesson: str) -> dict[str, Any]:
    pytest.importorskip("matplotlib").use("agg")
    cells, threads = WRITER.read(lesson), rnncore.get_num_threads()
    rnncore.set_num_threads(1)  # the same bits, and nobody waits for a busy processor
    names = WRITER.run(cells)
    rnncore.set_num_threads(threads)
    pictures = [o for cell in cells for o in cell.outputs if "data" in o]
    names["pictures"] = [picture["data"]["text/plain"][0] for picture in pictures]
    return names


def test_rnn_from_scratch() -> None:
    found = run("rnn_from_scratch")
    assert found["worst"] < 1e-8  # derived gradients and finite differences
    x, y = found["x_new"], found["y_new"]
    assert ((found["predict"](found["model"], x) > 0.5) == (y > 0.5)).mean() > 0.99
    assert found["loss"][0] == pytest.approx(found["by_hand"][0], rel=1e-5)
    left = {name: flow[0] / flow[-1] for name, flow in found["flows"].items()}
    assert left["simple, gain 0.5"] < 0.5**39  # tanh takes some more
    assert left["GRU"] < left["LSTM"] < left["LSTM, opened"] < left["GRU, opened"] < 1 < left["simple, gain 1.5"]
    learnt = found["learnt"]
    assert max(learnt["simple, gain 0.5"], learnt["GRU"]) < 0.65
    assert min(learnt[name] for name in left if name not in ("simple, gain 0.5", "GRU")) > 0.9
    assert max(found["bits_right"]["linear"]) < 0.6
    assert min(found["bits_right"]["tanh"]) > 0.99
    best = {name: min(losses.values()) for name, losses in found["final"].items()}
    assert max(best["Adam"], best["SGD, momentum 0.9"]) < best["RMSprop"] < best["SGD"]
    assert found["final"]["Adam"][0.1] > 10 * best["Adam"]
    assert found["pictures"] == ["cross-entropy by epoch", "gradient, as part of the last by state after step"]


def test_sine_to_cosine() -> None:
    found = run("sine_to_cosine")
    assert found["one_value"].history["loss"][-1] == pytest.approx(np.mean(found["y"] ** 2), abs=0.005)
    assert found["ten_values"].history["loss"][-1] < 1e-3
    assert found["difference"] < 1e-8  # RMSprop by hand
    outside = found["outside"]
    assert outside["later"] < 0.01 < outside["half the size"] < 0.1 < outside["twice the size"]
    assert found["rms"]["network"] < 0.9 * found["rms"]["a year ago"] < 0.5 * found["rms"]["no change"]
    fresh = {name: error for name, (_, (_, error)) in found["runs"].items()}
    assert fresh["2,000 windows"] < fresh["L2 0.01"] < fresh["nothing"] < min(fresh["4 units"], fresh["dropout 0.2"])
    assert fresh["early stopping"] < fresh["nothing"]
    assert found["by_units"][1] > 100 * found["by_units"][2] > 100 * found["by_units"][50]
    assert found["speed"][256, 0.001] > 10 * found["speed"][256, 0.01]
    assert found["speed"][32, 0.001] < found["speed"][991, 0.01]
    assert len(found["pictures"]) == 3
