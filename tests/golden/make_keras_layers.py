"""Apply Keras's layers to random numbers and store what came out, and the gradients: keras_layers.npz.

Run with Keras 3 and PyTorch installed: KERAS_BACKEND=torch python tests/golden/make_keras_layers.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

FUNCTIONS = (
    "relu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "softmax",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "swish",
    "silu",
    "gelu",
    "leaky_relu",
    "exponential",
    "mish",
)
SEQUENCE = (4, 7, 3)

# Name of the layer, its arguments, shape of the input, whether it trains, lengths of the rows as a mask.
CASES: list[tuple[str, dict[str, Any], tuple[int, ...], bool, list[int] | None]] = [
    *(("Activation", {"activation": name}, (3, 5), False, None) for name in FUNCTIONS),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.5}, (3, 5), False, None),
    ("ReLU", {}, (3, 5), False, None),
    ("LeakyReLU", {}, (3, 5), False, None),
    ("ELU", {"alpha": 0.7}, (3, 5), False, None),
    ("Softmax", {}, (3, 5), False, None),
    ("Softmax", {"axis": 1}, SEQUENCE, False, None),
    ("Softmax", {"axis": -3}, (2, 3, 4, 5), False, None),
    ("ZeroPadding1D", {"padding": [2, 1]}, SEQUENCE, False, None),
    ("Cropping1D", {"cropping": [2, 1]}, SEQUENCE, False, None),
    ("UpSampling1D", {"size": 3}, SEQUENCE, False, None),
    ("Conv1D", {"filters": 4, "kernel_size": 3}, SEQUENCE, False, None),
    ("Conv1D", {"filters": 20, "kernel_size": 2, "strides": 2, "padding": "same"}, SEQUENCE, False, None),
    ("Conv1D", {"filters": 2, "kernel_size": 4, "strides": 3, "padding": "same"}, SEQUENCE, False, None),
    ("Conv1D", {"filters": 2, "kernel_size": 4, "padding": "same", "activation": "gelu"}, SEQUENCE, False, None),
    ("Conv1D", {"filters": 5, "kernel_size": 3, "dilation_rate": 2, "padding": "causal"}, SEQUENCE, False, None),
    ("Conv1D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "causal"}, SEQUENCE, False, None),
    ("Conv1D", {"filters": 5, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}, SEQUENCE, False, None),
    ("Conv1D", {"filters": 3, "kernel_size": 3, "strides": 2, "use_bias": False}, SEQUENCE, False, None),
    ("MaxPooling1D", {}, SEQUENCE, False, None),
    ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, SEQUENCE, False, None),
    ("AveragePooling1D", {"pool_size": 3, "strides": 1}, SEQUENCE, False, None),
    ("GlobalMaxPooling1D", {}, SEQUENCE, False, None),
    ("GlobalAveragePooling1D", {"keepdims": True}, SEQUENCE, False, None),
    ("GlobalAveragePooling1D", {}, SEQUENCE, False, [7, 3, 1, 5]),
    ("BatchNormalization", {}, SEQUENCE, False, None),
    ("BatchNormalization", {"momentum": 0.7}, SEQUENCE, True, None),
    ("BatchNormalization", {"epsilon": 0.1, "center": False}, (6, 4), True, None),
    ("BatchNormalization", {"scale": False}, SEQUENCE, True, [7, 3, 0, 5]),
    ("BatchNormalization", {"trainable": False}, SEQUENCE, True, None),
    ("LayerNormalization", {}, SEQUENCE, False, None),
    ("LayerNormalization", {"epsilon": 0.2, "center": False}, (6, 4), False, None),
    ("LayerNormalization", {"scale": False}, (6, 4), False, None),
    ("PReLU", {}, SEQUENCE, False, None),
    ("PReLU", {"shared_axes": [1]}, SEQUENCE, False, None),
    ("UnitNormalization", {}, SEQUENCE, False, None),
    ("UnitNormalization", {"axis": [1, -1]}, (2, 3, 4, 5), False, None),
    ("GroupNormalization", {"groups": 2}, (4, 7, 6), False, None),
    ("GroupNormalization", {"groups": -1, "epsilon": 0.1, "center": False}, (4, 7, 2, 6), False, None),
    ("GroupNormalization", {"groups": 2, "scale": False}, (4, 6), False, None),
    ("Normalization", {}, SEQUENCE, False, None),
    ("Normalization", {"axis": [1, 2], "invert": True}, SEQUENCE, False, None),
    ("Normalization", {"axis": None}, SEQUENCE, False, None),
    ("Normalization", {"mean": [1.0, -2.0, 0.0], "variance": [0.0, 4.0, 2.0]}, SEQUENCE, False, None),
    ("Normalization", {"axis": [1, 2], "mean": 2.0, "variance": 3.0, "invert": True}, SEQUENCE, False, None),
    ("SeparableConv1D", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, SEQUENCE, False, None),
    ("SeparableConv1D", {"filters": 4, "kernel_size": 2, "depth_multiplier": 2}, SEQUENCE, False, None),
    ("SeparableConv1D", {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}, SEQUENCE, False, None),
]


def main() -> None:
    arrays: dict[str, Any] = {}
    rng = np.random.default_rng(8)
    for number, (name, options, shape, training, lengths) in enumerate(CASES):
        layer = getattr(keras.layers, name)(**options)
        layer.build(shape)
        weights = [rng.uniform(0.3, 1.2, size=w.shape).astype(w.dtype) for w in layer.get_weights()]
        layer.set_weights(weights)
        x = torch.tensor(rng.normal(scale=1.5, size=shape).astype(np.float32), requires_grad=True)
        call: dict[str, Any] = {"training": training} if training else {}
        if lengths is not None:
            call["mask"] = torch.tensor(np.arange(shape[1]) < np.array(lengths)[:, None])
        y = layer(x, **call)
        dy = rng.normal(size=tuple(y.shape)).astype(np.float32)
        (y * torch.tensor(dy)).sum().backward()
        about = {"layer": name, "options": options, "training": training, "lengths": lengths}
        arrays[f"{number}/about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        arrays |= {f"{number}/x": x.detach().numpy(), f"{number}/y": y.detach().numpy(), f"{number}/dy": dy}
        arrays[f"{number}/dx"] = x.grad.numpy()
        arrays |= {f"{number}/weights/{i}": w.astype(np.float32) for i, w in enumerate(weights)}
        arrays |= {f"{number}/after/{i}": w.astype(np.float32) for i, w in enumerate(layer.get_weights())}
        for i, variable in enumerate(layer.trainable_weights):
            arrays[f"{number}/gradients/{i}"] = variable.value.grad.numpy()
    np.savez_compressed(Path(__file__).parent / "keras_layers.npz", **arrays)


if __name__ == "__main__":
    main()
