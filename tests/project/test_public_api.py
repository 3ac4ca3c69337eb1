"""No public name, parameter, default or member is lost."""

from __future__ import annotations

from goldens import FOLDER
from public_api import lines

STORED = FOLDER / "public_api.txt"


def test_all_that_was_public_is_public_with_the_same_signature() -> None:
    """What is new is added to the file by `public_api.py`; what goes or changes is a decision."""
    stored, found = STORED.read_text(encoding="utf-8").splitlines(), list(lines())
    assert sorted(set(stored) - set(found)) == []
    assert sorted(set(found) - set(stored)) == []
