"""RNN, LSTM and GRU nodes step by step in NumPy, with every option: for what no layer has, and as an oracle.

Each step is some dozen NumPy calls: much slower than a layer.
"""

from __future__ import annotations

import numpy as np

from rnncore._data import Array
from rnncore.onnx.recurrent_nodes import Direction, RecurrentNode

__all__ = ["run"]


def run(node: RecurrentNode, x: Array, lengths: Array | None, states: list[Array | None]) -> list[Array]:
    """The outputs of a node: Y, Y_h and, of an LSTM, Y_c.

    Parameters
    ----------
    node : RecurrentNode
    x : ndarray, shape (T, N, I), or (N, T, I) in layout 1
    lengths : ndarray of int, shape (N,), or None
    states : list of ndarray, shape (D, N, H), or (N, D, H) in layout 1, or None
        The initial h, and c of an LSTM.
    """
    if node.layout:
        x = x.swapaxes(0, 1)
        states = [None if state is None else state.swapaxes(0, 1) for state in states]
    steps, rows, _ = x.shape
    counts = np.full(rows, steps) if lengths is None else lengths
    y = np.zeros((steps, len(node.directions), rows, node.units), x.dtype)
    ends = [np.zeros((len(node.directions), rows, node.units), x.dtype) for _ in range(node.cell.states)]
    for number, direction in enumerate(node.directions):
        state = [np.zeros((rows, node.units), x.dtype) if s is None else s[number].copy() for s in states]
        for step in range(steps):
            live = np.flatnonzero(step < counts)
            times = counts[live] - 1 - step if direction.backward else np.full(len(live), step)
            new = _step(node, direction, x[times, live], [part[live] for part in state])
            for part, value in zip(state, new, strict=True):
                part[live] = value
            y[times, number, live] = new[0]
        for end, part in zip(ends, state, strict=True):
            end[number] = part
    if node.layout:
        return [y.transpose(2, 0, 1, 3), *(end.swapaxes(0, 1) for end in ends)]
    return [y, *ends]


def _step(node: RecurrentNode, direction: Direction, x: Array, state: list[Array]) -> list[Array]:
    """The states after a step."""
    clip, names = node.clip, direction.activations

    def clipped(z: Array) -> Array:
        return np.clip(z, -clip, clip) if clip else z

    gates, h = node.cell.gates, state[0]
    kernel, recurrent = direction.kernel.T, direction.recurrent_kernel.T
    zero = np.zeros(2 * gates * node.units, x.dtype)
    input_bias, recurrent_bias = np.split(zero if direction.bias is None else direction.bias, 2)
    a = x @ kernel + input_bias
    if node.op == "RNN":
        return [names[0](clipped(a + h @ recurrent + recurrent_bias))]
    if node.op == "GRU":
        az, ar, ah = np.split(a, 3, axis=1)
        kz, kr, kh = np.split(recurrent, 3, axis=1)
        bz, br, bh = np.split(recurrent_bias, 3)
        z, r = names[0](clipped(az + h @ kz + bz)), names[0](clipped(ar + h @ kr + br))
        inner = r * (h @ kh + bh) if node.linear_before_reset else (r * h) @ kh + bh
        return [(1 - z) * names[1](clipped(ah + inner)) + z * h]
    c = state[1]
    ai, ao, af, ac = np.split(a + h @ recurrent + recurrent_bias, 4, axis=1)
    pi, po, pf = np.split(np.zeros(3 * node.units, x.dtype) if direction.peepholes is None else direction.peepholes, 3)
    f, g, output = names
    i = f(clipped(ai + pi * c))
    forget = 1 - i if node.input_forget else f(clipped(af + pf * c))
    c = forget * c + i * g(clipped(ac))
    return [f(clipped(ao + po * c)) * output(c), c]
