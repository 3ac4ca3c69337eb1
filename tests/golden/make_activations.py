"""Compute cells with further activations with Keras and onnxruntime: keras_activations.npz, onnx_activations.npz.

Run with Keras 3, JAX, onnx and onnxruntime installed: `KERAS_BACKEND=jax python tests/golden/make_activations.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np
import onnxruntime
from keras import activations
from onnx import TensorProto, helper

FOLDER = Path(__file__).parent
N, T, FEATURES, UNITS = 3, 4, 2, 3
GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}
LAYERS = {"simple_rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def with_options(name: str, **options: Any) -> dict[str, Any]:
    """What `activations.serialize` makes of an object."""
    return {"class_name": name, "config": options}


# What is taken here, and the same in Keras.
IN_KERAS: list[tuple[str | dict[str, Any], Callable[[Any], Any]]] = [
    *((name, getattr(activations, name)) for name in ("elu", "selu", "exponential", "softsign", "softplus", "silu")),
    *((name, getattr(activations, name)) for name in ("gelu", "mish", "leaky_relu", "celu")),
    (with_options("LeakyReLU", negative_slope=0.05), lambda x: activations.leaky_relu(x, negative_slope=0.05)),
    (
        with_options("ReLU", negative_slope=0.3, max_value=0.8, threshold=0.1),
        lambda x: activations.relu(x, negative_slope=0.3, max_value=0.8, threshold=0.1),
    ),
    (with_options("ELU", alpha=0.4), lambda x: activations.elu(x, alpha=0.4)),
    (with_options("CELU", alpha=0.4), lambda x: activations.celu(x, alpha=0.4)),
    (with_options("GELU", approximate=True), lambda x: activations.gelu(x, approximate=True)),
    (with_options("Threshold", threshold=0.2, default_value=-0.1), lambda x: activations.threshold(x, 0.2, -0.1)),
    (with_options("HardSigmoid", alpha=0.2, beta=0.5), lambda x: keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)),
]

# The same in ONNX: name, alpha and beta, as far as there are.
IN_ONNX: list[tuple[str | dict[str, Any], tuple[str, float | None, float | None]]] = [
    ("softsign", ("Softsign", None, None)),
    ("softplus", ("Softplus", None, None)),
    (with_options("Affine", alpha=0.5, beta=0.1), ("Affine", 0.5, 0.1)),
    (with_options("LeakyReLU", negative_slope=0.05), ("LeakyRelu", 0.05, None)),
    (with_options("Threshold", threshold=0.2), ("ThresholdedRelu", 0.2, None)),
    (with_options("ScaledTanh", alpha=1.7, beta=0.6), ("ScaledTanh", 1.7, 0.6)),
    (with_options("HardSigmoid", alpha=0.2, beta=0.5), ("HardSigmoid", 0.2, 0.5)),
    (with_options("ELU", alpha=0.4), ("Elu", 0.4, None)),
]


def draw(seed: int, function: str, scale: float = 0.6) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    columns = GATES[function] * UNITS
    shapes = {"x": (N, T, FEATURES), "kernel": (FEATURES, columns), "recurrent_kernel": (UNITS, columns)}
    shapes |= {"bias": (2, columns) if function == "gru" else (columns,), "doutput": (N, T, UNITS)}
    arrays = {name: (scale * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    states = [scale * rng.normal(size=(N, UNITS)).astype(np.float32) for _ in range(2 if function == "lstm" else 1)]
    return {**arrays, "initial_state": states}


def run_keras(function: str, arrays: dict[str, Any], options: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    layer = LAYERS[function](UNITS, return_sequences=True, **options)
    layer.build((N, T, FEATURES))

    others = [variable.value for variable in layer.non_trainable_variables]

    def output(x: Any, weights: list[Any], state: list[Any]) -> Any:
        return layer.stateless_call(weights, others, x, initial_state=state)[0]

    weights = [arrays[name] for name in ("kernel", "recurrent_kernel", "bias")]
    arguments = arrays["x"], weights, arrays["initial_state"]
    dx, dweights, dstate = jax.grad(lambda *a: (output(*a) * arrays["doutput"]).sum(), (0, 1, 2))(*arguments)
    gradients = dict(zip(("kernel", "recurrent_kernel", "bias"), dweights, strict=True))
    return {
        "output": output(*arguments),
        "gradient_x": dx,
        "gradient_initial_state": np.stack(dstate),
        **{f"gradient_{name}": value for name, value in gradients.items()},
    }


def run_onnx(function: str, arrays: dict[str, Any], used: list[tuple[str, float | None, float | None]]) -> Any:
    def ordered(matrix: Any) -> Any:
        """From i f c o to i o f c."""
        if function != "lstm":
            return matrix
        i, f, c, o = np.split(matrix, 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1)

    bias = arrays["bias"] if function == "gru" else np.stack([arrays["bias"], np.zeros_like(arrays["bias"])])
    feeds = {
        "X": arrays["x"].transpose(1, 0, 2),
        "W": ordered(arrays["kernel"]).T[None],
        "R": ordered(arrays["recurrent_kernel"]).T[None],
        "B": np.concatenate([ordered(part) for part in bias])[None],
        "": None,
        "initial_h": arrays["initial_state"][0][None],
    }
    if function == "lstm":
        feeds["initial_c"] = arrays["initial_state"][1][None]
    attributes: dict[str, Any] = {"hidden_size": UNITS, "activations": [name for name, _, _ in used]}
    attributes["activation_alpha"] = [alpha for _, alpha, _ in used if alpha is not None]
    attributes["activation_beta"] = [beta for _, _, beta in used if beta is not None]
    if function == "gru":
        attributes["linear_before_reset"] = 1
    op = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[function]
    given = {name: np.ascontiguousarray(value) for name, value in feeds.items() if name}
    graph = helper.make_graph(
        [helper.make_node(op, list(feeds), ["Y"], **{name: value for name, value in attributes.items() if value})],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in given.items()],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["Y"], given)[0][:, 0].transpose(1, 0, 2)


def save(name: str, cases: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
    stored = {}
    for number, (function, options, arrays) in enumerate(cases):
        about = json.dumps({"function": function, "options": options}).encode()
        case = f"{number}-{function}"
        stored[f"{case}/about"] = np.frombuffer(about, np.uint8)
        stored |= {f"{case}/{key}": np.asarray(value) for key, value in arrays.items()}
    np.savez_compressed(FOLDER / name, **stored)


def main() -> None:
    """Each as the activation of each cell, and of the gates while the activation is tanh."""
    keras_cases, onnx_cases = [], []
    for seed, (activation, same) in enumerate(IN_KERAS):
        for function in GATES:
            arrays = draw(200 + seed, function, 0.2 if activation == "exponential" else 0.6)
            keras_cases.append(
                (function, {"activation": activation}, arrays | run_keras(function, arrays, {"activation": same}))
            )
            if function != "simple_rnn":
                found = run_keras(function, arrays, {"recurrent_activation": same})
                keras_cases.append((function, {"recurrent_activation": activation}, arrays | found))
    tanh, sigmoid = ("Tanh", None, None), ("Sigmoid", None, None)
    for seed, (activation, used) in enumerate(IN_ONNX):
        for function in GATES:
            arrays = draw(300 + seed, function)
            del arrays["doutput"]
            one, further = [used], [used] * (function == "lstm")
            gate = [] if function == "simple_rnn" else [sigmoid]
            output = run_onnx(function, arrays, gate + one + further)
            onnx_cases.append((function, {"activation": activation}, {**arrays, "output": output}))
            if function != "simple_rnn":
                output = run_onnx(function, arrays, [used, tanh, *([tanh] * (function == "lstm"))])
                onnx_cases.append((function, {"recurrent_activation": activation}, {**arrays, "output": output}))
    save("keras_activations.npz", keras_cases)
    save("onnx_activations.npz", onnx_cases)


if __name__ == "__main__":
    main()
