"""What a description knows of the steps of a value that are not valid."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["NO_MASK", "Mask"]


@dataclass(frozen=True)
class Mask:
    """Which steps of a value (N, T, ...) are valid: those that both parts call valid.

    The lengths of a batch go on wherever the time axis does, so that what padding holds is never read. A mask ends
    where Keras drops it: the two are kept apart, and put together where they are read.

    Attributes
    ----------
    padding : int, default -1
        The lengths (N,) of the batch or a mask (N, T) that follows from them; -1 where there is none.
    own : int, default -1
        A mask (N, T) that layers have made or a call was given; -1 where there is none.
    """

    padding: int = -1
    own: int = -1

    @property
    def padding_alone(self) -> Mask:
        """What goes on where masks end."""
        return replace(self, own=-1)


NO_MASK = Mask()
