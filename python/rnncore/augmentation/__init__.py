"""Seeded random changes of training sequences.

An augmentation is called on sequences (N, T, C), or given to `fit(..., augment=...)`, which applies it to the training
data anew in each epoch. The same seed, epoch and sample get the same change, whatever the order of samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.augmentation.base import Augmentation
from rnncore.augmentation.compose import Compose
from rnncore.augmentation.masking import FeatureMasking, TimeMasking
from rnncore.augmentation.noise import Jitter, MagnitudeWarp, Scaling
from rnncore.augmentation.time import Permutation, TimeWarp, WindowSlicing

__all__ = [
    "Augmentation",
    "Compose",
    "FeatureMasking",
    "Jitter",
    "MagnitudeWarp",
    "Permutation",
    "Scaling",
    "TimeMasking",
    "TimeWarp",
    "WindowSlicing",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
