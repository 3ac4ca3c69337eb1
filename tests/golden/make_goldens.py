"""Compute the golden values of this folder with PyTorch, Keras and onnxruntime.

Run it in an environment that has the three: `KERAS_BACKEND=torch python make_goldens.py`.
Everything is stored in the layout and with the names of `rnncore.functional`, one .npz per peer:
`<case>/<array>` and, as JSON, `<case>/about` with the function and its options.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from onnx import TensorProto, helper

Array = npt.NDArray[Any]
Arrays = dict[str, Any]

FOLDER = Path(__file__).parent
N, T, FEATURES, UNITS = 3, 5, 2, 3
GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}


class Goldens:
    """Collects the cases of one file."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def add(self, case: str, function: str, options: dict[str, Any], arrays: Arrays) -> None:
        about = json.dumps({"function": function, "options": options})
        self.arrays[f"{case}/about"] = np.frombuffer(about.encode(), np.uint8)
        for name, value in arrays.items():
            if value is None:
                continue
            if isinstance(value, (tuple, list)):
                value = np.stack(value)
            self.arrays[f"{case}/{name}"] = np.asarray(value)

    def save(self, name: str) -> None:
        np.savez_compressed(FOLDER / name, **self.arrays)


def draw(seed: int, function: str, split_bias: bool = False, dtype: Any = np.float64) -> Arrays:
    """Arguments with random distinct weights and states, and gradients to send back."""
    rng = np.random.default_rng(seed)
    columns = GATES[function] * UNITS
    states = 2 if function == "lstm" else 1
    return {
        "x": rng.normal(size=(N, T, FEATURES)).astype(dtype),
        "kernel": rng.normal(size=(FEATURES, columns)).astype(dtype),
        "recurrent_kernel": rng.normal(scale=0.7, size=(UNITS, columns)).astype(dtype),
        "bias": rng.normal(size=(2, columns) if split_bias else columns).astype(dtype),
        "initial_state": [rng.normal(size=(N, UNITS)).astype(dtype) for _ in range(states)],
        "doutput": rng.normal(size=(N, T, UNITS)).astype(dtype),
        "dstate": [rng.normal(size=(N, UNITS)).astype(dtype) for _ in range(states)],
    }


# PyTorch: gates i, f, g, o as here; r, z, n for the GRU; transposed kernels; two biases.


def swap_gates(matrix: Array, function: str) -> Array:
    """z, r, h <-> r, z, n along the last axis."""
    if function != "gru":
        return matrix
    first, second, third = np.split(matrix, 3, axis=-1)
    return np.concatenate([second, first, third], axis=-1)


def run_torch(function: str, arrays: Arrays, lengths: Array, reverse: bool, activation: str = "tanh") -> Arrays:
    size = arrays["initial_state"][0].shape[1]  # of h
    if function == "simple_rnn":
        layer: Any = torch.nn.RNN(FEATURES, UNITS, nonlinearity=activation, batch_first=True, bidirectional=True)
    else:
        kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[function]
        projection = {"proj_size": size} if "projection_kernel" in arrays else {}
        layer = kind(FEATURES, UNITS, batch_first=True, bidirectional=True, **projection)
    layer = layer.double()
    bias = arrays["bias"] if arrays["bias"].ndim == 2 else np.stack([arrays["bias"], np.zeros_like(arrays["bias"])])
    weights = {
        "weight_ih": swap_gates(arrays["kernel"], function).T,
        "weight_hh": swap_gates(arrays["recurrent_kernel"], function).T,
        "bias_ih": swap_gates(bias[0], function),
        "bias_hh": swap_gates(bias[1], function),
    }
    if "projection_kernel" in arrays:
        weights["weight_hr"] = arrays["projection_kernel"].T
    direction = int(reverse)  # of the two directions, the one under test
    suffix = "_l0_reverse" if reverse else "_l0"
    with torch.no_grad():
        for name, value in weights.items():
            getattr(layer, name + suffix).copy_(torch.tensor(value))
    x = torch.tensor(arrays["x"], requires_grad=True)
    state = [torch.tensor(part, requires_grad=True) for part in arrays["initial_state"]]
    both = [torch.stack([part, part.detach()][:: -1 if reverse else 1]) for part in state]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    output, final = layer(packed, tuple(both) if function == "lstm" else both[0])
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=T)
    output = output[..., direction * size : (direction + 1) * size]
    final = [part[direction] for part in (final if function == "lstm" else [final])]
    real = torch.tensor(np.arange(T) < lengths[:, None])[..., None]
    loss = (output * torch.tensor(arrays["doutput"]) * real).sum()
    loss = loss + sum((part * torch.tensor(d)).sum() for part, d in zip(final, arrays["dstate"], strict=True))
    loss.backward()

    def gradient(name: str) -> Array:
        value: Array = getattr(layer, name + suffix).grad.numpy().T
        return swap_gates(value, function)

    further = {"gradient_projection_kernel": gradient("weight_hr")} if "projection_kernel" in arrays else {}
    dbias = np.stack([gradient("bias_ih"), gradient("bias_hh")])
    return {
        "lengths": lengths,
        "output": output.detach().numpy(),
        "state": [part.detach().numpy() for part in final],
        "gradient_x": x.grad.numpy(),
        "gradient_kernel": gradient("weight_ih"),
        "gradient_recurrent_kernel": gradient("weight_hh"),
        "gradient_bias": dbias if arrays["bias"].ndim == 2 else dbias[0],
        "gradient_initial_state": [part.grad.numpy() for part in state],
        **further,
    }


def make_torch() -> None:
    goldens = Goldens()
    lengths = np.array([3, 5, 1])
    for seed, (function, activation) in enumerate(
        [("simple_rnn", "tanh"), ("simple_rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]
    ):
        for reverse in (False, True):
            arrays = draw(seed, function, split_bias=function == "gru")
            arrays |= run_torch(function, arrays, lengths, reverse, activation)
            case = f"{function}-{activation}{'-reverse' if reverse else ''}"
            goldens.add(case, function, {"activation": activation, "reverse": reverse}, arrays)
    goldens.save("torch.npz")


# Keras: the layout is the same; outputs of go_backwards are put back into the order of x. It takes means,
# norms and more in float32 whatever the dtype, so float32 it is.


def run_keras(function: str, arrays: Arrays, lengths: Array, options: dict[str, Any]) -> Arrays:
    kind = {"simple_rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[function]
    reverse = options.get("reverse", False)
    layer = kind(
        UNITS,
        return_sequences=True,
        return_state=True,
        go_backwards=reverse,
        use_bias="bias" in arrays,
        **{name: value for name, value in options.items() if name != "reverse"},
    )
    x = torch.tensor(arrays["x"], requires_grad=True)
    state = [torch.tensor(part, requires_grad=True) for part in arrays["initial_state"]]
    layer.build((N, T, FEATURES))
    names = [name for name in ("kernel", "recurrent_kernel", "bias") if name in arrays]
    layer.set_weights([arrays[name] for name in names])
    mask = torch.tensor(np.arange(T) < lengths[:, None])
    output, *final = layer(x, initial_state=state, mask=mask)
    if reverse:
        output = output.flip(1)
    loss = (output * torch.tensor(arrays["doutput"]) * mask[..., None]).sum()
    loss = loss + sum((part * torch.tensor(d)).sum() for part, d in zip(final, arrays["dstate"], strict=True))
    loss.backward()
    results: Arrays = {
        "lengths": lengths,
        "output": output.detach().numpy(),
        "state": [part.detach().numpy() for part in final],
        "gradient_x": x.grad.numpy(),
        "gradient_initial_state": [part.grad.numpy() for part in state],
    }
    for name, variable in zip(names, layer.trainable_weights, strict=True):
        results[f"gradient_{name}"] = variable.value.grad.numpy()
    return results


def make_keras() -> None:
    goldens = Goldens()
    lengths = np.array([3, 0, 5])
    cases: list[tuple[str, dict[str, Any]]] = [
        ("simple_rnn", {}),
        ("simple_rnn", {"activation": "sigmoid", "reverse": True}),
        ("lstm", {}),
        ("lstm", {"reverse": True}),
        ("lstm", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
        ("gru", {"reset_after": True}),
        ("gru", {"reset_after": True, "reverse": True}),
        ("gru", {"reset_after": False}),
        ("gru", {"reset_after": False, "reverse": True}),
        ("gru", {"activation": "sigmoid", "recurrent_activation": "hard_sigmoid", "reset_after": False}),
    ]
    for seed, (function, options) in enumerate(cases):
        arrays = draw(10 + seed, function, split_bias=options.get("reset_after", False), dtype=np.float32)
        if seed % 3 == 0:
            del arrays["bias"]
        arrays |= run_keras(function, arrays, lengths, options)
        goldens.add(
            "-".join([function, *(f"{key}={value}" for key, value in options.items())]), function, options, arrays
        )
    goldens.save("keras.npz")


def make_keras_losses() -> None:
    rng = np.random.default_rng(50)
    shape = (3, 2, 5)
    logits = rng.normal(scale=3, size=shape).astype(np.float32)
    logits[0, 0] = [40, -40, 0, 5, -800]  # far in the tails
    probabilities = torch.sigmoid(torch.tensor(logits)).numpy()
    one_hot = np.eye(5, dtype=np.float32)[rng.integers(5, size=shape[:2])]
    labels = one_hot.argmax(axis=-1)
    bits = rng.integers(2, size=shape).astype(np.float32)
    numbers = rng.normal(size=shape).astype(np.float32)
    weight = rng.uniform(size=shape[:2]).astype(np.float32)
    cases: list[tuple[str, str, dict[str, Any], Array, Array]] = [
        ("mean_squared_error", "MeanSquaredError", {}, numbers, logits),
        ("mean_absolute_error", "MeanAbsoluteError", {}, numbers, logits),
        ("huber", "Huber", {"delta": 0.7}, numbers, logits),
        ("binary_crossentropy", "BinaryCrossentropy", {"label_smoothing": 0.1}, bits, probabilities),
        ("binary_crossentropy", "BinaryCrossentropy", {"from_logits": True}, bits, logits),
        ("categorical_crossentropy", "CategoricalCrossentropy", {"label_smoothing": 0.1}, one_hot, probabilities),
        ("categorical_crossentropy", "CategoricalCrossentropy", {"from_logits": True}, one_hot, logits),
        ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", {}, labels, probabilities),
        ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", {"from_logits": True}, labels, logits),
    ]
    signs = 2 * bits - 1
    focal = {"from_logits": True, "label_smoothing": 0.1, "alpha": 0.3, "gamma": 1.5}
    positive = np.abs(numbers) + 0.1
    cases += [
        ("mean_absolute_percentage_error", "MeanAbsolutePercentageError", {}, numbers, logits),
        ("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", {}, positive, logits),
        ("log_cosh", "LogCosh", {}, numbers, logits),
        ("poisson", "Poisson", {}, positive, probabilities + 0.01),
        ("cosine_similarity", "CosineSimilarity", {}, numbers, logits),
        ("hinge", "Hinge", {}, signs, logits),
        ("squared_hinge", "SquaredHinge", {}, bits, logits),
        ("categorical_hinge", "CategoricalHinge", {}, one_hot, logits),
        ("kl_divergence", "KLDivergence", {}, np.abs(one_hot - 0.1), probabilities),
        ("binary_focal_crossentropy", "BinaryFocalCrossentropy", {"apply_class_balancing": True}, bits, probabilities),
        ("binary_focal_crossentropy", "BinaryFocalCrossentropy", focal, bits, logits),
        ("categorical_focal_crossentropy", "CategoricalFocalCrossentropy", {}, one_hot, probabilities),
        ("categorical_focal_crossentropy", "CategoricalFocalCrossentropy", focal, one_hot, logits),
        (
            "sparse_categorical_crossentropy",
            "SparseCategoricalCrossentropy",
            {"ignore_class": 2},
            labels,
            probabilities,
        ),
        ("mean_squared_error", "MeanSquaredError", {"reduction": "sum"}, numbers, logits),
        ("huber", "Huber", {"reduction": "mean_with_sample_weight"}, numbers, logits),
    ]
    goldens = Goldens()
    for kind, name, options, target, output in cases:
        y = torch.tensor(output, requires_grad=True)
        value = getattr(keras.losses, name)(**options)(torch.tensor(target), y, sample_weight=torch.tensor(weight))
        value.backward()
        case = "-".join([kind, *options])
        arrays = {
            "target": target,
            "output": output,
            "weight": weight,
            "value": np.float32(value.item()),
            "gradient": y.grad.numpy(),
        }
        goldens.add(case, kind, options, arrays)
    goldens.save("keras_losses.npz")


def make_keras_optimizers() -> None:
    """Eight steps on two parameters with given gradients, some of them large; in float64 where no norm is taken."""
    keras.backend.set_floatx("float64")
    rng = np.random.default_rng(60)
    shapes = [(2, 3), (3,)]
    start = [rng.normal(size=shape) for shape in shapes]
    gradients = [[rng.normal(scale=3.0 ** rng.integers(-3, 2), size=shape) for shape in shapes] for _ in range(8)]
    learning_rates = 0.1 * 0.8 ** np.arange(8)
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("sgd", "SGD", {}),
        ("sgd", "SGD", {"momentum": 0.9}),
        ("sgd", "SGD", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.02}),
        ("sgd", "SGD", {"clipvalue": 0.3}),
        ("sgd", "SGD", {"clipnorm": 0.5}),
        ("rmsprop", "RMSprop", {}),
        ("rmsprop", "RMSprop", {"momentum": 0.9, "rho": 0.8, "epsilon": 1e-3}),
        ("rmsprop", "RMSprop", {"momentum": 0.5, "centered": True, "global_clipnorm": 0.5}),
        ("adam", "Adam", {}),
        ("adam", "Adam", {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2, "clipnorm": 0.5}),
        ("adamw", "AdamW", {"weight_decay": 0.05}),
        ("adam", "Adam", {"amsgrad": True, "beta_2": 0.5}),
        ("nadam", "Nadam", {}),
        ("nadam", "Nadam", {"beta_1": 0.7, "beta_2": 0.9, "clipvalue": 0.5}),
        ("adamax", "Adamax", {"beta_2": 0.8}),
        ("adagrad", "Adagrad", {"initial_accumulator_value": 0.5}),
        ("adadelta", "Adadelta", {"rho": 0.8, "epsilon": 1e-3}),
        ("lion", "Lion", {"beta_1": 0.8}),
        ("sgd", "SGD", {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 3}),
        ("adam", "Adam", {"gradient_accumulation_steps": 3, "clipvalue": 0.5}),
        (
            "sgd",
            "SGD",
            {"momentum": 0.5, "gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2},
        ),
    ]
    goldens = Goldens()
    for kind, name, options in cases:
        dtype = np.float32 if {"clipnorm", "global_clipnorm"} & set(options) else np.float64
        variables = [keras.Variable(value.astype(dtype), dtype=dtype.__name__) for value in start]
        optimizer = getattr(keras.optimizers, name)(**options)
        for rate, values in zip(learning_rates, gradients, strict=True):
            optimizer.learning_rate = rate
            optimizer.apply([torch.tensor(value.astype(dtype)) for value in values], variables)
        arrays = {
            "start": np.concatenate([value.reshape(-1) for value in start]).astype(dtype),
            "gradients": np.stack(
                [np.concatenate([value.reshape(-1) for value in values]) for values in gradients]
            ).astype(dtype),
            "learning_rates": learning_rates,
            "end": np.concatenate([keras.ops.convert_to_numpy(variable).reshape(-1) for variable in variables]),
        }
        goldens.add("-".join([kind, *options]), kind, options, arrays)
    goldens.save("keras_optimizers.npz")


def make_keras_metrics() -> None:
    rng = np.random.default_rng(70)
    shape = (4, 3, 7)
    scores = np.round(rng.uniform(size=shape), 1).astype(np.float32)  # rounded: there are ties
    one_hot = np.eye(7, dtype=np.float32)[rng.integers(7, size=shape[:2])]
    labels = one_hot.argmax(axis=-1)
    bits = rng.integers(2, size=shape).astype(np.float32)
    weight = rng.uniform(size=shape[:2]).astype(np.float32)
    cases: list[tuple[str, str, dict[str, Any], Array]] = [
        ("binary_accuracy", "BinaryAccuracy", {"threshold": 0.3}, bits),
        ("categorical_accuracy", "CategoricalAccuracy", {}, one_hot),
        ("sparse_categorical_accuracy", "SparseCategoricalAccuracy", {}, labels),
        ("top_k_categorical_accuracy", "TopKCategoricalAccuracy", {"k": 3}, one_hot),
        ("sparse_top_k_categorical_accuracy", "SparseTopKCategoricalAccuracy", {"k": 2}, labels),
        ("mean_absolute_error", "MeanAbsoluteError", {}, bits),
    ]
    goldens = Goldens()
    for kind, name, options, target in cases:
        arrays: Arrays = {"target": target, "output": scores, "weight": weight}
        for key, sample_weight in (("value", None), ("weighted_value", weight)):
            metric = getattr(keras.metrics, name)(**options)
            metric.update_state(target, scores, sample_weight)
            arrays[key] = np.float32(metric.result())
        goldens.add(kind, kind, options, arrays)
    thresholds = [0.25, 0.5, 0.75]
    counts = []
    for name in ("TruePositives", "FalsePositives", "FalseNegatives", "TrueNegatives"):
        metric = getattr(keras.metrics, name)(thresholds=thresholds)
        metric.update_state(bits, scores, weight[..., None] * np.ones(shape))
        counts.append(keras.ops.convert_to_numpy(metric.result()))
    arrays = {"target": bits, "output": scores, "weight": weight, "weighted_value": np.stack(counts)}
    goldens.add("confusion", "confusion", {"thresholds": thresholds}, arrays)
    goldens.save("keras_metrics.npz")


# onnxruntime: gates i, o, f, c and z, r, h; transposed kernels; time first; float32.


def onnx_gates(matrix: Array, function: str) -> Array:
    """Blocks of the last axis from the order here to ONNX's."""
    if function != "lstm":
        return matrix
    i, f, c, o = np.split(matrix, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def run_onnx(function: str, arrays: Arrays, lengths: Array, options: dict[str, Any]) -> Arrays:
    bias = arrays["bias"] if arrays["bias"].ndim == 2 else np.stack([arrays["bias"], np.zeros_like(arrays["bias"])])
    feeds = {
        "X": arrays["x"].transpose(1, 0, 2),
        "W": onnx_gates(arrays["kernel"], function).T[None],
        "R": onnx_gates(arrays["recurrent_kernel"], function).T[None],
        "B": np.concatenate([onnx_gates(part, function) for part in bias])[None],
        "sequence_lens": lengths.astype(np.int32),
        "initial_h": arrays["initial_state"][0][None],
    }
    attributes: dict[str, Any] = {"hidden_size": UNITS, "direction": "reverse" if options["reverse"] else "forward"}
    outputs = ["Y", "Y_h"]
    if function == "lstm":
        feeds["initial_c"] = arrays["initial_state"][1][None]
        outputs.append("Y_c")
    if "peephole_kernel" in arrays:
        i, f, o = arrays["peephole_kernel"]
        feeds["P"] = np.concatenate([i, o, f])[None]
    if function == "gru":
        attributes["linear_before_reset"] = int(options["reset_after"])
    if function == "simple_rnn":
        attributes["activations"] = [options["activation"].capitalize()]
    op = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[function]
    kinds = {name: TensorProto.INT32 if name == "sequence_lens" else TensorProto.FLOAT for name in feeds}
    graph = helper.make_graph(
        [helper.make_node(op, list(feeds), outputs, **attributes)],
        "graph",
        [helper.make_tensor_value_info(name, kinds[name], value.shape) for name, value in feeds.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, *final = session.run(outputs, {name: np.ascontiguousarray(value) for name, value in feeds.items()})
    return {"lengths": lengths, "output": y[:, 0].transpose(1, 0, 2), "state": [part[0] for part in final]}


def make_onnxruntime() -> None:
    goldens = Goldens()
    lengths = np.array([4, 5, 2])
    cases: list[tuple[str, dict[str, Any]]] = [
        ("simple_rnn", {"activation": "relu", "reverse": False}),
        ("simple_rnn", {"activation": "tanh", "reverse": True}),
        ("lstm", {"reverse": False}),
        ("lstm", {"reverse": True}),
        ("gru", {"reset_after": True, "reverse": False}),
        ("gru", {"reset_after": False, "reverse": False}),
        ("gru", {"reset_after": False, "reverse": True}),
    ]
    for seed, (function, options) in enumerate(cases):
        arrays = draw(30 + seed, function, split_bias=options.get("reset_after", False), dtype=np.float32)
        del arrays["doutput"], arrays["dstate"]
        arrays |= run_onnx(function, arrays, lengths, options)
        goldens.add(
            "-".join([function, *(f"{key}={value}" for key, value in options.items())]), function, options, arrays
        )
    goldens.save("onnxruntime.npz")


if __name__ == "__main__":
    make_torch()
    make_keras()
    make_keras_losses()
    make_keras_metrics()
    make_keras_optimizers()
    make_onnxruntime()
