"""What padding costs: rows of lengths drawn uniformly from 1..T, beside full rows.

A step with lengths has half the work of the full one. PyTorch packs and pads its `PackedSequence` inside of the
step, as a user's model does.
"""

from __future__ import annotations

import statistics

from harness import layer_options, save

from rnncore.bench import PEERS, Case, load, markdown, measure


def main() -> None:
    options = layer_options(__doc__, ("medium",), rounds=5)

    engines = load({name: PEERS[name] for name in ("rnncore", "torch")}, options.threads)
    rows, records = [], []
    for cell in options.cells:
        for shape in options.shapes:
            full, padded = (
                measure(Case(cell, shape, training=True, padded=padded), engines, options.rounds)
                for padded in (False, True)
            )
            for whole, part in zip(full, padded, strict=True):
                times = [1e3 * statistics.median(timing.seconds) for timing in (whole, part)]
                names = {"cell": cell, "shape": list(shape), "peer": whole.peer}
                records.append({**names, "full_ms": times[0], "padded_ms": times[1]})
                ratios = times[1] / times[0], part.case.flop / whole.case.flop
                rows.append([str(whole.case), whole.peer, *(f"{t:.3f}" for t in times), *(f"{r:.2f}" for r in ratios)])
    save(options.json, records, threads=options.threads)
    print(markdown(["case", "", "full, ms", "padded, ms", "padded / full", "work"], rows))


if __name__ == "__main__":
    main()
