"""From the outputs of a model to sequences of symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.decoding.crf import crf_n_best, crf_viterbi
from rnncore.decoding.ctc import Transcript, ctc_beam, ctc_greedy
from rnncore.decoding.search import Hypothesis, beam_search, greedy_search, sample

__all__ = [
    "Hypothesis",
    "Transcript",
    "beam_search",
    "crf_n_best",
    "crf_viterbi",
    "ctc_beam",
    "ctc_greedy",
    "greedy_search",
    "sample",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
