"""From the outputs of a model to sequences of symbols."""

from __future__ import annotations

from rnncore.decoding.ctc import Transcript, ctc_beam, ctc_greedy
from rnncore.decoding.search import Hypothesis, beam_search, greedy_search, sample

__all__ = ["Hypothesis", "Transcript", "beam_search", "ctc_beam", "ctc_greedy", "greedy_search", "sample"]
