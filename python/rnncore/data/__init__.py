"""Data sets: windows of tables, and samples in files that are larger than memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.data.parquet import ParquetDataset
from rnncore.data.recipe import WindowRecipe, windows
from rnncore.data.rows import ArrayDataset, Dataset
from rnncore.data.window_set import Windows

__all__ = ["ArrayDataset", "Dataset", "ParquetDataset", "WindowRecipe", "Windows", "windows"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
