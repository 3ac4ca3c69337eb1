"""See gradients vanish: how much the loss still knows of the first step, for three recurrent layers.

The task: the first step of a noisy sequence says +1 or -1, and the class of the sequence is that sign. The gradient of
the loss by the state after each step shows whether a network can learn it. A simple network with small random recurrent
weights loses the first step. An LSTM and a GRU whose gates start out open for about as long as the sequence (C. Tallec
and Y. Ollivier, "Can recurrent neural networks warp time?", 2018) keep it. With Keras's initial weights it is not that
simple, as the table shows: the orthogonal recurrent matrix carries the simple network a long way, and gates that start
half open forget after some dozen steps.

    python examples/gradient_flow.py --plot gradients.png
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from rnncore import layers, models
from rnncore.inspection import gradient_flow
from rnncore.utils import set_random_seed

UNITS = 24
CELLS: dict[str, Any] = {"SimpleRNN": layers.SimpleRNN, "LSTM": layers.LSTM, "GRU": layers.GRU}


def make_data(samples: int, steps: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Noise (N, T, 1) whose first step is -1 or 1, and the classes 0 or 1."""
    x = rng.normal(scale=0.5, size=(samples, steps, 1)).astype(np.float32)
    y = rng.integers(0, 2, size=samples)
    x[:, 0, 0] = 2 * y - 1
    return x, y


def build_model(cell: str, steps: int, keras_start: bool) -> models.Sequential:
    """A recurrent layer and a logistic output; `keras_start` keeps the initial weights that Keras gives."""
    start = {} if keras_start else {"recurrent_initializer": "random_normal"}
    layer = CELLS[cell](UNITS, name="recurrent", **start)
    model = models.Sequential([layers.Input((steps, 1)), layer, layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], dtype_policy="float64")
    if not keras_start and cell != "SimpleRNN":
        kernel, recurrent_kernel, bias = layer.get_weights()
        open_for = np.log(np.random.default_rng(0).uniform(1, steps - 1, UNITS))  # sigmoid(log t) = 1 - 1 / (t + 1)
        if cell == "LSTM":
            bias[:UNITS], bias[UNITS : 2 * UNITS] = -open_for, open_for  # input and forget gate
        else:
            bias[0, :UNITS] = open_for  # update gate
        layer.set_weights([kernel, recurrent_kernel, bias])
    return model


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Print the table, draw the picture; what is left of the gradient at the first step, by layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="steps of a sequence")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="do not train")
    parser.add_argument("--plot", metavar="FILE", help="draw the gradients (needs matplotlib)")
    options = parser.parse_args(arguments)

    x, y = make_data(2000, options.steps, np.random.default_rng(options.seed))
    flows, left = {}, {}
    print(f"{'layer':<12}{'start':<10}{'gradient left at step 1':>25}{'accuracy after training':>25}")
    for keras_start in (False, True):
        for cell in CELLS:
            set_random_seed(options.seed)
            model = build_model(cell, options.steps, keras_start)
            flow = gradient_flow(model, x[:200], y[:200])["recurrent"]
            ratio = float(flow[0] / flow[-1])
            accuracy = "-"
            if not options.quick:
                model.fit(x, y, epochs=options.epochs, verbose=0)
                accuracy = f"{np.mean((model.predict(x, verbose=0)[:, 0] > 0.5) == y):.3f}"
            print(f"{cell:<12}{'Keras' if keras_start else 'as told':<10}{ratio:>25.1e}{accuracy:>25}")
            if not keras_start:
                flows[cell], left[cell] = flow, ratio
    if options.plot:
        from rnncore.plotting import plot_gradient_flow

        plot_gradient_flow(flows, to_file=options.plot)
    return left


if __name__ == "__main__":
    main()
