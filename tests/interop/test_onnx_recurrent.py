"""RNN, LSTM and GRU nodes with random options: onnxruntime is the oracle, in layout 1 a loop in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="reads and writes ONNX files")
onnxruntime = pytest.importorskip("onnxruntime", reason="the oracle of recurrent nodes")

from rnncore.onnx.backend import Backend, run_recurrent  # noqa: E402

ACTIVATIONS = {
    "Affine": (2, (0.5, 0.2)),
    "Elu": (1, (0.7,)),
    "HardSigmoid": (2, (0.3, 0.4)),
    "LeakyRelu": (1, (0.05,)),
    "Relu": (0, ()),
    "ScaledTanh": (2, (1.2, 0.6)),
    "Sigmoid": (0, ()),
    "Softplus": (0, ()),
    "Softsign": (0, ()),
    "Tanh": (0, ()),
    "ThresholdedRelu": (1, (0.4,)),
}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
COUNTS = {"RNN": 1, "LSTM": 3, "GRU": 2}  # activations of a direction


def random_node(rng: np.random.Generator, op: str, **forced: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """A node with random options, and the arrays of its inputs."""

    def choose(name: str, *values: Any) -> Any:
        return forced[name] if name in forced else values[rng.integers(len(values))]

    direction = choose("direction", "forward", "reverse", "bidirectional")
    ways = 2 if direction == "bidirectional" else 1
    layout = choose("layout", 0)
    steps, rows, features, units = (int(n) for n in rng.integers((1, 1, 1, 1), (7, 5, 6, 9)))
    attributes: dict[str, Any] = {"hidden_size": units, "direction": direction, "layout": layout}
    if choose("activations", False, True):
        names = [str(name) for name in rng.choice(list(ACTIVATIONS), COUNTS[op] * ways)]
        attributes["activations"] = names
        options = [ACTIVATIONS[name][1] for name in names]
        for number, name in enumerate(("activation_alpha", "activation_beta")):
            if values := [pair[number] for pair in options if len(pair) > number]:
                attributes[name] = values
    if clip := choose("clip", 0.0, 0.0, 0.3):
        attributes["clip"] = clip
    if op == "LSTM":
        attributes["input_forget"] = choose("input_forget", 0, 0, 1)
    if op == "GRU":
        attributes["linear_before_reset"] = choose("linear_before_reset", 0, 1)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32) / 2

    arrays = {
        "X": normal(steps, rows, features),
        "W": normal(ways, GATES[op] * units, features),
        "R": normal(ways, GATES[op] * units, units),
        "B": normal(ways, 2 * GATES[op] * units) if choose("B", True, False) else None,
        "sequence_lens": rng.integers(1, steps + 1, rows).astype(np.int32) if choose("lengths", True, False) else None,
        "initial_h": normal(ways, rows, units) if choose("initial_h", True, False) else None,
    }
    if op == "LSTM":
        arrays["initial_c"] = normal(ways, rows, units) if choose("initial_c", True, False) else None
        arrays["P"] = normal(ways, 3 * units) if choose("P", True, False) else None
    if layout:
        for name in ("X", "initial_h", "initial_c"):
            if arrays.get(name) is not None:
                arrays[name] = arrays[name].swapaxes(0, 1).copy()
    outputs = ["Y", "Y_h", "Y_c"][: 3 if op == "LSTM" else 2]
    node = onnx.helper.make_node(op, [n if a is not None else "" for n, a in arrays.items()], outputs, **attributes)
    return node, {name: array for name, array in arrays.items() if array is not None}


def by_onnxruntime(node: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    helper = onnx.helper
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in node.output]
    graph = helper.make_graph([node], "node", infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, arrays)


def assert_near(found: Any, expected: Any) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("seed", range(30))
def test_random_nodes_agree_with_onnxruntime(op: str, seed: int) -> None:
    node, arrays = random_node(np.random.default_rng([seed, len(op)]), op)
    expected = by_onnxruntime(node, arrays)
    assert_near(run_recurrent(node, 14, by_place(node, arrays)), expected)
    assert_near(Backend.run_node(node, list(arrays.values()), opset_version=14), expected)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("seed", range(10))
def test_layout_1_is_a_loop_in_float64(op: str, seed: int) -> None:
    node, arrays = random_node(np.random.default_rng([seed, 9]), op, layout=1)
    wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in arrays.items()}
    expected = run_recurrent(node, 14, by_place(node, wide))
    assert_near(Backend.run_node(node, list(arrays.values()), opset_version=14), expected)


def by_place(node: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray | None]:
    return [arrays[name] if name else None for name in node.input]
