"""Small data sets that come with the package, and functions that fetch larger ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.datasets.fetching import (
    cache_folder,
    fetch_ett,
    fetch_file,
    fetch_names,
    fetch_rt_polarity,
    fetch_tinyshakespeare,
)
from rnncore.datasets.series import co2, el_nino, sunspots

__all__ = [
    "cache_folder",
    "co2",
    "el_nino",
    "fetch_ett",
    "fetch_file",
    "fetch_names",
    "fetch_rt_polarity",
    "fetch_tinyshakespeare",
    "sunspots",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
