"""Compose layer-normalized cells of PyTorch's operations, with its gradients, and store them: torch_normalized.npz.

Run it in an environment that has what `make_goldens.py` needs: `KERAS_BACKEND=torch python make_torch_normalized.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from make_goldens import UNITS, Arrays, Goldens, T, draw
from torch.nn.functional import layer_norm

EPSILON = 1e-3
ROWS = {"simple_rnn": 1, "lstm": 10, "gru": 6}
Step = Callable[[Any, list[Any], dict[str, Any]], list[Any]]


def normal(z: Any, gain: Any, shift: Any = None) -> Any:
    return layer_norm(z, z.shape[-1:], gain.reshape(-1), shift, eps=EPSILON)


def simple_rnn(x: Any, state: list[Any], w: dict[str, Any]) -> list[Any]:
    z = x @ w["kernel"] + state[0] @ w["recurrent_kernel"]
    return [torch.tanh(normal(z, w["normalization_weights"], w["bias"]))]


def lstm(x: Any, state: list[Any], w: dict[str, Any]) -> list[Any]:
    h, c = state
    rows = w["normalization_weights"]
    z = normal(x @ w["kernel"], rows[:4]) + normal(h @ w["recurrent_kernel"], rows[4:8]) + w["bias"]
    i, f, g, o = z.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(normal(c, rows[8], rows[9])), c]


def gru(x: Any, state: list[Any], w: dict[str, Any]) -> list[Any]:
    (h,) = state
    rows = w["normalization_weights"]
    az, ar, ag = normal(x @ w["kernel"], rows[:3], w["bias"][0]).chunk(3, dim=-1)
    bz, br, bg = normal(h @ w["recurrent_kernel"], rows[3:], w["bias"][1]).chunk(3, dim=-1)
    z, r = torch.sigmoid(az + bz), torch.sigmoid(ar + br)
    return [z * h + (1 - z) * torch.tanh(ag + r * bg)]


def run(step: Step, arrays: Arrays, lengths: Any, reverse: bool) -> Arrays:
    names = ("kernel", "recurrent_kernel", "bias", "normalization_weights")
    x = torch.tensor(arrays["x"], requires_grad=True)
    weights = {name: torch.tensor(arrays[name], requires_grad=True) for name in names}
    initial = [torch.tensor(part, requires_grad=True) for part in arrays["initial_state"]]
    real = torch.tensor(np.arange(T) < lengths[:, None])
    state, output = initial, [None] * T
    for t in range(T)[:: -1 if reverse else 1]:
        new = step(x[:, t], state, weights)
        state = [torch.where(real[:, t, None], a, b) for a, b in zip(new, state, strict=True)]
        output[t] = state[0]
    sequence = torch.stack(output, dim=1)
    loss = (sequence * torch.tensor(arrays["doutput"]) * real[..., None]).sum()
    loss = loss + sum((part * torch.tensor(d)).sum() for part, d in zip(state, arrays["dstate"], strict=True))
    loss.backward()
    return {
        "lengths": lengths,
        "output": sequence.detach().numpy(),
        "state": [part.detach().numpy() for part in state],
        "gradient_x": x.grad.numpy(),
        "gradient_initial_state": [part.grad.numpy() for part in initial],
        **{f"gradient_{name}": weights[name].grad.numpy() for name in names},
    }


def main() -> None:
    """Store each cell in both directions, rows that end early."""
    goldens = Goldens()
    for seed, step in enumerate([simple_rnn, lstm, gru]):
        for reverse in (False, True):
            function = step.__name__
            arrays = draw(140 + 2 * seed + reverse, function, split_bias=function == "gru")
            rng = np.random.default_rng(150 + seed)
            arrays["normalization_weights"] = rng.normal(1, 0.5, size=(ROWS[function], UNITS))
            arrays |= run(step, arrays, np.array([4, 5, 2]), reverse)
            goldens.add(f"{function}-reverse={reverse}", function, {"reverse": reverse}, arrays)
    goldens.save("torch_normalized.npz")


if __name__ == "__main__":
    main()
