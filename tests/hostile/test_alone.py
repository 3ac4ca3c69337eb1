"""The harness itself: it must see a crash, a hang and an error."""

from __future__ import annotations

import pytest
from alone import run_alone


def test_output_and_arguments_are_handed_on() -> None:
    assert run_alone("import sys; print(sys.argv[1])", "seen") == "seen\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.abort()", "exit status -6"),
        ("raise ValueError('wrong')", "ValueError: wrong"),
        ("import time; time.sleep(60)", r"no end within 0\.5 s"),
    ],
    ids=["crash", "error", "hang"],
)
def test_failures_are_seen(code: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        run_alone(code, seconds=0.5 if "sleep" in code else 60)
