"""One step at a time: how long rnncore's streams take beside onnxruntime, OpenVINO, PyTorch's cells and RTNeural.

Every engine has one thread, keeps weights packed and states from step to step, and is called once a step. Answers are
compared with the NumPy reference first; then the engines take turns, some thousand steps each. The limit is what
reading the weights once takes, at the rate at which this machine reads as many bytes again and again.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from harness import machine_library, save
from peers.onnxruntime import OPERATORS, gates_of_onnx

from rnncore import functional, layers, models, reference, set_num_threads
from rnncore.bench import CELLS, markdown

Step = Callable[[np.ndarray], np.ndarray]  # (N, I) -> (N, H)
LAYERS = {"simple_rnn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}
BYTES = {"rnncore": 4.0, "rnncore bfloat16": 2.0, "rnncore int8": 1.0}  # of a weight
TOLERANCES = {"rnncore bfloat16": 2e-2, "rnncore int8": 5e-2}  # of the largest output; 2e-4 for all others
CHECKED_STEPS = 20


class Case(NamedTuple):
    """One recurrent layer, or some on top of each other with a dense one behind them."""

    cell: str
    units: int
    inputs: int = 16
    rows: int = 1
    layers: int = 1
    head: int = 0  # units of the dense layer; 0: there is none

    def __str__(self) -> str:
        stack = f"{self.layers} x " if self.layers > 1 else ""
        rows = f", {self.rows} rows" if self.rows > 1 else ""
        return f"{stack}{self.cell} {self.units}{f', dense {self.head}' if self.head else ''}{rows}"

    def model(self) -> models.Sequential:
        """The same weights each time."""
        stack = [LAYERS[self.cell](self.units, return_sequences=True) for _ in range(self.layers)]
        head = [layers.Dense(self.head)] if self.head else []
        model = models.Sequential([layers.Input((None, self.inputs)), *stack, *head])
        rng = np.random.default_rng(self.units)
        model.set_weights([rng.normal(size=w.shape) / np.sqrt(w.shape[0]) for w in model.weights])
        return model

    def weights(self) -> int:
        return sum(weight.size for weight in self.model().weights)


# Engines: each makes the step of a case, or None where it has none.


def stream_of(weights: str | None) -> Callable[[Case], Step | None]:
    def make(case: Case) -> Step:
        stream = case.model().stream(case.rows, weights=weights)
        out = stream.step(np.zeros((case.rows, case.inputs), np.float32))
        stream.reset()
        step = stream.step
        return lambda x: step(x, out)

    return make


def functions(case: Case) -> Step | None:
    if case.layers > 1 or case.head:
        return None
    call, state = getattr(functional, case.cell), None
    weights = functional.pack(*case.model().get_weights(), cell=case.cell)

    def step(x: np.ndarray) -> np.ndarray:
        nonlocal state
        result = call(x[:, None], weights, initial_state=state)
        state = result.state
        return result.state[0]

    return step


def torch_cells(case: Case) -> Step:
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    kinds = {"simple_rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}
    weights = [torch.from_numpy(np.ascontiguousarray(w)) for w in case.model().get_weights()]
    cells = []
    for number in range(case.layers):
        kernel, recurrent, bias = weights[3 * number : 3 * number + 3]
        cell = kinds[case.cell](kernel.shape[0], case.units)
        order = torch.arange(CELLS[case.cell])
        if case.cell == "gru":
            order = torch.tensor([1, 0, 2])  # PyTorch's r, z, n of Keras's z, r, h

        def reordered(w: Any, order: Any = order) -> Any:
            return w.reshape(*w.shape[:-1], len(order), case.units)[..., order, :].reshape(w.shape)

        biases = reordered(bias if case.cell == "gru" else torch.stack((bias, torch.zeros_like(bias))))
        with torch.no_grad():
            cell.weight_ih.copy_(reordered(kernel).T)
            cell.weight_hh.copy_(reordered(recurrent).T)
            cell.bias_ih.copy_(biases[0])
            cell.bias_hh.copy_(biases[1])
        cells.append(cell)
    head = None
    if case.head:
        head = torch.nn.Linear(case.units, case.head)
        with torch.no_grad():
            head.weight.copy_(weights[-2].T)
            head.bias.copy_(weights[-1])
    states: list[Any] = [None] * case.layers

    def step(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            h = torch.from_numpy(x)
            for number, cell in enumerate(cells):
                states[number] = cell(h, states[number])
                h = states[number][0] if case.cell == "lstm" else states[number]
            return (h if head is None else head(h)).numpy()

    return step


def onnx_bytes(case: Case) -> tuple[bytes, list[str], list[tuple[int, ...]]]:
    """A graph of one step, the names of its states, and their shapes. State s goes in as s and out as s_next."""
    onnx: Any = importlib.import_module("onnx")
    value, tensor = onnx.helper.make_tensor_value_info, onnx.numpy_helper.from_array
    float32 = onnx.TensorProto.FLOAT
    nodes, constants, states = [], [], []
    weights = case.model().get_weights()
    source = "x"
    shape = (1, case.rows, case.units)
    for number in range(case.layers):
        kernel, recurrent, bias = weights[3 * number : 3 * number + 3]
        bias = bias if case.cell == "gru" else np.stack((bias, np.zeros_like(bias)))
        w, r, b = (gates_of_onnx(case.cell, case.units, part) for part in (kernel, recurrent, bias))
        parts = {f"w{number}": w.T[None], f"r{number}": r.T[None], f"b{number}": b.reshape(1, -1)}
        constants += [tensor(np.ascontiguousarray(part), name) for name, part in parts.items()]
        here = [f"{kind}{number}" for kind in ("h", "c")[: 2 if case.cell == "lstm" else 1]]
        states += here
        attributes = {"linear_before_reset": 1} if case.cell == "gru" else {}
        outputs = [f"sequence{number}", *(f"{name}_next" for name in here)]
        inputs = [source, *parts, "", *here]
        nodes.append(onnx.helper.make_node(OPERATORS[case.cell], inputs, outputs, hidden_size=case.units, **attributes))
        nodes.append(onnx.helper.make_node("Squeeze", [outputs[0], "axis"], [f"steps{number}"]))
        source = f"steps{number}"
    constants.append(tensor(np.array([1], np.int64), "axis"))
    if case.head:
        constants += [tensor(weights[-2], "head"), tensor(weights[-1], "head_bias")]
        nodes.append(onnx.helper.make_node("MatMul", [source, "head"], ["product"]))
        nodes.append(onnx.helper.make_node("Add", ["product", "head_bias"], ["sum"]))
        source = "sum"
    nodes.append(onnx.helper.make_node("Identity", [source], ["y"]))
    graph = onnx.helper.make_graph(
        nodes,
        "step",
        [value("x", float32, (1, case.rows, case.inputs)), *(value(name, float32, shape) for name in states)],
        [
            value("y", float32, (1, case.rows, case.head or case.units)),
            *(value(f"{name}_next", float32, shape) for name in states),
        ],
        constants,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    return model.SerializeToString(), states, [shape] * len(states)


def onnxruntime_session(case: Case) -> Step:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph, names, shapes = onnx_bytes(case)
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    states = [np.zeros(shape, np.float32) for shape in shapes]
    wanted = ["y", *(f"{name}_next" for name in names)]

    def step(x: np.ndarray) -> np.ndarray:
        nonlocal states
        y, *states = session.run(wanted, {"x": x[None], **dict(zip(names, states, strict=True))})
        return y[0]

    return step


def openvino_request(case: Case) -> Step:
    openvino: Any = importlib.import_module("openvino")
    graph, names, shapes = onnx_bytes(case)
    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(graph, b""), "CPU", options)
    request = compiled.create_infer_request()
    tensors = {name: openvino.Tensor(np.zeros(shape, np.float32)) for name, shape in zip(names, shapes, strict=True)}
    x_tensor = openvino.Tensor(np.zeros((1, case.rows, case.inputs), np.float32))
    request.set_tensor("x", x_tensor)
    for name, tensor in tensors.items():
        request.set_tensor(name, tensor)
    results = {name: request.get_tensor(f"{name}_next").data for name in names}
    y = request.get_tensor("y").data

    def step(x: np.ndarray) -> np.ndarray:
        x_tensor.data[0] = x
        request.infer()
        for name, tensor in tensors.items():
            tensor.data[...] = results[name]
        return y[0]

    return step


def rtneural_layer(case: Case) -> Step | None:
    if case.layers > 1 or case.head or case.rows > 1 or case.cell == "simple_rnn":
        return None
    from peers.rtneural import layer_step

    return layer_step(case.cell, case.model().get_weights())


ENGINES: dict[str, Callable[[Case], Step | None]] = {
    "rnncore": stream_of(None),
    "rnncore bfloat16": stream_of("bfloat16"),
    "rnncore int8": stream_of("int8"),
    "rnncore.functional": functions,
    "onnxruntime": onnxruntime_session,
    "OpenVINO": openvino_request,
    "PyTorch": torch_cells,
    "RTNeural": rtneural_layer,
}


def check(name: str, case: Case, step: Step, x: np.ndarray) -> None:
    """AssertionError unless the outputs of some steps are those of the reference."""
    model = case.model()
    engine = model._session.engine(model)
    executor = reference.Executor(engine.program, engine.store.vector, engine.store.gradients)
    (expected,) = executor.forward([np.ascontiguousarray(x.transpose(1, 0, 2))])
    found = np.stack([np.array(step(x_t)) for x_t in x], axis=1)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    if not error <= TOLERANCES.get(name, 2e-4):
        raise AssertionError(f"{case}, {name}: off by {error:.1e} of the largest output")


def measure(case: Case, engines: Sequence[str], steps: int, rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each step of each engine that is installed and has the case."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(CHECKED_STEPS, case.rows, case.inputs)).astype(np.float32)
    made: dict[str, Step] = {}
    for name in engines:
        try:
            step = ENGINES[name](case)
        except ImportError:
            continue
        if step is not None:
            check(name, case, step, x)
            made[name] = step
    times: dict[str, list[np.ndarray]] = {name: [] for name in made}
    clock, x_t = time.perf_counter, x[0]
    for _ in range(rounds):
        for name, step in made.items():
            time.sleep(0.02)
            for _ in range(100):
                step(x_t)
            taken = np.empty(steps)
            for number in range(steps):
                start = clock()
                step(x_t)
                taken[number] = clock() - start
            times[name].append(taken)
    return {name: np.concatenate(parts) for name, parts in times.items()}


def limit(size: int) -> float:
    """Seconds that reading so many bytes takes."""
    library = machine_library()
    library.read_rate.restype = ctypes.c_double
    rate = max(library.read_rate(ctypes.c_int(1), ctypes.c_int64(size), ctypes.c_int(30)) for _ in range(3))
    return float(size / rate)


def cases(options: argparse.Namespace) -> list[Case]:
    found = [Case(cell, units, options.inputs) for cell in options.cells for units in options.units]
    if options.more:
        found += [Case(cell, 128, options.inputs, layers=2, head=10) for cell in options.cells]
        found += [Case("lstm", 128, options.inputs, rows) for rows in (2, 4, 8)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=list(LAYERS), default=["lstm", "gru", "simple_rnn"])
    parser.add_argument("--units", nargs="+", type=int, default=[32, 128, 256, 512])
    parser.add_argument("--inputs", type=int, default=16)
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--more", action="store_true", help="stacked layers and several rows, too")
    parser.add_argument("--steps", type=int, default=2000, help="of an engine in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()
    set_num_threads(1)
    records = []
    for case in cases(options):
        weights = case.weights()
        rows = []
        for name, seconds in measure(case, options.engines, options.steps, options.rounds).items():
            p50, p99, p999 = np.percentile(seconds, [50, 99, 99.9])
            share = ""
            if name in BYTES:
                share = f"{100 * limit(int(weights * BYTES[name])) / p50:.0f} %"
            rows.append([name, *(f"{1e6 * value:.2f}" for value in (p50, p99, p999)), share])
            quantiles = np.quantile(seconds, np.linspace(0, 1, 1001)).tolist()
            records.append({"case": str(case), **case._asdict(), "engine": name, "quantiles": quantiles})
        print(f"\n### {case}, {case.inputs} inputs, {4e-3 * weights:.0f} kB of weights\n", flush=True)
        print(markdown(["microseconds of a step", "p50", "p99", "p99.9", "of the limit"], rows), flush=True)
    save(options.json, records)


if __name__ == "__main__":
    main()
