"""Who is measured: rnncore, PyTorch and JAX, each on the same weights in its own best layout."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import __version__, functional, runtime
from .cases import CELLS, Answer, Array, Case, functions_answer, prepare_functions

__all__ = ["PEERS", "Jax", "Peer", "Prepared", "Rnncore", "Torch"]


class Prepared(NamedTuple):
    """A call to time, and how to read what it returns."""

    call: Callable[[], Any]
    answer: Callable[[Any], Answer]


class Peer(Protocol):
    """An engine. Its constructor takes the number of threads and raises ImportError when it is not installed."""

    name: str
    version: str

    def __init__(self, threads: int) -> None: ...

    def prepare(self, case: Case) -> Prepared | None:
        """Convert the weights; None when the engine cannot do this case."""
        ...


class Rnncore:
    """`rnncore.functional`, the public functions, on NumPy arrays."""

    name = "rnncore"

    def __init__(self, threads: int) -> None:
        runtime.set_num_threads(threads)
        self.version = __version__

    def prepare(self, case: Case) -> Prepared:
        return Prepared(prepare_functions(functional, case), functions_answer)


class Torch:
    """PyTorch eager: `torch.nn` modules, time-major; padded rows as a `PackedSequence`."""

    name = "PyTorch"
    modules = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}  # noqa: RUF012

    def __init__(self, threads: int) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(threads)
        self.version: str = self.torch.__version__

    def module(self, case: Case) -> Any:
        """Make the module with the case's weights."""
        module = getattr(self.torch.nn, self.modules[case.cell])(case.shape.inputs, case.shape.units)
        kernel, recurrent_kernel, bias = (_gate_order(case, case.data[k]) for k in _WEIGHTS)
        biases = bias if case.cell == "gru" else (bias, np.zeros_like(bias))
        with self.torch.no_grad():
            for parameter, values in zip(module.parameters(), (kernel.T, recurrent_kernel.T, *biases), strict=True):
                parameter.copy_(self.torch.tensor(values))
        return module

    def prepare(self, case: Case) -> Prepared:
        torch, module = self.torch, self.module(case)
        x = torch.tensor(time_major(case.data["x"]))
        pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
        lengths = None if case.lengths is None else torch.tensor(case.lengths, dtype=torch.int64)

        def layer() -> Any:
            if lengths is None:
                return module(x)[0]
            packed = module(pack(x, lengths, enforce_sorted=False))[0]
            return pad(packed, total_length=case.shape.steps)[0]

        if not case.training:

            def forward() -> Any:
                with torch.inference_mode():
                    return (layer(),)

            return Prepared(forward, lambda result: Answer(time_major(result[0].numpy())))

        x.requires_grad_()
        doutput = torch.tensor(time_major(case.doutput))
        sources = (x, *module.parameters())

        def step() -> Any:
            output = layer()
            return output.detach(), *torch.autograd.grad(output, sources, doutput)

        def answer(result: Any) -> Answer:
            output, dx, dkernel, drecurrent, *dbiases = (values.numpy() for values in result)
            dbias = np.stack(dbiases) if case.cell == "gru" else dbiases[0]
            return Answer(
                time_major(output), time_major(dx), *(_gate_order(case, d) for d in (dkernel.T, drecurrent.T, dbias))
            )

        return Prepared(step, answer)


class Jax:
    """JAX: a jitted `lax.scan`, time-major, with the input projection outside of the loop."""

    name = "JAX"

    def __init__(self, threads: int) -> None:
        # XLA's thread pool has the size of the process's CPU set, which the command has limited already.
        self.jax: Any = importlib.import_module("jax")
        self.version: str = self.jax.__version__

    def prepare(self, case: Case) -> Prepared | None:
        if case.padded:
            return None
        jax = self.jax
        layer = _jax_layer(jax, case)
        x = jax.device_put(time_major(case.data["x"]))
        weights = tuple(jax.device_put(case.data[k]) for k in _WEIGHTS)
        doutput = jax.device_put(time_major(case.doutput))

        def step(x: Any, weights: Any, doutput: Any) -> Any:
            output, vjp = jax.vjp(layer, x, *weights)
            return output, *vjp(doutput)

        def forward(x: Any, weights: Any, doutput: Any) -> Any:
            return (layer(x, *weights),)

        compiled = jax.jit(step if case.training else forward)

        def answer(result: Any) -> Answer:
            output, *gradients = map(np.asarray, result)
            dx = [time_major(d) for d in gradients[:1]]
            return Answer(time_major(output), *dx, *gradients[1:])

        return Prepared(lambda: jax.block_until_ready(compiled(x, weights, doutput)), answer)


PEERS: dict[str, type[Peer]] = {"rnncore": Rnncore, "torch": Torch, "jax": Jax}

_WEIGHTS = ("kernel", "recurrent_kernel", "bias")


def time_major(values: Array) -> Array:
    """Exchange the first two axes: (N, T, C) to (T, N, C) or back."""
    return np.ascontiguousarray(values.swapaxes(0, 1))


def _gate_order(case: Case, values: Array) -> Array:
    """Exchange GRU's first two gates, z, r in rnncore and r, z in PyTorch; (..., G·H) to (..., G·H)."""
    if case.cell != "gru":
        return values
    z, r, h = np.split(values, 3, axis=-1)
    return np.concatenate((r, z, h), axis=-1)


def _jax_layer(jax: Any, case: Case) -> Callable[..., Any]:
    numpy, sigmoid = jax.numpy, jax.nn.sigmoid
    rows, _, _, units = case.shape
    gates = CELLS[case.cell]

    def simple_rnn(state: Any, projected: Any, recurrent: Any, bias: Any) -> Any:
        return (numpy.tanh(projected + state[0] @ recurrent),)

    def lstm(state: Any, projected: Any, recurrent: Any, bias: Any) -> Any:
        i, f, g, o = numpy.split(projected + state[0] @ recurrent, gates, axis=-1)
        c = sigmoid(f) * state[1] + sigmoid(i) * numpy.tanh(g)
        return sigmoid(o) * numpy.tanh(c), c

    def gru(state: Any, projected: Any, recurrent: Any, bias: Any) -> Any:
        z, r, h = numpy.split(projected, gates, axis=-1)
        hidden_z, hidden_r, hidden_h = numpy.split(state[0] @ recurrent + bias[1], gates, axis=-1)
        z = sigmoid(z + hidden_z)
        return (z * state[0] + (1 - z) * numpy.tanh(h + sigmoid(r + hidden_r) * hidden_h),)

    cell = {"simple_rnn": simple_rnn, "lstm": lstm, "gru": gru}[case.cell]

    def layer(x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        def step(state: Any, projected: Any) -> Any:
            state = cell(state, projected, recurrent, bias)
            return state, state[0]

        zeros = (numpy.zeros((rows, units), numpy.float32),) * (2 if case.cell == "lstm" else 1)
        input_bias = bias[0] if case.cell == "gru" else bias
        return jax.lax.scan(step, zeros, x @ kernel + input_bias)[1]

    return layer
