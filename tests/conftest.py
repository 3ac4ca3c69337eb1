"""What all tests share."""

from __future__ import annotations

import signal

import hypothesis

# The same examples on every run, however slow the machine.
hypothesis.settings.register_profile("rnncore", deadline=None, derandomize=True)
hypothesis.settings.load_profile("rnncore")

# A shell lets what it starts in the background ignore Ctrl-C; the tests of Ctrl-C need Python's usual answer to it.
signal.signal(signal.SIGINT, signal.default_int_handler)
