"""In which order packages store the gates of a cell, and how blocks of weights go from one order to another."""

from __future__ import annotations

import numpy as np

from rnncore._data import Array

__all__ = ["ORDERS", "permutation", "reorder"]

# A letter for each block: input, forget, cell, output; update z, reset r, candidate h. Keras has the orders of rnncore.
ORDERS: dict[str, dict[str, str]] = {
    "rnncore": {"simple_rnn": "h", "lstm": "ifco", "gru": "zrh", "peepholes": "ifo"},
    "torch": {"simple_rnn": "h", "lstm": "ifco", "gru": "rzh"},
    "onnx": {"simple_rnn": "h", "lstm": "iofc", "gru": "zrh", "peepholes": "iof"},
}


def permutation(cell: str, source: str, target: str) -> list[int]:
    """Which block of `source` is each block of `target`."""
    return [ORDERS[source][cell].index(gate) for gate in ORDERS[target][cell]]


def reorder(array: Array, cell: str, source: str, target: str, axis: int = -1) -> Array:
    """Bring the gates along an axis into the order of another package.

    Parameters
    ----------
    array : ndarray
        With one block of equal size for each gate along `axis`.
    cell : {"simple_rnn", "lstm", "gru", "peepholes"}
    source, target : {"rnncore", "torch", "onnx"}
    axis : int, default -1

    Returns
    -------
    ndarray
        `array` itself where the orders are the same, else a copy.

    Raises
    ------
    ValueError
        If the axis cannot be split into the gates.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore._gate_orders import reorder
    >>> reorder(np.array(["r0", "r1", "z0", "z1", "h0", "h1"]), "gru", "torch", "rnncore").tolist()
    ['z0', 'z1', 'r0', 'r1', 'h0', 'h1']
    """
    order = permutation(cell, source, target)
    if array.shape[axis] % len(order):
        raise ValueError(f"expected {len(order)} gates along axis {axis}, got shape {array.shape}")
    if order == sorted(order):
        return array
    blocks = np.split(array, len(order), axis)
    return np.concatenate([blocks[block] for block in order], axis)
