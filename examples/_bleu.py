"""BLEU: how many runs of one to four words a translation shares with the wanted one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

ORDERS = 4


def runs(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """How often each run of `order` words occurs."""
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def bleu(translations: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    """BLEU-4 of a corpus with one reference each, from 0 to 100 (Papineni et al. 2002).

    It is the geometric mean of the precisions p_1 to p_4, each counted over the whole corpus, where a run counts at
    most as often as it occurs in the reference, times exp(1 − r/c) if the c translated words are fewer than the r of
    the references. It is 0 when no run of four is right; nothing is smoothed.

    Examples
    --------
    >>> bleu([["a", "b", "c", "d", "x"]], [["a", "b", "c", "d", "e"]])  # 100 · (4/5 · 3/4 · 2/3 · 1/2) ** (1/4)
    66.87403049764218
    """
    right, found = [0] * ORDERS, [0] * ORDERS
    for translation, reference in zip(translations, wanted, strict=True):
        for order in range(1, ORDERS + 1):
            here = runs(translation, order)
            right[order - 1] += sum((here & runs(reference, order)).values())
            found[order - 1] += sum(here.values())
    if 0 in right:
        return 0.0
    precision = math.exp(sum(math.log(r / f) for r, f in zip(right, found, strict=True)) / ORDERS)
    length, reference_length = sum(map(len, translations)), sum(map(len, wanted))
    return 100 * precision * min(1.0, math.exp(1 - reference_length / length))
