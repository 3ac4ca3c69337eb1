"""Training on several processes and machines through MPI, each with its share of every batch."""

from __future__ import annotations

from rnncore._namespace import public
from rnncore.distributed.fitting import fit

__all__ = ["fit"]

__getattr__, __dir__ = public(__name__, __all__)
