"""Graphs of the operators around recurrent nodes: onnxruntime computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="reads and writes ONNX files")
onnxruntime = pytest.importorskip("onnxruntime", reason="the oracle of graphs")

from rnncore.onnx.backend import Backend  # noqa: E402

helper = onnx.helper
FLOAT, INT64, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
RNG = np.random.default_rng(3)


def random(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def graph_of(
    inputs: dict[str, list[Any]], stored: dict[str, np.ndarray], nodes: list[Any], outputs: list[str], opset: int = 17
) -> Any:
    """A model of nodes given as (operator, inputs, outputs, attributes); a dash is an input left out."""
    made = [
        helper.make_node(
            op, [name.strip("-") for name in read.split()], made.split(), name=f"{op}_{number}", **attributes
        )
        for number, (op, read, made, attributes) in enumerate(nodes)
    ]
    graph = helper.make_graph(
        made,
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def assert_same(model: Any, feeds: dict[str, np.ndarray]) -> None:
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    found = Backend.prepare(model).run(feeds)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


# One node on x (batch, 3, time).
K = random(4, 3, 3)
NODES: dict[str, tuple[str, dict[str, Any], list[np.ndarray]]] = {
    "Conv pads": ("Conv", {"pads": [2, 1], "strides": [2]}, [K, random(4)]),
    "Conv dilations": ("Conv", {"pads": [1, 3], "dilations": [2]}, [K]),
    "Conv dilations and strides": ("Conv", {"dilations": [2], "strides": [2]}, [K]),
    "Conv same": ("Conv", {"auto_pad": "SAME_UPPER"}, [K]),
    "Conv same lower": ("Conv", {"auto_pad": "SAME_LOWER"}, [random(4, 3, 4)]),
    "Conv same strides": ("Conv", {"auto_pad": "SAME_UPPER", "strides": [3]}, [random(4, 3, 2)]),
    "MaxPool same strides": ("MaxPool", {"kernel_shape": [4], "strides": [3], "auto_pad": "SAME_UPPER"}, []),
    "AveragePool same strides": ("AveragePool", {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_UPPER"}, []),
    "MaxPool": ("MaxPool", {"kernel_shape": [3], "strides": [2]}, []),
    "MaxPool pads": ("MaxPool", {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}, []),
    "AveragePool same": ("AveragePool", {"kernel_shape": [3], "pads": [1, 1]}, []),
    "AveragePool counts": ("AveragePool", {"kernel_shape": [3], "pads": [1, 2], "count_include_pad": 1}, []),
    "GlobalAveragePool": ("GlobalAveragePool", {}, []),
    "GlobalMaxPool": ("GlobalMaxPool", {}, []),
    "BatchNormalization": (
        "BatchNormalization",
        {"epsilon": 1e-3},
        [random(3), random(3), random(3), np.abs(random(3)) + 0.1],
    ),
    "LayerNormalization": ("LayerNormalization", {"axis": -1}, [random(8), random(8)]),
    "Pad constant": ("Pad", {}, [ints(0, 0, 2, 0, 0, 3)]),
    "Pad channels": ("Pad", {}, [ints(0, 1, 0, 0, 2, 0)]),
    "Pad a number": ("Pad", {}, [ints(0, 0, 1, 0, 0, 2), np.array(-1.5, np.float32)]),
    "Pad negative": ("Pad", {}, [ints(0, 0, -2, 0, 0, 3)]),
    "Pad reflect": ("Pad", {"mode": "reflect"}, [ints(0, 0, 3, 0, 0, 2)]),
    "Slice steps": ("Slice", {}, [ints(-1, 0), ints(-10, 2), ints(2, 1), ints(-2, 1)]),
    "Slice to the end": ("Slice", {}, [ints(1), ints(2**62), ints(-1)]),
    "Gather a number": ("Gather", {"axis": 2}, [np.array(-2, np.int64)]),
    "Gather a range": ("Gather", {"axis": 1}, [ints(2, 1, 0)]),
    "Gather others": ("Gather", {"axis": 1}, [ints(2, 0, 0)]),
    "Softmax over channels": ("Softmax", {"axis": 1}, []),
    "Softmax over time": ("Softmax", {"axis": -1}, []),
    "LogSoftmax": ("LogSoftmax", {"axis": 1}, []),
    "ReduceMean": ("ReduceMean", {"axes": [2], "keepdims": 0}, []),
    "ReduceMean of two": ("ReduceMean", {"axes": [1, 2]}, []),
    "ReduceMax": ("ReduceMax", {"axes": [1], "keepdims": 1}, []),
    "ReduceSum": ("ReduceSum", {"keepdims": 0}, [ints(2)]),
    "MatMul": ("MatMul", {}, [random(8, 5)]),
    "Flatten": ("Flatten", {}, []),
    "Reshape": ("Reshape", {}, [ints(0, -1, 4)]),
    "Reshape over axes": ("Reshape", {}, [ints(0, 4, 6)]),
    "Unsqueeze": ("Unsqueeze", {}, [ints(0, -1)]),
    "Expand": ("Expand", {}, [ints(1, 3, 1)]),
    "Add a vector": ("Add", {}, [random(3, 1)]),
    "Mul by a vector": ("Mul", {}, [random(8)]),
    "Sub a number": ("Sub", {}, [np.array(0.7, np.float32)]),
    "Div by a vector": ("Div", {}, [random(3, 1)]),
    "Max with a matrix": ("Max", {}, [random(1, 3, 8)]),
    "Pow": ("Pow", {}, [np.array(3.0, np.float32)]),
    "Clip": ("Clip", {}, [np.array(-0.5, np.float32), np.array(0.4, np.float32)]),
    **{
        name: (name, {}, [])
        for name in ("Abs", "Neg", "Exp", "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Selu", "HardSwish")
    },
    "LeakyRelu": ("LeakyRelu", {"alpha": 0.3}, []),
    "Elu": ("Elu", {"alpha": 0.3}, []),
    "Celu": ("Celu", {"alpha": 0.3}, []),
    "HardSigmoid": ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, []),
    "ThresholdedRelu": ("ThresholdedRelu", {"alpha": 0.3}, []),
    "PRelu": ("PRelu", {}, [np.full((1, 1), 0.3, np.float32)]),
}


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("shape", [["batch", 3, 8], ["batch", 3, "time"], [1, 3, 8]], ids=["open", "time", "fixed"])
def test_a_node_computes_what_onnxruntime_does(name: str, shape: list[Any]) -> None:
    op, attributes, arrays = NODES[name]
    stored = {f"c{number}": array for number, array in enumerate(arrays)}
    needs_time = {"LayerNormalization", "MatMul", "Flatten", "Mul by a vector", "Max with a matrix"}
    needs_time |= {"Reshape over axes", "Reshape", "Pad a number"}
    if "time" in shape and name in needs_time:
        pytest.skip("a known number of steps is part of the node")
    if shape[0] == 1 and name == "Unsqueeze":
        pytest.skip("axes of size one are all alike")
    model = graph_of({"x": shape}, stored, [(op, " ".join(["x", *stored]), "y", attributes)], ["y"])
    assert_same(model, {"x": random(1 if shape[0] == 1 else 2, 3, 8)})


def test_choices_by_a_number() -> None:
    nodes = [
        ("Greater", "x t", "more", {}),
        ("Where", "more x u", "y", {}),
        ("Less", "x t", "less", {}),
        ("Sub", "x t", "d", {}),
        ("Mul", "d s", "below", {}),
        ("Where", "less below x", "z", {}),
        ("LessOrEqual", "t x", "from", {}),
        ("Where", "from x below", "w", {}),
    ]
    numbers = {name: np.array(number, np.float32) for name, number in (("t", 0.5), ("u", -2), ("s", 0.25))}
    x = random(2, 3, 4)
    x[0, 0] = 0.5
    assert_same(graph_of({"x": ["batch", 3, 4]}, numbers, nodes, ["y", "z", "w"]), {"x": x})
    wrong = graph_of({"x": ["batch", 3, 4]}, numbers, [nodes[0], ("Where", "more u x", "y", {})], ["y"])
    with pytest.raises(ValueError, match=r"node 'Where_1' \(Where\): its choices are not supported"):
        Backend.prepare(wrong).run({"x": x})


@pytest.mark.parametrize("half_first", [False, True])
def test_a_gelu_that_is_written_out(half_first: bool) -> None:
    stored = {"c": np.float32(1.4142135), "one": np.float32(1), "half": np.float32(0.5)}
    nodes = [("Div", "x c", "z", {}), ("Erf", "z", "e", {}), ("Add", "e one", "s", {})]
    if half_first:
        nodes += [("Mul", "half s", "p", {}), ("Mul", "x p", "y", {})]
    else:
        nodes += [("Mul", "x s", "p", {}), ("Mul", "p half", "y", {})]
    arrays = {name: np.array(number) for name, number in stored.items()}
    assert_same(graph_of({"x": ["batch", 3, "time"]}, arrays, nodes, ["y"]), {"x": 3 * random(2, 3, 8)})


def test_a_graph_for_other_sizes_than_it_says() -> None:
    """Converters write the sizes of their example into shapes, and call the axis open all the same."""
    nodes = [
        ("GRU", "x W R", "Y", {"hidden_size": 3}),
        ("Reshape", "Y shape", "y", {}),
    ]
    stored = {"W": random(1, 9, 4), "R": random(1, 9, 3), "shape": ints(5, -1, 3)}
    assert_same(graph_of({"x": ["time", "batch", 4]}, stored, nodes, ["y"]), {"x": random(5, 2, 4)})


def test_shapes_are_computed_beforehand() -> None:
    """What PyTorch writes for zeros as initial states, a flattened batch, and a branch on a size."""
    hidden, w, r = 3, random(1, 12, 4), random(1, 12, 3)
    then, other = (
        helper.make_graph(
            [helper.make_node(op, ["y"], [out])], op, [], [helper.make_tensor_value_info(out, FLOAT, None)]
        )
        for op, out in (("Neg", "then_out"), ("Identity", "else_out"))
    )
    nodes = [
        ("Shape", "x", "shape", {}),
        ("Gather", "shape row_axis", "rows", {"axis": 0}),
        ("Unsqueeze", "rows zero_axis", "rows1", {}),
        ("Concat", "ones rows1 hidden", "h_shape", {"axis": 0}),
        ("ConstantOfShape", "h_shape", "h", {}),
        ("Expand", "zeros h_shape", "c", {}),
        ("LSTM", "x W R - - h c", "Y Y_h", {"hidden_size": hidden}),
        ("Squeeze", "Y one", "y", {}),
        ("Gather", "shape last", "feature_count", {"axis": 0}),
        ("Equal", "feature_count four", "is_four", {}),
        ("If", "is_four", "z", {"then_branch": then, "else_branch": other}),
        ("Reshape", "z flat", "rows_of_all", {}),
        ("MatMul", "rows_of_all kernel", "dense", {}),
        ("Gather", "shape zero", "steps", {"axis": 0}),
        ("Unsqueeze", "steps zero_axis", "steps1", {}),
        ("Concat", "steps1 rows1 two", "back", {"axis": 0}),
        ("Reshape", "dense back", "out", {}),
        ("Split", "out", "left right", {"axis": 2}),
        ("Mul", "left right", "product", {}),
    ]
    stored = {
        "W": w,
        "R": r,
        "zero": np.array(0),
        "row_axis": np.array(1),
        "one": ints(1),
        "last": np.array(-1),
        "four": np.array(4),
        "zero_axis": ints(0),
        "ones": ints(1),
        "hidden": ints(hidden),
        "zeros": np.zeros(1, np.float32),
        "flat": ints(-1, hidden),
        "kernel": random(hidden, 2),
        "two": ints(2),
    }
    model = graph_of({"x": ["time", "batch", 4]}, stored, nodes, ["product", "Y_h"])
    assert_same(model, {"x": random(5, 2, 4)})


def test_constant_initial_states_and_both_inputs_of_an_operator() -> None:
    nodes = [
        ("GRU", "x W R B - h", "Y Y_h", {"hidden_size": 3, "direction": "bidirectional"}),
        ("Transpose", "Y", "turned", {"perm": [2, 0, 1, 3]}),
        ("Reshape", "turned flat", "joined", {}),
        ("Div", "joined z", "y", {}),
        ("Sub", "one joined", "w", {}),
    ]
    stored = {
        "W": random(2, 9, 4),
        "R": random(2, 9, 3),
        "B": random(2, 18),
        "h": random(2, 1, 3),
        "flat": ints(0, 0, -1),
        "one": np.array(1.0, np.float32),
    }
    model = graph_of({"x": ["time", 1, 4], "z": [1, "time", 6]}, stored, nodes, ["y", "w"])
    assert_same(model, {"x": random(5, 1, 4), "z": np.abs(random(1, 5, 6)) + 0.5})


@pytest.mark.filterwarnings("ignore")  # of the package, when it makes its cases
def test_node_tests_of_the_installed_package() -> None:
    from onnx.backend.test.case.node import collect_testcases

    cases = [case for case in collect_testcases(None) if case.model is not None]
    cases = [case for case in cases if {node.op_type for node in case.model.graph.node} & {"RNN", "LSTM", "GRU"}]
    assert len(cases) >= 12
    for case in cases:
        for inputs, outputs in case.data_sets:
            found = Backend.prepare(case.model).run(list(inputs))
            for mine, theirs in zip(found, outputs, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6, err_msg=case.name)
