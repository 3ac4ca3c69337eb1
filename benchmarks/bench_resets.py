"""What resets cost: rows in which episodes end and begin, beside the same call without resets.

Each step begins a new episode with a probability of 1 over the mean length. PyTorch runs its module step by step and
multiplies the states by 0 where an episode begins, as code of recurrent reinforcement learning does.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import check_step, layer_options, save

from rnncore import functional, reference
from rnncore.bench import PEERS, Case, interleave, load, markdown

EPISODES = (100, 20, 4)  # mean lengths


def marks(case: Case, episode: int) -> np.ndarray:
    """Where episodes begin (N, T)."""
    rows, steps, _, _ = case.shape
    return np.random.default_rng(episode).random((rows, steps)) < 1 / episode


def step_of(module: Any, case: Case, resets: np.ndarray | None) -> Callable[[], tuple[Any, Any]]:
    """Make a training step; it returns the output and the gradient of the input."""
    x, kernel, recurrent_kernel, bias = case.data.values()

    def step() -> tuple[Any, Any]:
        function = getattr(module, case.cell)
        result = function(x, kernel, recurrent_kernel, bias, resets=resets, training=True)
        return result.output, module.backward(result.tape, case.doutput).x

    return step


def torch_step(torch: Any, module: Any, case: Case, resets: np.ndarray) -> Callable[[], tuple[Any, Any]]:
    """The same in PyTorch, one step after the other."""
    x, doutput = (torch.tensor(np.swapaxes(a, 0, 1).copy()) for a in (case.data["x"], case.doutput))
    goes_on = torch.tensor(1 - np.swapaxes(resets, 0, 1).astype(np.float32))[:, None, :, None]
    x.requires_grad_()
    sources = (x, *module.parameters())

    def step() -> tuple[Any, Any]:
        shape = (1, case.shape.rows, case.shape.units)
        state = tuple(torch.zeros(shape) for _ in range(1 + (case.cell == "lstm")))
        outputs = []
        for x_t, on in zip(x, goes_on, strict=True):
            state = tuple(on * part for part in state)
            output, new = module(x_t[None], state if len(state) == 2 else state[0])
            state = new if len(state) == 2 else (new,)
            outputs.append(output)
        output = torch.cat(outputs)
        dx = torch.autograd.grad(output, sources, doutput)[0]
        return output.detach().numpy().swapaxes(0, 1), dx.numpy().swapaxes(0, 1)

    return step


def main() -> None:
    options = layer_options(__doc__, ("small", "medium", "b8h256"), rounds=5)

    engines = load({name: PEERS[name] for name in ("rnncore", "torch")}, options.threads)
    torch = next((engine for engine in engines if engine.name == "PyTorch"), None)
    rows, records = [], []
    for cell in options.cells:
        for shape in options.shapes:
            case = Case(cell, shape, training=True)
            for episode in EPISODES:
                resets = marks(case, episode)
                calls = {"none": step_of(functional, case, None), "resets": step_of(functional, case, resets)}
                if torch is not None:
                    calls["PyTorch"] = torch_step(torch.torch, torch.module(case), case, resets)
                expected = step_of(reference, case, resets)()
                for name in {*calls} - {"none"}:
                    check_step(f"{case}, {name}", calls[name](), expected, tolerance=2e-4)
                times = interleave(calls, rounds=options.rounds)
                seconds = {name: statistics.median(values) for name, values in times.items()}
                records.append({"cell": cell, "shape": list(shape), "episode": episode, "seconds": seconds})
                ratio = f"{seconds['PyTorch'] / seconds['resets']:.1f}" if torch is not None else ""
                rows.append(
                    [
                        f"{cell} {shape}",
                        str(episode),
                        *(f"{1e3 * seconds[name]:.3f}" if name in seconds else "" for name in ("none", "resets")),
                        f"{seconds['resets'] / seconds['none']:.2f}",
                        f"{1e3 * seconds['PyTorch']:.1f}" if torch is not None else "",
                        ratio,
                    ]
                )
    save(options.json, records, threads=options.threads)
    print(markdown(["case", "episode", "without, ms", "resets, ms", "× without", "PyTorch, ms", "× resets"], rows))


if __name__ == "__main__":
    main()
