"""What all tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import hypothesis
import pytest

from rnncore import _core

# The same examples on every run, however slow the machine.
hypothesis.settings.register_profile("rnncore", deadline=None, derandomize=True)
hypothesis.settings.load_profile("rnncore")

# A shell lets what it starts in the background ignore Ctrl-C; the tests of Ctrl-C need Python's usual answer to it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _same_core() -> Iterator[None]:
    """Each test begins with the level and the threads that the process began with."""
    level, threads = _core.isa(), _core.get_num_threads()
    yield
    _core.set_isa(level)
    _core.set_num_threads(threads)
