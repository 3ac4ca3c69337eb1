"""Training where some outputs have no loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore.data import Array


class LossWeights:
    """An executor that is given the sample weights of all outputs, and reads those of the outputs with a loss."""

    def __init__(self, executor: Any, outputs: Sequence[int]) -> None:
        self._executor = executor
        self._outputs = outputs

    def __getattr__(self, run: str) -> Any:
        method = getattr(self._executor, run)
        if run not in ("train", "test"):
            return method

        def of_outputs(*arguments: Any, sample_weight: Sequence[Array | None] | None = None, **options: Any) -> int:
            given = None if sample_weight is None else of_losses(sample_weight, self._outputs)
            done: int = method(*arguments, sample_weight=given, **options)
            return done

        return of_outputs


def of_losses(weights: Sequence[Array | None], outputs: Sequence[int]) -> list[Array | None]:
    """One entry for each loss, of one for each output."""
    return [weights[output] for output in outputs]
