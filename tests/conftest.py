"""What all tests share."""

from __future__ import annotations

import hypothesis

# The same examples on every run, however slow the machine.
hypothesis.settings.register_profile("rnncore", deadline=None, derandomize=True)
hypothesis.settings.load_profile("rnncore")
