"""No public name, parameter, default or member is lost."""

from __future__ import annotations

import pytest
from goldens import FOLDER
from public_api import EXTRAS, lines


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_all_that_was_public_is_public_with_the_same_signature(extra: str) -> None:
    """What is new is added to the file by `public_api.py`; what goes or changes is a decision."""
    if extra:
        pytest.importorskip(extra, reason=f"{extra} is not installed")
    file = FOLDER / (f"public_api_{extra}.txt" if extra else "public_api.txt")
    stored, found = file.read_text(encoding="utf-8").splitlines(), list(lines(extra))
    assert sorted(set(stored) - set(found)) == []
    assert sorted(set(found) - set(stored)) == []
