"""The pages of the documentation that errors lead to."""

from __future__ import annotations

import functools

__all__ = ["see"]


def see(page: str) -> str:
    """The end of an error message: where `page`, such as "guide/sequences", says more."""
    address = _address()
    return f"; see {address}/{page}.html" if address else f"; see docs/{page}.md"


@functools.cache
def _address() -> str:
    """Where the pages are, as the project's file says; "" if it does not: then they are in the source."""
    from importlib import metadata

    try:
        urls = metadata.metadata("rnncore").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # from a checkout
        return ""
    named: dict[str, str] = dict(url.split(", ", 1) for url in urls)
    return named.get("Documentation", "").rstrip("/")
