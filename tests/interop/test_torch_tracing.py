"""The operators keep PyTorch's rules, and compilers, exporters and tracers take modules that use them."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
nn = torch.nn

import rnncore.torch as ours  # noqa: E402
from rnncore.torch import kernels, ops  # noqa: E402
from rnncore.torch.ops import layer_backward_op, layer_op  # noqa: E402


class Tagger(nn.Module):
    """A recurrent module, and something behind it."""

    def __init__(self, kind: str = "GRU") -> None:
        super().__init__()
        self.rnn = getattr(ours, kind)(3, 4, 2, bidirectional=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0])


def step(model: Any, called: Any, x: Any) -> list[Any]:
    """Output and gradients of a model that is called as `called`."""
    output = called(x)
    return [output, *torch.autograd.grad(output.pow(2).sum(), list(model.parameters()))]


@pytest.mark.parametrize("cell", ["rnn_relu", "lstm", "gru"])
def test_operators_pass_pytorchs_checks(cell: str) -> None:
    torch.manual_seed(0)
    weights = list(
        getattr(nn, cell.upper().partition("_")[0])(3, 4, bidirectional=True, dtype=torch.float64).parameters()
    )
    x = torch.randn(5, 3, 3, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2 if cell == "lstm" else 1)]
    lengths, resets = torch.tensor([2, 0, 5], dtype=torch.int32), torch.rand(3, 5) < 0.3
    torch.library.opcheck(layer_op, (cell, 2, x, states, lengths, resets, weights, True))
    torch.library.opcheck(layer_op, (cell, 1, x, [], None, None, weights[: len(weights) // 2], False))
    torch.library.opcheck(
        layer_backward_op,
        (
            torch.randn(5, 3, 8, dtype=torch.float64),
            [torch.randn(2, 3, 4, dtype=torch.float64), *[None] * (len(states) - 1)],
            torch.zeros(1, dtype=torch.uint8),
            cell,
            2,
            *(x.detach(), [state.detach() for state in states], None, None, [weight.detach() for weight in weights]),
        ),
    )


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of the compiler, about the input of part of a graph
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_compiled_models_give_the_same(kind: str, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    model, x = Tagger(kind), torch.randn(9, 3, 3)
    expected = step(model, model, x)
    runs: list[str] = []
    run = kernels.forward
    monkeypatch.setattr(kernels, "forward", lambda *args, **options: runs.append(args[0]) or run(*args, **options))
    with torch._dynamo.config.patch(allow_rnn=whole):  # else a rule of the compiler splits graphs at such modules
        found = step(model, torch.compile(model, backend="aot_eager", fullgraph=whole), x)
    assert runs == [kind.lower()] * 2  # backward reads the tapes, and runs nothing again
    assert not ops._TAPES
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of PyTorch's own module, too
@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_exported_and_traced_programs_need_no_rnncore() -> None:
    model, x = Tagger("LSTM").eval(), torch.randn(9, 3, 3)
    program = torch.export.export(model, (x,))
    targets = {str(node.target) for node in program.graph.nodes}
    assert "aten.lstm.input" in targets
    torch.testing.assert_close(program.module()(x), model(x))
    traced = torch.jit.trace(model, (x,))
    torch.testing.assert_close(traced(x), model(x))
    assert "aten::lstm" in str(traced.inlined_graph)


def test_modes_that_look_at_each_operation_see_the_operator() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Names(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.found.append(str(function))
            return function(*args, **(kwargs or {}))

    model, x = Tagger(), torch.randn(9, 3, 3)
    with Names() as names:
        found = step(model, model, x)
    assert names.found.count("rnncore.layer.default") == 2
    assert names.found.count("rnncore.layer_backward.default") == 2
    for one, other in zip(found, step(model, model, x), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_compute_the_same(reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    model, x = Tagger(), torch.randn(9, 3, 3)
    found = []
    for called in (model, lambda x: checkpoint(model, x, use_reentrant=reentrant)):
        point = x.clone().requires_grad_()
        called(point).pow(2).sum().backward()
        found.append([point.grad, *(parameter.grad.clone() for parameter in model.parameters())])
        model.zero_grad()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
