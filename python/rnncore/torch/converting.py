"""Layers and models from PyTorch's modules, and modules' weights from layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from rnncore import layers, models
from rnncore.layers import Layer
from rnncore.torch.weights import arrays_of, load_state_dict

__all__ = ["from_torch", "state_dict"]


def state_dict(layer: Any, prefix: str = "") -> dict[str, Any]:
    """The weights of layers as a `state_dict` that PyTorch's modules load.

    Parameters
    ----------
    layer : layer, model or sequence of recurrent layers
        What `load_state_dict` takes. A sequence is a module of `num_layers`; in a model each layer is a module of the
        layer's name.
    prefix : str, default ""
        What all names begin with.

    Returns
    -------
    dict of str to Tensor
        Copies. A `SimpleRNN` or `LSTM` has one bias, PyTorch two: the second is zero.

    Raises
    ------
    ValueError
        If a layer has no counterpart or no weights yet.
    TypeError
        If `layer` is something else.

    Examples
    --------
    >>> from torch import nn
    >>> from rnncore import layers
    >>> from rnncore.torch import state_dict
    >>> layer = layers.GRU(4)
    >>> layer.build((None, None, 3))
    >>> nn.GRU(3, 4).load_state_dict(state_dict(layer))
    <All keys matched successfully>
    """
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays_of(layer, prefix).items()}


def from_torch(module: Any, *, return_sequences: bool = True) -> models.Sequential:
    """A model that computes what PyTorch's modules compute one after the other.

    Parameters
    ----------
    module : torch.nn.Module or iterable of them
        `Linear`, `Embedding`, `RNN`, `LSTM`, `GRU`, `LayerNorm`, `BatchNorm1d` of (N, C), `Dropout`, `Identity` and
        activations, one of them or several: in a `Sequential` or `ModuleList`, or in a list where a module of one's own
        says in Python what comes after what, as ``[net.embedding, net.rnn, net.head]``. A recurrent module hands its
        output to the next one.
    return_sequences : bool, default True
        Whether the last recurrent module hands on its output of all steps, or of its last step: in each
        direction, the last it computed, as in `h_n`.

    Returns
    -------
    models.Sequential
        Batch-first, with the modules' weights in the dtype of `config.floatx`, and not compiled.

    Notes
    -----
    Training goes on as rnncore's layers train: an `Embedding` learns the row of its `padding_idx` too, and the moving
    variance of a `BatchNorm1d` is divided by the count.

    Raises
    ------
    ValueError
        If a module or one of its options has no counterpart; the text names it.
    TypeError
        If `module` is something else.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from rnncore.torch import from_torch
    >>> embedding, rnn, head = nn.Embedding(20, 6), nn.GRU(6, 8, batch_first=True, bidirectional=True), nn.Linear(16, 3)
    >>> model = from_torch([embedding, rnn, head], return_sequences=False)
    >>> ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    >>> h = rnn(embedding(ids))[1]
    >>> expected = head(torch.cat((h[0], h[1]), 1)).detach()
    >>> torch.allclose(torch.from_numpy(model.predict(ids, verbose=0)), expected, atol=1e-6)
    True
    """
    chain = list(_flat(module))
    recurrent = [place for place, part in enumerate(chain) if isinstance(part, nn.RNNBase)]
    made: list[tuple[Any, list[Layer]]] = []
    for place, part in enumerate(chain):
        if isinstance(part, nn.RNNBase):
            sequences = return_sequences or place != recurrent[-1]
            made.append((part, _stack(part, sequences)))
        else:
            ended = bool(recurrent) and place > recurrent[-1] and not return_sequences
            made.append((part, _plain(part, bool(recurrent) and not ended)))
    found = [layer for _, part in made for layer in part]
    if not found:
        raise ValueError("module: expected at least one module that computes something")
    features = next((size for part in chain if (size := _features(part))), None)
    first: Any = layers.Input((None,), dtype="int32") if isinstance(chain[0], nn.Embedding) else None
    if first is None:
        first = layers.Input((None, features) if recurrent else (features,))
    model = models.Sequential([first, *found])
    for part, parts in made:
        weighted = [layer for layer in parts if layer.weights]
        if weighted:
            load_state_dict(weighted, part.state_dict())
    return model


def _flat(module: Any) -> Iterable[Any]:
    """The modules in their order, those of containers one by one."""
    if isinstance(module, nn.Module):
        if not isinstance(module, (nn.Sequential, nn.ModuleList)):
            yield module
            return
    elif isinstance(module, (str, bytes, dict)) or not isinstance(module, Iterable):
        raise TypeError(f"module: expected a torch.nn.Module or several, got {type(module).__name__}")
    for part in module:
        yield from _flat(part)


def _features(part: Any) -> int | None:
    """The size of the last axis that a module reads, if it says so."""
    for name in ("input_size", "in_features", "num_features", "num_embeddings"):
        if hasattr(part, name):
            return int(getattr(part, name))
    return int(part.normalized_shape[0]) if isinstance(part, nn.LayerNorm) else None


def _stack(part: Any, return_sequences: bool) -> list[Layer]:
    """The layers of a recurrent module, and dropout between them."""
    options: dict[str, Any] = {"use_bias": part.bias}
    kind: Any = {"LSTM": layers.LSTM, "GRU": layers.GRU}.get(part.mode, layers.SimpleRNN)
    if part.mode == "RNN_RELU":
        options["activation"] = "relu"
    if part.proj_size:
        options["projection_units"] = part.proj_size
    found: list[Layer] = []
    for level in range(part.num_layers):
        last = level == part.num_layers - 1
        layer = kind(part.hidden_size, return_sequences=return_sequences or not last, **options)
        found.append(layers.Bidirectional(layer) if part.bidirectional else layer)
        if part.dropout and not last:
            found.append(layers.Dropout(part.dropout))
    return found


ACTIVATIONS = {
    nn.GELU: "gelu",
    nn.Hardsigmoid: "hard_sigmoid",
    nn.Mish: "mish",
    nn.ReLU: "relu",
    nn.SELU: "selu",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
    nn.Softplus: "softplus",
    nn.Softsign: "softsign",
    nn.Tanh: "tanh",
}
# How a module without recurrence is written as layers.
OTHERS: dict[Any, Callable[[Any], list[Layer]]] = {
    nn.BatchNorm1d: lambda part: [
        layers.BatchNormalization(momentum=1 - part.momentum, epsilon=part.eps, center=part.affine, scale=part.affine)
    ],
    nn.Dropout: lambda part: [layers.Dropout(part.p)] if part.p else [],
    nn.ELU: lambda part: [layers.ELU(part.alpha)],
    nn.Embedding: lambda part: [layers.Embedding(part.num_embeddings, part.embedding_dim)],
    nn.Identity: lambda part: [],
    nn.LayerNorm: lambda part: [
        layers.LayerNormalization(epsilon=part.eps, scale=part.weight is not None, center=part.bias is not None)
    ],
    nn.LeakyReLU: lambda part: [layers.LeakyReLU(part.negative_slope)],
    nn.Linear: lambda part: [layers.Dense(part.out_features, use_bias=part.bias is not None)],
    nn.Softmax: lambda part: [layers.Softmax()],
}


def _plain(part: Any, sequence: bool) -> list[Layer]:
    """The layers of a module that is not recurrent and reads a sequence, or rows of features."""
    kind, name = type(part), f"{type(part).__module__}.{type(part).__name__}"
    if kind not in ACTIVATIONS and kind not in OTHERS:
        known = ", ".join(sorted(known.__name__ for known in (*ACTIVATIONS, *OTHERS)))
        raise ValueError(f"module: {name} has no counterpart here; give the parts of it, as {known}, RNN, LSTM and GRU")
    if wrong := _unsupported_option(part, sequence):
        raise ValueError(f"module: {name} with {wrong} has no counterpart here")
    if kind in ACTIVATIONS:
        return [layers.Activation(ACTIVATIONS[kind])]
    return OTHERS[kind](part)


def _unsupported_option(part: Any, sequence: bool) -> str | None:
    """The option of a known module that its layers have not, or None."""
    last = 2 if sequence else 1
    if isinstance(part, nn.Softmax) and part.dim not in (-1, last):
        return f"dim={part.dim}"
    if isinstance(part, nn.LayerNorm) and len(part.normalized_shape) != 1:
        return f"normalized_shape={part.normalized_shape}"
    if isinstance(part, nn.BatchNorm1d) and (sequence or part.momentum is None or part.running_mean is None):
        return "an input of sequences" if sequence else f"momentum={part.momentum}, statistics of each batch"
    if isinstance(part, nn.Softplus) and part.beta != 1:
        return f"beta={part.beta}"
    if isinstance(part, nn.GELU) and part.approximate != "none":
        return f"approximate={part.approximate!r}"
    if isinstance(part, nn.Embedding) and part.max_norm is not None:
        return f"max_norm={part.max_norm}"
    return None
