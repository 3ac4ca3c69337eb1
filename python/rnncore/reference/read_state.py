"""read_state: an array (N, ...) that tells N, an initial state (N, H) or None -> h (N, H).

With states kept by the caller that a call resumes, h is what the last step wrote; otherwise the initial state, or
zeros. No gradient flows into the step before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    like, initial = inputs
    shape = (len(like), attributes["units"])
    if run.states is not None and run.resume:
        return [run.state(attributes["state_offset"], shape).copy()], False
    if initial is not None:
        return [initial], True
    return [np.zeros(shape, run.dtype)], False


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dh,) = doutputs
    return [None, dh if saved else None], []
