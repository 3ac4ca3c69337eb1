"""Files that are damaged, hostile, or have what layers do not: an error that names the node, and no model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="reads and writes ONNX files")

from rnncore import layers, models  # noqa: E402
from rnncore import onnx as rnncore_onnx  # noqa: E402
from rnncore.onnx.exporting import model_proto  # noqa: E402

helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT = onnx.TensorProto.FLOAT


def good() -> Any:
    """A graph with each kind of part: an LSTM node called "lstm" and a MatMul called "dense"."""
    model = models.Sequential(
        [layers.Input((None, 3), name="x"), layers.LSTM(4, name="lstm"), layers.Dense(2, name="dense")]
    )
    return model_proto(model)


def node(proto: Any, name: str) -> Any:
    return next(node for node in proto.graph.node if node.name == name)


def tensor(proto: Any, name: str) -> Any:
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def attribute(proto: Any, of: str, name: str, value: Any) -> None:
    kept = [a for a in node(proto, of).attribute if a.name != name]
    del node(proto, of).attribute[:]
    node(proto, of).attribute.extend([*kept, helper.make_attribute(name, value)])


def external(proto: Any) -> None:
    found = tensor(proto, "dense.kernel")
    found.ClearField("raw_data")
    found.data_location = onnx.TensorProto.EXTERNAL
    found.external_data.add(key="location", value="../../etc/passwd")


def cycle(proto: Any) -> None:
    node(proto, "lstm").input[0] = proto.graph.output[0].name


def wrong_shape(proto: Any) -> None:
    tensor(proto, "lstm.R").CopyFrom(numpy_helper.from_array(np.ones((1, 16, 5), np.float32), "lstm.R"))


def whole_numbers(proto: Any) -> None:
    tensor(proto, "lstm.W").CopyFrom(numpy_helper.from_array(np.ones((1, 16, 3), np.int64), "lstm.W"))


def claims(proto: Any) -> None:
    tensor(proto, "dense.kernel").dims[0] = 2**40


def negative(proto: Any) -> None:
    tensor(proto, "dense.kernel").dims[0] = -4


def huge_constant(proto: Any) -> None:
    shape = numpy_helper.from_array(np.array([2**31, 2**31]), "huge")
    proto.graph.initializer.append(shape)
    proto.graph.node.insert(0, helper.make_node("ConstantOfShape", ["huge"], ["zeros"], name="bomb"))


def constant_loop(proto: Any) -> None:
    """A loop over constants, which would never end."""
    body = helper.make_graph([], "body", [helper.make_tensor_value_info("i", onnx.TensorProto.INT64, [])], [])
    proto.graph.initializer.append(numpy_helper.from_array(np.array(2**62), "trips"))
    proto.graph.node.insert(0, helper.make_node("Loop", ["trips"], ["looped"], name="loop", body=body))


def outer_product(proto: Any) -> None:
    for name, shape in (("column", (2**16, 1)), ("row", (1, 2**16))):
        proto.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    proto.graph.node.insert(0, helper.make_node("Add", ["column", "row"], ["product"], name="bomb"))


def doubled(proto: Any) -> None:
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(1024, np.float32), "d0"))
    for k in range(40):
        node = helper.make_node("Concat", [f"d{k}", f"d{k}"], [f"d{k + 1}"], name=f"double_{k}", axis=0)
        proto.graph.node.insert(k, node)


def repeated(proto: Any) -> None:
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 1, 2**40]), "times"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array([3]), "last"))
    proto.graph.node.insert(0, helper.make_node("Unsqueeze", ["x", "last"], ["x4"]))
    proto.graph.node.insert(1, helper.make_node("Tile", ["x4", "times"], ["many"], name="bomb"))


def unknown_operator(proto: Any) -> None:
    node(proto, "dense").op_type = "Einsum"


def other_domain(proto: Any) -> None:
    node(proto, "dense").domain = "com.microsoft"
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def quantized(proto: Any) -> None:
    node(proto, "lstm").op_type = "DynamicQuantizeLSTM"
    other_domain(proto)


def loop(proto: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    extra = helper.make_node("Loop", ["", "", proto.graph.input[0].name], ["looped"], name="loop", body=body)
    proto.graph.node.insert(0, extra)


def branch(proto: Any) -> None:
    inner = [
        helper.make_graph(
            [helper.make_node("Identity", ["x"], [n])], n, [], [helper.make_tensor_value_info(n, FLOAT, None)]
        )
        for n in "ab"
    ]
    extra = helper.make_node("If", ["x"], ["branched"], name="branch", then_branch=inner[0], else_branch=inner[1])
    proto.graph.node.insert(0, extra)


def old(proto: Any) -> None:
    proto.opset_import[0].version = 5


def sparse(proto: Any) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "few")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "places")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


def sequence_input(proto: Any) -> None:
    proto.graph.input.append(helper.make_tensor_sequence_value_info("seq", FLOAT, None))


def no_weights(proto: Any) -> None:
    kept = [t for t in proto.graph.initializer if t.name != "lstm.W"]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    proto.graph.input.append(helper.make_tensor_value_info("lstm.W", FLOAT, [1, 16, 3]))


BAD: dict[str, tuple[Callable[[Any], None], str]] = {
    "external data": (external, "'dense.kernel' of .* lies in another file; join them"),
    "cycle": (cycle, r"node 'lstm' \(LSTM\): it reads .* a cycle"),
    "wrong shape": (wrong_shape, r"node 'lstm' \(LSTM\): R must have shape"),
    "wrong type": (whole_numbers, r"node 'lstm' \(LSTM\): W must hold floats, got int64"),
    "huge claim": (claims, "'dense.kernel' of .* says that it has shape"),
    "negative size": (negative, "'dense.kernel' of .* sizes must not be negative"),
    "huge constant": (huge_constant, r"node 'bomb' \(ConstantOfShape\): it makes an array of shape"),
    "loop over constants": (constant_loop, r"node 'loop' \(Loop\): this operator is not supported on constants"),
    "outer product": (outer_product, r"node 'bomb' \(Add\): it makes an array of 4294967296 numbers"),
    "doubled": (doubled, r"node 'double_\d+' \(Concat\): it makes an array of"),
    "repeated": (repeated, r"node 'bomb' \(Tile\): an axis is repeated"),
    "unknown operator": (unknown_operator, r"node 'dense' \(Einsum\): this operator is not supported"),
    "other domain": (other_domain, r"node 'dense' \(MatMul\) is of the domain 'com.microsoft'"),
    "quantized": (quantized, "com.microsoft"),
    "loop": (loop, r"node 'loop' \(Loop\): this operator is not supported; export the model"),
    "branch on data": (branch, r"node 'branch' \(If\): which branch is taken depends on the data"),
    "old opset": (old, "has opset 5, known are 7 to"),
    "sparse": (sparse, "tensor 'few' is sparse"),
    "sequence input": (sequence_input, "input 'seq' must be a tensor"),
    "weights as inputs": (no_weights, r"node 'lstm' .* its W is the graph's input 'lstm.W'; give it a value: values="),
    "clip": (
        lambda p: attribute(p, "lstm", "clip", 1.0),
        r"node 'lstm' \(LSTM\): clip is no option of a layer for any number of steps; fix",
    ),
    "g and h": (
        lambda p: attribute(p, "lstm", "activations", ["Sigmoid", "Tanh", "Relu"]),
        r"node 'lstm' \(LSTM\): another activation for a cell's output",
    ),
    "unknown activation": (
        lambda p: attribute(p, "lstm", "activations", ["Sigmoid", "Tanh", "Gelu"]),
        r"node 'lstm' \(LSTM\): activations has the unknown name 'Gelu'",
    ),
    "unknown attribute": (lambda p: attribute(p, "lstm", "bias", 1), r"node 'lstm' \(LSTM\): its attribute bias"),
    "attribute of another type": (
        lambda p: attribute(p, "lstm", "direction", 3),
        r"node 'lstm' \(LSTM\): (its attribute direction must be|direction must be)",
    ),
    "hidden_size": (lambda p: attribute(p, "lstm", "hidden_size", 7), r"node 'lstm' \(LSTM\): R must have shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_error_names_what_is_wrong(name: str, tmp_path: Path) -> None:
    proto = good()
    spoil, message = BAD[name]
    spoil(proto)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=message):
        rnncore_onnx.load(tmp_path / "model.onnx")


def test_damaged_files(tmp_path: Path) -> None:
    content = good().SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="model.onnx is no ONNX file, or a damaged one"):
        rnncore_onnx.load(path)
    refused = 0
    for trial in range(150):
        spoiled = bytearray(content)
        if trial % 3 == 0:
            spoiled = spoiled[: rng.integers(len(content))]
        else:
            for place in rng.integers(len(content), size=1 + trial % 7):
                spoiled[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(spoiled))
        try:
            model = rnncore_onnx.load(path)
        except ValueError:
            refused += 1
        else:  # a bit of a weight or of a name
            assert model.built
    assert refused > 50


def test_arguments(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(good().SerializeToString())
    with pytest.raises(ValueError, match=r"shapes has 'y', which is no input of the graph; they are \['x'\]"):
        rnncore_onnx.load(path, shapes={"y": (None, 3)})
    with pytest.raises(ValueError, match="shapes has .* for input 'x', which has 3 axes"):
        rnncore_onnx.load(path, shapes={"x": (None, 3)})
    with pytest.raises(FileNotFoundError):
        rnncore_onnx.load(tmp_path / "other.onnx")
    assert rnncore_onnx.load(path, shapes={"x": (None, 7, 3)}).input_shape == (None, 7, 3)
