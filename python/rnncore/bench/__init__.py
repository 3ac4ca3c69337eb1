"""Time rnncore against PyTorch and JAX, where they are installed: `python -m rnncore bench`."""

from __future__ import annotations

from .cases import CELLS, SHAPES, Answer, Case, Shape
from .command import load, main, measure, processor
from .peers import PEERS, Peer, Prepared, Rnncore, time_major
from .table import Timing, geometric_mean, markdown, tables
from .timing import PAUSE, interleave, matrix_product_peak

__all__ = [
    "CELLS",
    "PAUSE",
    "PEERS",
    "SHAPES",
    "Answer",
    "Case",
    "Peer",
    "Prepared",
    "Rnncore",
    "Shape",
    "Timing",
    "geometric_mean",
    "interleave",
    "load",
    "main",
    "markdown",
    "matrix_product_peak",
    "measure",
    "processor",
    "tables",
    "time_major",
]
