"""What each op of a Program becomes in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._gate_orders import reorder
from rnncore.onnx.activation_writers import activated, options_of
from rnncore.onnx.exporter import Exporter, writes
from rnncore.onnx.recurrent_nodes import CELLS
from rnncore.program import RECURRENT_OPTIONS, Node

__all__: list[str] = []


@writes("activation")
def _activation(exporter: Exporter, node: Node) -> None:
    x = exporter.read(node.inputs[0])
    attributes = {**node.attributes, "activation": node.attributes["function"]}
    plain = Node(node.op, node.name, node.inputs, node.outputs, (), attributes)
    exporter.give(node.outputs[0], activated(exporter, plain, x))


@writes("dropout", "noise")
def _inactive(exporter: Exporter, node: Node) -> None:
    exporter.give(node.outputs[0], exporter.read(node.inputs[0]))


@writes("merge_masks")
def _nothing(exporter: Exporter, node: Node) -> None:
    """Lengths are not given to a graph."""


# Layers with weights


@writes("dense")
def _dense(exporter: Exporter, node: Node) -> None:
    kernel, *bias = exporter.weights(node)
    x = exporter.read(node.inputs[0])
    y = exporter.add("MatMul", [x, exporter.store(kernel, f"{node.name}.kernel")], name=node.name)
    if bias:
        y = exporter.add("Add", [y, exporter.store(bias[0], f"{node.name}.bias")], name=f"{node.name}.add")
    exporter.give(node.outputs[0], activated(exporter, node, y))


@writes("embedding")
def _embedding(exporter: Exporter, node: Node) -> None:
    table = exporter.store(exporter.weights(node)[0], f"{node.name}.embeddings")
    exporter.give(node.outputs[0], exporter.add("Gather", [table, exporter.read(node.inputs[0])], name=node.name))


@writes("batch_normalization")
def _batch_normalization(exporter: Exporter, node: Node) -> None:
    *given, mean, variance = exporter.weights(node)
    scale, center = node.attributes.get("scale", True), node.attributes.get("center", True)
    gamma = given[0] if scale else np.ones_like(mean)
    beta = given[-1] if center else np.zeros_like(mean)
    x, rank = exporter.read(node.inputs[0]), len(exporter.shape(node.inputs[0]))
    if rank > 2:
        x = exporter.add("Transpose", [x], perm=[0, rank - 1, *range(1, rank - 1)])
    stored = [
        exporter.store(array, f"{node.name}.{name}")
        for name, array in (("gamma", gamma), ("beta", beta), ("mean", mean), ("variance", variance))
    ]
    options = {"epsilon": node.attributes.get("epsilon", 1e-3), "momentum": node.attributes.get("momentum", 0.99)}
    y = exporter.add("BatchNormalization", [x, *stored], name=node.name, **options)
    if rank > 2:
        y = exporter.add("Transpose", [y], perm=[0, *range(2, rank), 1])
    exporter.give(node.outputs[0], y)


@writes("layer_normalization")
def _layer_normalization(exporter: Exporter, node: Node) -> None:
    given = exporter.weights(node)
    features = exporter.shape(node.inputs[0])[-1]
    scale, center = node.attributes.get("scale", True), node.attributes.get("center", True)
    gamma = given[0] if scale else np.ones(features or 0, np.float32)
    inputs = [exporter.read(node.inputs[0]), exporter.store(gamma, f"{node.name}.gamma")]
    if center:
        inputs.append(exporter.store(given[-1], f"{node.name}.beta"))
    epsilon = node.attributes.get("epsilon", 1e-3)
    exporter.give(node.outputs[0], exporter.add("LayerNormalization", inputs, name=node.name, axis=-1, epsilon=epsilon))


def _channels_first(exporter: Exporter, x: str) -> str:
    return exporter.add("Transpose", [x], perm=[0, 2, 1])


@writes("conv1d")
def _conv(exporter: Exporter, node: Node) -> None:
    kernel, *bias = exporter.weights(node)
    attributes: dict[str, Any] = {
        "strides": [node.attributes.get("strides", 1)],
        "dilations": [node.attributes.get("dilation_rate", 1)],
        "kernel_shape": [len(kernel)],
    }
    reach = (len(kernel) - 1) * attributes["dilations"][0]
    padding = node.attributes.get("padding", "valid")
    if padding == "same" and attributes["strides"] != [1]:
        attributes["auto_pad"] = "SAME_UPPER"
    else:
        pads = {"valid": [0, 0], "causal": [reach, 0], "same": [reach // 2, reach - reach // 2]}
        attributes["pads"] = pads[padding]
    stored = [exporter.store(kernel.transpose(2, 1, 0), f"{node.name}.kernel")]
    stored += [exporter.store(array, f"{node.name}.bias") for array in bias]
    x = _channels_first(exporter, exporter.read(node.inputs[0]))
    y = exporter.add("Conv", [x, *stored], name=node.name, **attributes)
    if node.attributes.get("activation") == "softmax":  # over the channels, which are then last
        exporter.give(node.outputs[0], activated(exporter, node, _channels_first(exporter, y)))
    else:
        exporter.give(node.outputs[0], _channels_first(exporter, activated(exporter, node, y)))


# Recurrent layers

IN_CELLS = {
    "affine": ("Affine", "alpha", "beta"),
    "elu": ("Elu", "alpha", None),
    "hard_sigmoid": ("HardSigmoid", "alpha", "beta"),
    "leaky_relu": ("LeakyRelu", "negative_slope", None),
    "linear": ("Affine", None, None),
    "relu": ("Relu", None, None),
    "scaled_tanh": ("ScaledTanh", "alpha", "beta"),
    "sigmoid": ("Sigmoid", None, None),
    "softplus": ("Softplus", None, None),
    "softsign": ("Softsign", None, None),
    "tanh": ("Tanh", None, None),
    "threshold": ("ThresholdedRelu", "threshold", None),
}
TRAINING_ALONE = ("recurrent_dropout", "products", "reset_after", "peepholes")


@writes("simple_rnn", "lstm", "gru")
def _recurrent(exporter: Exporter, node: Node) -> None:
    for option, off in RECURRENT_OPTIONS.items():
        if option not in TRAINING_ALONE and node.attributes.get(option) not in (None, off):
            exporter.fail(node, f"there is no operator with {option}")
    if len(node.inputs) > 1 + len(node.outputs):
        exporter.fail(node, "there is no operator with resets")
    op = next(op for op, cell in CELLS.items() if cell.op == node.op)
    kernel, recurrent, *rest = exporter.weights(node)
    units = recurrent.shape[0]
    reset_after = node.attributes.get("reset_after", True)
    attributes: dict[str, Any] = {"hidden_size": units, **_cell_activations(exporter, node, op)}
    backwards = bool(node.attributes.get("go_backwards"))
    attributes["direction"] = "reverse" if backwards else "forward"
    if op == "GRU":
        attributes["linear_before_reset"] = int(reset_after)

    def stored(array: Any, name: str) -> str:
        return exporter.store(array[None], f"{node.name}.{name}")

    bias = peepholes = ""
    if node.attributes.get("peepholes"):
        last = reorder(rest.pop(), "peepholes", "rnncore", "onnx", axis=0)
        peepholes = stored(last.ravel(), "P")
    if rest:
        both = reorder(rest[0] if rest[0].ndim == 2 else np.stack([rest[0], 0 * rest[0]]), node.op, "rnncore", "onnx")
        bias = stored(both.ravel(), "B")
    x, _, *initial = node.inputs
    inputs = [
        exporter.add("Transpose", [exporter.read(x)], perm=[1, 0, 2]),
        stored(reorder(kernel, node.op, "rnncore", "onnx").T, "W"),
        stored(reorder(recurrent, node.op, "rnncore", "onnx").T, "R"),
        bias,
        "",
    ]
    first = exporter.integers([0], f"{node.name}.axis")
    inputs += [exporter.add("Unsqueeze", [exporter.read(state), first]) if state >= 0 else "" for state in initial]
    inputs = [*inputs, *[""] * (7 - len(inputs)), peepholes] if peepholes else inputs
    while not inputs[-1]:
        inputs.pop()
    parts = ("Y", "Y_h", "Y_c")[: len(node.outputs)]
    names = [
        exporter.fresh(f"{node.name}.{part}") if value >= 0 else ""
        for part, value in zip(parts, node.outputs, strict=True)
    ]
    while not names[-1]:
        names.pop()
    exporter.add(op, inputs, names, name=node.name, **attributes)
    for number, value in enumerate(node.outputs):
        if value < 0:
            continue
        if number:
            exporter.give(value, exporter.add("Squeeze", [names[number], first]))
            continue
        y = exporter.add("Squeeze", [names[0], exporter.integers([1], f"{node.name}.axis")])
        y = exporter.add("Transpose", [y], perm=[1, 0, 2])
        if backwards and not node.attributes.get("aligned"):
            y = _reversed(exporter, y)
        exporter.give(value, y)


def _reversed(exporter: Exporter, y: str) -> str:
    numbers = ([-1], [-(2**31)], [1], [-1])
    return exporter.add("Slice", [y, *(exporter.integers(values, "slice") for values in numbers)])


def _cell_activations(exporter: Exporter, node: Node, op: str) -> dict[str, Any]:
    """The activations of a cell; nothing where they are ONNX's defaults."""
    main = options_of(node, "activation")
    gates = options_of(node, "recurrent_activation")
    order = {"RNN": [main], "LSTM": [gates, main, main], "GRU": [gates, main]}[op]
    names, alphas, betas = [], [], []
    for name, options in order:
        plain = name != "relu" or not (options["negative_slope"] or options["threshold"] or options["max_value"])
        if name not in IN_CELLS or not plain or options.get("default_value"):
            exporter.fail(node, f"a recurrent operator has no activation like {name!r} with {options}")
        known, alpha, beta = IN_CELLS[name]
        names.append(known)
        if known == "Affine":
            alphas.append(float(options.get("alpha", 1.0)))
            betas.append(float(options.get("beta", 0.0)))
            continue
        alphas += [float(options[alpha])] if alpha else []
        betas += [float(options[beta])] if beta else []
    if names == list(CELLS[op].defaults):
        return {}
    made: dict[str, Any] = {"activations": names}
    return made | ({"activation_alpha": alphas} if alphas else {}) | ({"activation_beta": betas} if betas else {})


@writes("repeat_row")
def _repeat_row(exporter: Exporter, node: Node) -> None:
    given = exporter.weights(node) or [np.array(node.attributes["row"], np.float32)]
    row = given[0].reshape(1, -1)
    sizes = exporter.add("Shape", [exporter.read(node.inputs[0])])
    rows = exporter.add("Gather", [sizes, exporter.integers([0], "axes")], axis=0)
    shape = exporter.add("Concat", [rows, exporter.integers(row.shape[1:])], axis=0)
    exporter.give(node.outputs[0], exporter.add("Expand", [exporter.store(row, node.name), shape]))


@writes("read_state")
def _read_state(exporter: Exporter, node: Node) -> None:
    name = exporter.fresh(f"{node.name.removesuffix('/read')}.in")
    exporter.add_input(name, exporter.shape(node.outputs[0]))
    exporter.give(node.outputs[0], name)


@writes("write_state")
def _write_state(exporter: Exporter, node: Node) -> None:
    name = exporter.fresh(f"{node.name.removesuffix('/write')}.out")
    exporter.add("Identity", [exporter.read(node.inputs[0])], [name])
    exporter.states.append(exporter.described_output(name, exporter.shape(node.inputs[0])))


# Pooling and steps


@writes("pool1d")
def _pool(exporter: Exporter, node: Node) -> None:
    size = node.attributes.get("pool_size", 2)
    attributes: dict[str, Any] = {"kernel_shape": [size], "strides": [node.attributes.get("strides") or size]}
    if node.attributes.get("padding", "valid") == "same":
        attributes["auto_pad"] = "SAME_UPPER"
    op = "MaxPool" if node.attributes["kind"] == "max" else "AveragePool"
    x = _channels_first(exporter, exporter.read(node.inputs[0]))
    exporter.give(node.outputs[0], _channels_first(exporter, exporter.add(op, [x], name=node.name, **attributes)))


@writes("global_pool1d")
def _global_pool(exporter: Exporter, node: Node) -> None:
    op = "ReduceMax" if node.attributes["kind"] == "max" else "ReduceMean"
    x = exporter.read(node.inputs[0])
    exporter.give(node.outputs[0], exporter.add(op, [x], name=node.name, axes=[1], keepdims=0))


@writes("pad1d")
def _pad(exporter: Exporter, node: Node) -> None:
    rank = len(exporter.shape(node.inputs[0]))
    pads = [0, node.attributes["before"], *[0] * (rank - 2), 0, node.attributes["after"], *[0] * (rank - 2)]
    mode = "reflect" if node.attributes.get("mode") == "reflect" else "constant"
    inputs = [exporter.read(node.inputs[0]), exporter.integers(pads, "pads")]
    exporter.give(node.outputs[0], exporter.add("Pad", inputs, name=node.name, mode=mode))


@writes("upsampling1d")
def _upsampling(exporter: Exporter, node: Node) -> None:
    x, channels = exporter.read(node.inputs[0]), exporter.shape(node.inputs[0])[2]
    x = exporter.add("Unsqueeze", [x, exporter.integers([2], "axes")])
    x = exporter.add("Tile", [x, exporter.integers([1, 1, node.attributes["size"], 1], "repeats")])
    shape = exporter.integers([0, -1, channels or 0])
    exporter.give(node.outputs[0], exporter.add("Reshape", [x, shape], name=node.name))


@writes("fold_time")
def _fold_time(exporter: Exporter, node: Node) -> None:
    shape = exporter.shape(node.inputs[0])
    turned = exporter.add("Transpose", [exporter.read(node.inputs[0])], perm=[1, 0, *range(2, len(shape))])
    if None in shape[2:]:
        exporter.fail(node, f"the sizes of a step must be known, got {shape[2:]}")
    sizes = exporter.integers([-1, *(size for size in shape[2:] if size is not None)])
    exporter.give(node.outputs[0], exporter.add("Reshape", [turned, sizes]))


@writes("unfold_time")
def _unfold_time(exporter: Exporter, node: Node) -> None:
    shape = exporter.shape(node.inputs[0])
    if None in shape[1:]:
        exporter.fail(node, f"the sizes of a step must be known, got {shape[1:]}")
    sizes = exporter.add("Shape", [exporter.read(node.inputs[1])])
    turned = exporter.add("Gather", [sizes, exporter.integers([1, 0], "axes")], axis=0)
    rest = exporter.integers([size for size in shape[1:] if size is not None])
    whole = exporter.add("Concat", [turned, rest], axis=0)
    made = exporter.add("Reshape", [exporter.read(node.inputs[0]), whole])
    exporter.give(node.outputs[0], exporter.add("Transpose", [made], perm=[1, 0, *range(2, len(shape) + 1)]))


# Shapes


@writes("flatten")
def _flatten(exporter: Exporter, node: Node) -> None:
    exporter.give(node.outputs[0], exporter.add("Flatten", [exporter.read(node.inputs[0])], name=node.name, axis=1))


@writes("reshape")
def _reshape(exporter: Exporter, node: Node) -> None:
    inputs = [exporter.read(node.inputs[0]), exporter.integers([0, *node.attributes["shape"]])]
    exporter.give(node.outputs[0], exporter.add("Reshape", inputs, name=node.name))


@writes("repeat_vector")
def _repeat(exporter: Exporter, node: Node) -> None:
    x = exporter.add("Unsqueeze", [exporter.read(node.inputs[0]), exporter.integers([1], "axes")])
    repeats = exporter.integers([1, node.attributes["n"], 1], "repeats")
    exporter.give(node.outputs[0], exporter.add("Tile", [x, repeats], name=node.name))


@writes("permute")
def _permute(exporter: Exporter, node: Node) -> None:
    order = [0, *node.attributes["dims"]]
    exporter.give(
        node.outputs[0], exporter.add("Transpose", [exporter.read(node.inputs[0])], name=node.name, perm=order)
    )


@writes("slice")
def _slice(exporter: Exporter, node: Node) -> None:
    if node.outputs[0] < 0:
        return  # of a mask
    starts, stops, steps, drops = (node.attributes[name] for name in ("starts", "stops", "steps", "drops"))
    axes = list(range(1, len(starts) + 1))
    numbers = [exporter.integers(values, "slice") for values in (starts, stops, axes, steps)]
    y = exporter.add("Slice", [exporter.read(node.inputs[0]), *numbers], name=node.name)
    gone = [axis for axis, drop in zip(axes, drops, strict=True) if drop]
    y = exporter.add("Squeeze", [y, exporter.integers(gone, "axes")]) if gone else y
    exporter.give(node.outputs[0], y)


@writes("concatenate")
def _concatenate(exporter: Exporter, node: Node) -> None:
    inputs = [exporter.read(value) for value in node.inputs]
    exporter.give(node.outputs[0], exporter.add("Concat", inputs, name=node.name, axis=node.attributes["axis"]))


# Number by number


@writes("merge")
def _merge(exporter: Exporter, node: Node) -> None:
    rank = max(len(exporter.shape(value)) for value in node.inputs)
    inputs = []
    for value in node.inputs:
        x, missing = exporter.read(value), rank - len(exporter.shape(value))
        axes = list(range(1, missing + 1))
        inputs.append(exporter.add("Unsqueeze", [x, exporter.integers(axes, "axes")]) if missing else x)
    kind = node.attributes["kind"]
    several = {"average": "Mean", "maximum": "Max", "minimum": "Min"}
    if kind in several:
        exporter.give(node.outputs[0], exporter.add(several[kind], inputs, name=node.name))
        return
    op = {"add": "Add", "subtract": "Sub", "multiply": "Mul"}[kind]
    y = inputs[0]
    for x in inputs[1:]:
        y = exporter.add(op, [y, x], name=node.name)
    exporter.give(node.outputs[0], y)


@writes("rescale")
def _rescale(exporter: Exporter, node: Node) -> None:
    x, scale, offset = exporter.read(node.inputs[0]), node.attributes["scale"], node.attributes["offset"]
    if scale != 1:
        x = exporter.add("Mul", [x, exporter.number(scale)], name=node.name)
    if offset != 0:
        x = exporter.add("Add", [x, exporter.number(offset)], name=node.name)
    exporter.give(node.outputs[0], x)


@writes("elementwise")
def _function(exporter: Exporter, node: Node) -> None:
    function, x = node.attributes["function"], exporter.read(node.inputs[0])
    if function == "square":
        exporter.give(node.outputs[0], exporter.add("Mul", [x, x], name=node.name))
        return
    inputs = [x]
    if function == "power":
        inputs.append(exporter.number(node.attributes["exponent"]))
    if function == "clip":
        bounds = [node.attributes.get(name) for name in ("min_value", "max_value")]
        inputs += [exporter.number(bound) if bound is not None else "" for bound in bounds]
    op = "Pow" if function == "power" else function.capitalize()
    exporter.give(node.outputs[0], exporter.add(op, inputs, name=node.name))


@writes("softmax")
def _softmax(exporter: Exporter, node: Node) -> None:
    x = exporter.read(node.inputs[0])
    exporter.give(node.outputs[0], exporter.add("Softmax", [x], name=node.name, axis=node.attributes["axis"]))
