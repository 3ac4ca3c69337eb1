"""Memory that the process holds once models and arrays are gone."""

from __future__ import annotations

import sys
import textwrap

import pytest
from alone import run_alone

SETUP = """
import gc, os, sys
import numpy as np, rnncore
from rnncore import functional, layers, models

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

def train(rows, steps, units):
    x = np.ones((rows, steps, 16), "float32")
    model = models.Sequential([layers.Input((steps, 16)), layers.LSTM(units), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, np.ones(rows), epochs=1, batch_size=rows, verbose=0)
    held.append(resident())

def call(rows, steps, units):
    result = functional.lstm(
        np.ones((rows, steps, 16), "float32"),
        np.ones((16, 4 * units), "float32"),
        np.zeros((units, 4 * units), "float32"),
        training=True,
    )
    functional.backward(result.tape, result.output)
    held.append(resident())

held = []
train(4, 5, 8)  # what is loaded and made once
call(4, 5, 8)
before = resident()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
class TestResidentMemory:
    """Megabytes."""

    def test_a_deleted_model_keeps_nothing(self) -> None:
        code = """
        for size in (64, 128, 256, 200):
            train(size, 200, 128)
        assert max(held) - before > 150, "too small to tell"
        assert resident() - before < 40, (before, held, resident())
        """
        run_alone(SETUP + textwrap.dedent(code))

    def test_calls_keep_little(self) -> None:
        code = """
        for rows in range(100, 500, 40):
            call(rows, 200, 128)
        assert max(held) - before > 300, "too small to tell"
        assert resident() - before < 300, (before, held, resident())
        """
        run_alone(SETUP + textwrap.dedent(code))

    def test_release_memory(self) -> None:
        code = """
        for rows in range(100, 300, 40):
            call(rows, 200, 128)
        assert resident() - before > 100, "too small to tell"
        rnncore.release_memory()
        assert resident() - before < 30, (before, held, resident())
        call(100, 200, 128)  # and it goes on
        """
        run_alone(SETUP + textwrap.dedent(code))
