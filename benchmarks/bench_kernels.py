"""The peer table of the recurrent kernels: every engine, every shape, each answer checked before it is timed."""

from __future__ import annotations

import sys

from harness import fma_peak, slow_to_meet
from peers import ALL_PEERS

from rnncore.bench import main

if __name__ == "__main__":
    shapes = ("tiny", "small", "medium", "b8h256", "large", "xl", "b1long")
    sys.exit(
        main(
            program="bench_kernels.py",
            peers=ALL_PEERS,
            shapes=shapes,
            peak=fma_peak,
            peak_name="FMA peak",
            hindered=slow_to_meet,
        )
    )
