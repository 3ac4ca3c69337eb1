"""From the outputs of a model to sequences of symbols."""

from __future__ import annotations

from rnncore.decoding.ctc import Transcript, ctc_beam, ctc_greedy

__all__ = ["Transcript", "ctc_beam", "ctc_greedy"]
