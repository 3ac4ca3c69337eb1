"""onnxruntime: one RNN, LSTM or GRU node, forward only, weights packed when the session is made."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from rnncore.bench import CELLS, Answer, Case, Prepared, time_major

OPERATORS = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
IOFC = [0, 3, 1, 2]  # ONNX's gate order among LSTM's i, f, c, o


class OnnxRuntime:
    name = "onnxruntime"

    def __init__(self, threads: int) -> None:
        self.onnx: Any = importlib.import_module("onnx")
        self.onnxruntime: Any = importlib.import_module("onnxruntime")
        self.threads = threads
        self.version: str = self.onnxruntime.__version__

    def prepare(self, case: Case) -> Prepared | None:
        if case.training or case.padded:
            return None
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        session = self.onnxruntime.InferenceSession(
            self._model(case).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feed = {"x": time_major(case.data["x"])}
        return Prepared(
            lambda: session.run(["y"], feed)[0],
            lambda y: Answer(time_major(y[:, 0])),  # (T, 1, N, H)
        )

    def _model(self, case: Case) -> Any:
        onnx = self.onnx
        rows, steps, inputs, units = case.shape
        bias = case.data["bias"]
        if case.cell != "gru":
            bias = np.stack((bias, np.zeros_like(bias)))
        weights = {
            "w": gates_of_onnx(case.cell, units, case.data["kernel"]).T[None],
            "r": gates_of_onnx(case.cell, units, case.data["recurrent_kernel"]).T[None],
            "b": gates_of_onnx(case.cell, units, bias).reshape(1, -1),
        }
        attributes = {"linear_before_reset": 1} if case.cell == "gru" else {}
        node = onnx.helper.make_node(OPERATORS[case.cell], ["x", *weights], ["y"], hidden_size=units, **attributes)
        value, float32 = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            [node],
            case.cell,
            [value("x", float32, (steps, rows, inputs))],
            [value("y", float32, (steps, 1, rows, units))],
            [onnx.numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in weights.items()],
        )
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)


def gates_of_onnx(cell: str, units: int, values: np.ndarray) -> np.ndarray:
    """(..., G·H): from rnncore's gate order to ONNX's."""
    if cell != "lstm":
        return values
    gates = values.reshape(*values.shape[:-1], CELLS["lstm"], units)
    return gates[..., IOFC, :].reshape(values.shape)
