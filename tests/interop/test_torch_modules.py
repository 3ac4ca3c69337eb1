"""Recurrent modules give what PyTorch's give: outputs, states, gradients, and errors."""

from __future__ import annotations

import copy
import io
import pickle
import re
from typing import Any

import numpy as np
import pytest

from rnncore import _core

torch = pytest.importorskip("torch", reason="torch is not installed")
nn = torch.nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402

import rnncore.torch as ours  # noqa: E402
from rnncore.torch import kernels, modules, support  # noqa: E402

KINDS = ["RNN", "LSTM", "GRU"]
LENGTHS = [5, 7, 1, 2, 5, 1]


@pytest.fixture(autouse=True)
def _kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single steps go to the kernels too, which would be left to PyTorch."""
    torch.manual_seed(0)
    monkeypatch.setattr(modules, "gains_nothing", lambda *_, **__: False)


def pair(kind: str, *arguments: Any, dtype: Any = torch.float64, **options: Any) -> tuple[Any, Any]:
    """PyTorch's module and ours, of the same weights."""
    theirs = getattr(nn, kind)(*arguments, dtype=dtype, **options)
    made = getattr(ours, kind)(*arguments, dtype=dtype, **options)
    made.load_state_dict(theirs.state_dict())
    return theirs, made


def as_tuple(hidden: Any) -> tuple[Any, ...]:
    return hidden if isinstance(hidden, tuple) else (hidden,)


def answer(module: Any, x: Any, states: Any, *, packed: bool = False, **options: Any) -> list[Any]:
    """Output, states, and the gradients of all that has one."""
    x, states = x.clone().requires_grad_(), [state.clone().requires_grad_() for state in states]
    hx = (tuple(states) if "LSTM" in type(module).__name__ else states[0]) if states else None
    if packed:
        y, hidden = module(pack_padded_sequence(x, LENGTHS, module.batch_first, enforce_sorted=False), hx)
        y, _ = pad_packed_sequence(y, module.batch_first)
    else:
        y, hidden = module(x, hx, **options)
    found = [y, *as_tuple(hidden)]
    generator = torch.Generator().manual_seed(1)
    loss = sum((part * torch.randn(part.shape, generator=generator, dtype=part.dtype)).sum() for part in found)
    return [*found, *torch.autograd.grad(loss, [x, *states, *module.parameters()])]


def close(ours: list[Any], theirs: list[Any], tolerance: float = 1e-10) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layers", "options", "with_states"),
    [
        (1, {}, True),
        (1, {"bidirectional": True, "bias": False}, False),
        (2, {"batch_first": True}, False),
        (3, {"bidirectional": True, "batch_first": True}, True),
        (2, {"nonlinearity": "relu"}, True),
    ],
)
def test_outputs_and_gradients(kind: str, layers: int, options: dict[str, Any], with_states: bool) -> None:
    if "nonlinearity" in options and kind != "RNN":
        options = {"bias": False}
    theirs, made = pair(kind, 3, 5, layers, **options)
    x = torch.randn(7, 6, 3, dtype=torch.float64)
    x = x.transpose(0, 1) if made.batch_first else x  # not contiguous
    count = (2 if kind == "LSTM" else 1) * with_states
    states = [torch.randn(layers * (1 + made.bidirectional), 6, 5, dtype=torch.float64) for _ in range(count)]
    close(answer(made, x, states), answer(theirs, x, states))
    expected = answer(theirs, x, states, packed=True)
    close(answer(made, x, states, packed=True), expected)
    close(answer(made, x, states, lengths=LENGTHS), expected)
    for module in (theirs, made):
        module.float()
    states = [state.float() for state in states]
    close(answer(made, x.float(), states), answer(theirs, x.float(), states), 2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_unbatched_contiguous_and_sorted_input(kind: str) -> None:
    theirs, made = pair(kind, 3, 5, 2, bidirectional=True, batch_first=True)
    x = torch.randn(7, 3, dtype=torch.float64)
    states = [torch.randn(4, 5, dtype=torch.float64) for _ in range(2 if kind == "LSTM" else 1)]
    close(answer(made, x, []), answer(theirs, x, []))
    close(answer(made, x, states), answer(theirs, x, states))
    packed = pack_padded_sequence(torch.randn(3, 4, 3, dtype=torch.float64), [4, 3, 3], batch_first=True)
    for one, other in zip(made(packed)[0], theirs(packed)[0], strict=True):
        assert (one is None and other is None) or torch.allclose(one, other)


def test_values_that_pytorch_tests_its_own_with() -> None:
    lstm = ours.LSTM(2, 2)
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape) / parameter.numel())
    output, (h, c) = lstm((24 - torch.arange(24.0).view(3, 4, 2)) / 24)
    first = [0.4391, 0.5402, 0.4330, 0.5324, 0.4261, 0.5239, 0.4183, 0.5147]
    last = [0.7889, 0.9003, 0.7769, 0.8905, 0.7635, 0.8794, 0.7484, 0.8666]
    cells = [1.1647, 1.6106, 1.1425, 1.5726, 1.1187, 1.5329, 1.0931, 1.4911]
    for found, expected in ((output[0], first), (output[2], last), (h, last), (c, cells)):
        np.testing.assert_allclose(found.detach().reshape(-1), expected, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_steps_keep_their_state(kind: str) -> None:
    _, made = pair(kind, 3, 5)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    states = [torch.randn(1, 2, 5, dtype=torch.float64) for _ in range(2 if kind == "LSTM" else 1)]
    output, hidden = made(x, tuple(states) if kind == "LSTM" else states[0], lengths=torch.tensor([0, 3]))
    assert not output[:, 0].any()
    assert not output[3].any()
    for state, last in zip(states, as_tuple(hidden), strict=True):
        assert torch.equal(state[:, 0], last[:, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_rows_that_begin_anew_are_as_rows_of_their_own(kind: str, batch_first: bool) -> None:
    theirs, made = pair(kind, 3, 4, 2, bidirectional=True, batch_first=batch_first)
    x = torch.randn(1, 7, 3, dtype=torch.float64)
    pieces = [x[:, :3], x[:, 3:4], x[:, 4:]]
    resets = torch.tensor([[0, 0, 0, 1, 1, 0, 0]])
    turn = (lambda t: t) if batch_first else (lambda t: t.transpose(0, 1))
    outputs = [turn(theirs(turn(piece))[0]) for piece in pieces]
    found, hidden = made(turn(x), resets=turn(resets))
    torch.testing.assert_close(turn(found), torch.cat(outputs, 1))
    first, last = as_tuple(theirs(turn(pieces[0]))[1])[0], as_tuple(theirs(turn(pieces[-1]))[1])[0]
    torch.testing.assert_close(as_tuple(hidden)[0][[0, 2]], last[[0, 2]])
    torch.testing.assert_close(as_tuple(hidden)[0][[1, 3]], first[[1, 3]])
    gradients = []
    for module, output in ((made, turn(found)), (theirs, torch.cat(outputs, 1))):
        gradients.append(torch.autograd.grad(output.pow(2).sum(), list(module.parameters())))
    close(*map(list, gradients))
    cut, _ = made(turn(x), lengths=[5], resets=turn(resets))
    torch.testing.assert_close(turn(cut)[:, :3], outputs[0])
    assert not turn(cut)[:, 5:].any()


def test_resets_that_do_not_fit_are_refused() -> None:
    made, x = ours.LSTM(3, 4, batch_first=True), torch.zeros(2, 5, 3)
    with pytest.raises(ValueError, match=r"resets: expected shape \(2, 5\), as the input begins, got \(5, 2\)"):
        made(x, resets=torch.zeros(5, 2, dtype=torch.bool))
    with pytest.raises(TypeError, match="resets: expected booleans or integers, got dtype torch.float32"):
        made(x, resets=torch.zeros(2, 5))
    with pytest.raises(ValueError, match="resets: expected an input of padded rows with 3 axes, got 2 axes"):
        made(x[0], resets=torch.zeros(5, dtype=torch.bool))
    with pytest.raises(ValueError, match="resets: expected a call that the kernels can do, got one with dtype"):
        made.bfloat16()(x.bfloat16(), resets=torch.zeros(2, 5, dtype=torch.bool))
    x.requires_grad_()
    output, _ = made.float()(x, resets=torch.ones(2, 5, dtype=torch.bool))
    with pytest.raises(NotImplementedError, match="create_graph: gradients of a call with resets"):
        torch.autograd.grad(output.sum(), x, create_graph=True)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_draws_what_pytorch_draws(kind: str) -> None:
    theirs, made = pair(kind, 3, 8, 3, dropout=0.4, bidirectional=True)
    found = []
    for module in (made, theirs):
        torch.manual_seed(5)
        found.append(answer(module, torch.ones(6, 4, 3, dtype=torch.float64), []))
    close(*found)
    assert torch.equal(made.eval()(torch.ones(6, 4, 3).double())[0], made(torch.ones(6, 4, 3).double())[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "state"),
    [((5, 2, 4), None), ((5, 2, 3), (1, 3, 4)), ((5, 2, 3), (2, 4)), ((5, 3), (1, 2, 4)), ((5, 2, 2, 3), None)],
)
def test_wrong_calls_raise_what_pytorch_raises(kind: str, shape: Any, state: Any) -> None:
    theirs, made = pair(kind, 3, 4)
    hx = None if state is None else torch.zeros(state, dtype=torch.float64)
    hx = (hx, hx) if kind == "LSTM" and state else hx
    with pytest.raises((ValueError, RuntimeError)) as expected:
        theirs(torch.zeros(shape, dtype=torch.float64), hx)
    with pytest.raises(expected.type) as found:
        made(torch.zeros(shape, dtype=torch.float64), hx)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_states_raises_what_pytorch_raises(count: int) -> None:
    theirs, made = pair("LSTM", 3, 4)
    x, hx = torch.zeros(9, 2, 3, dtype=torch.float64), (torch.zeros(1, 2, 4, dtype=torch.float64),) * count
    with pytest.raises((RuntimeError, IndexError)) as expected:
        theirs(x, hx)
    with pytest.raises(expected.type, match=re.escape(str(expected.value))):
        made(x, hx)


def test_lengths_that_do_not_fit_are_refused() -> None:
    made = ours.GRU(3, 4, batch_first=True)
    x = torch.zeros(2, 5, 3)
    for lengths, error, text in (
        ([1, 2, 3], ValueError, r"lengths: expected shape \(2,\), one per row of the input, got \(3,\)"),
        ([1, 6], ValueError, "lengths: expected values from 0 to 5, the time steps, got 6"),
        ([1.0, 2.0], TypeError, "lengths: expected integers, got dtype torch.float32"),
        ("12", TypeError, "lengths: expected a tensor or numbers, got str"),
    ):
        with pytest.raises(error, match=text):
            made(x, lengths=lengths)
    with pytest.raises(ValueError, match="lengths: expected an input of padded rows with 3 axes, got 2 axes"):
        made(x[0], lengths=[1])
    with pytest.raises(ValueError, match="got a PackedSequence"):
        made(pack_padded_sequence(x, [5, 5], batch_first=True), lengths=[1, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_numeric_gradients_and_second_derivatives(kind: str) -> None:
    _, made = pair(kind, 2, 3, 2, bidirectional=True)
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    hx = [torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2 if kind == "LSTM" else 1)]

    def call(x: Any, *hx: Any) -> Any:
        output, hidden = made(x, hx if kind == "LSTM" else hx[0])
        return output, *as_tuple(hidden)

    assert torch.autograd.gradcheck(call, (x, *hx))
    assert torch.autograd.gradgradcheck(call, (x, *hx))
    made.float()
    theirs = getattr(nn, kind)(2, 3, 2, bidirectional=True)
    theirs.load_state_dict(made.state_dict())
    penalties = []
    for module in (made, theirs.double()):
        point = x.detach().to(module.weight_ih_l0.dtype).requires_grad_()
        (gradient,) = torch.autograd.grad(module(point)[0].sum(), point, create_graph=True)
        penalties.append(torch.autograd.grad(gradient.pow(2).sum(), list(module.parameters()), allow_unused=True))
    for one, other in zip(*penalties, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_jacobian_may_take_all_gradients_at_once(kind: str) -> None:
    theirs, made = pair(kind, 3, 2)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    for call in (lambda module: lambda x: module(x)[0], lambda module: lambda x: as_tuple(module(x)[1])[0]):
        close([jacobian(call(made), x, vectorize=True)], [jacobian(call(theirs), x)])


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_may_be_negated_in_name_alone(kind: str) -> None:
    theirs, made = pair(kind, 3, 4)

    def negated(*shape: int) -> Any:
        return torch.randn(*shape, dtype=torch.complex128).conj().imag

    x, doutput = negated(5, 2, 3), negated(5, 2, 4)
    assert x.is_neg()
    found = []
    for module in (made, theirs):
        h = torch.zeros(1, 2, 4, dtype=torch.float64, requires_grad=True)
        output, _ = module(x, (h, h) if kind == "LSTM" else h)
        found.append([output, *torch.autograd.grad(output, [h, *module.parameters()], doutput)])
    close(*found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_that_is_kept_can_be_gone_through_again(kind: str) -> None:
    theirs, made = pair(kind, 3, 4, 2)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    for module in (theirs, made):
        output, _ = module(x)
        output.sum().backward(retain_graph=True)
        output.pow(2).sum().backward()
        with pytest.raises(RuntimeError, match="a second time"):
            output.sum().backward()
    close([p.grad for p in made.parameters()], [p.grad for p in theirs.parameters()])


@pytest.mark.parametrize("batch_sizes", [None, [2, 1]])
def test_tapes_serve_once(batch_sizes: list[int] | None) -> None:
    sizes = None if batch_sizes is None else torch.tensor(batch_sizes)
    x = torch.ones(2, 2, 3) if sizes is None else torch.ones(3, 3)
    weights = ours.GRU(3, 4)._flat_weights
    (output, _), tapes = kernels.forward("gru", 1, x, (), None, None, weights, sizes, training=True)
    for doutput in (torch.ones_like(output), None):
        kernels.backward(tapes, doutput, [None])
        with pytest.raises(ValueError, match="already used"):
            kernels.backward(tapes, doutput, [None])
        _, tapes = kernels.forward("gru", 1, x, (), None, None, weights, sizes, training=True)


def test_changing_what_backward_needs_is_noticed() -> None:
    made = ours.LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    output, _ = made(x)
    with torch.no_grad():
        made.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_output_may_be_changed_before_backward(bidirectional: bool) -> None:
    pair_of = pair("GRU", 3, 4, bidirectional=bidirectional)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    for module in pair_of:
        output, h = module(x)
        output.mul_(torch.linspace(0, 1, 5, dtype=torch.float64)[:, None, None])
        (output.square().sum() + h.sum()).backward()
    for one, other in zip(*(module.parameters() for module in pair_of), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_numbers_are_read_and_returned_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    function = _core.layer

    def spy(*arguments: Any) -> Any:
        result = function(*arguments)
        seen.extend([arguments[2], arguments[5][0], result[0]])
        return result

    monkeypatch.setattr(_core, "layer", spy)
    for batch_first in (False, True):
        seen.clear()
        x, h = torch.randn(5, 5, 3), torch.randn(1, 5, 4)
        output, _ = ours.GRU(3, 4, batch_first=batch_first)(x, h)
        for array, tensor in zip(seen, (x, h, output), strict=True):
            assert np.shares_memory(array, tensor.detach().numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_copies_pickles_and_files_keep_the_weights(kind: str) -> None:
    _, made = pair(kind, 3, 4, 2, bidirectional=True, dtype=torch.float32)
    x = torch.randn(5, 2, 3)
    file = io.BytesIO()
    torch.save(made, file)
    file.seek(0)
    copies = [copy.deepcopy(made), pickle.loads(pickle.dumps(made)), torch.load(file, weights_only=False)]
    for copied in copies:
        assert type(copied) is type(made)
        assert torch.equal(copied(x)[0], made(x)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_given_for_one_call(kind: str) -> None:
    theirs, made = pair(kind, 3, 4)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    given = {name: parameter * 2 for name, parameter in theirs.state_dict().items()}

    def loss(module: Any, parameters: Any) -> Any:
        return torch.func.functional_call(module, parameters, (x,))[0].pow(2).sum()

    torch.testing.assert_close(loss(made, given), loss(theirs, given))
    found, expected = (torch.func.grad(lambda p, m=module: loss(m, p))(given) for module in (made, theirs))
    close(list(found.values()), list(expected.values()))
    assert torch.equal(made.weight_ih_l0, theirs.weight_ih_l0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # of forward-mode differentiation
def test_what_the_kernels_cannot_do_pytorch_does() -> None:
    theirs, made = pair("LSTM", 3, 4, batch_first=True, dtype=torch.float32)
    x = torch.randn(2, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert made(x)[0].dtype == theirs(x)[0].dtype == torch.bfloat16
    assert made(torch.zeros(0, 5, 3))[0].shape == (0, 5, 4)
    with pytest.raises(RuntimeError, match="larger than 0"):
        made(torch.zeros(2, 0, 3))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        output, _ = ours.GRU(3, 4)(dual)
        assert torch.autograd.forward_ad.unpack_dual(output).tangent is not None
    projected, ours_projected = pair("LSTM", 3, 4, 2, proj_size=2, bidirectional=True)
    close(answer(ours_projected, x.double(), []), answer(projected, x.double(), []))
    half = made.to(torch.bfloat16)
    assert half(x.bfloat16(), lengths=[5, 2])[0].dtype == torch.bfloat16
    assert made.to("meta")(x.to("meta").bfloat16())[0].shape == (2, 5, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_cells(kind: str) -> None:
    theirs, made = pair(f"{kind}Cell", 3, 4)
    for shape in ((5, 3), (3,)):
        x = torch.randn(shape, dtype=torch.float64)
        states = [torch.randn(*shape[:-1], 4, dtype=torch.float64) for _ in range(2 if kind == "LSTM" else 1)]
        for given in ([], states):
            results = []
            for cell in (made, theirs):
                sources = [tensor.clone().requires_grad_() for tensor in (x, *given)]
                hx = (tuple(sources[1:]) if kind == "LSTM" else sources[1]) if given else None
                hidden = as_tuple(cell(sources[0], hx))
                loss = sum((k + 1) * state.pow(2).sum() for k, state in enumerate(hidden))
                results.append([*hidden, *torch.autograd.grad(loss, [*sources, *cell.parameters()])])
            close(*results)
    with pytest.raises((ValueError, RuntimeError)) as expected:
        theirs(torch.zeros(1, 2, 2, 3).double())
    with pytest.raises(expected.type, match="1D or 2D"):
        made(torch.zeros(1, 2, 2, 3).double())


def test_weights_that_are_kept_packed_are_those_of_the_module() -> None:
    theirs, made = pair("GRU", 3, 4, 2, bidirectional=True, dtype=torch.float32)
    x = torch.randn(5, 2, 3)
    changes = [
        lambda module: None,
        lambda module: module.weight_hh_l1_reverse.data.mul_(1.5),  # which `_version` does not tell
        lambda module: module.bias_ih_l0.data.__setitem__(0, float("nan")),
        lambda module: module.bias_ih_l0.data.zero_(),
        lambda module: setattr(module, "weight_ih_l0", nn.Parameter(torch.ones(12, 3))),
    ]
    with torch.inference_mode():
        for change in changes:
            for module in (theirs, made):
                change(module)
            for _ in range(2):
                torch.testing.assert_close(made(x)[0], theirs(x)[0], equal_nan=True)


def test_calls_that_gain_nothing_run_on_pytorchs_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "gains_nothing", support.gains_nothing)
    runs: list[int] = []
    run = kernels.forward

    def spy(*args: Any, **options: Any) -> Any:
        runs.append(len(args[2] if args[7] is None else args[7]))
        return run(*args, **options)

    monkeypatch.setattr(kernels, "forward", spy)
    every = [1, 2, 3]
    cases = (
        ("RNN", 128, [2, 3], every),
        ("RNN", 512, [2, 3], [3]),
        ("GRU", 128, every, every),
        ("GRU", 512, [2, 3], [3]),
        ("LSTM", 512, every, every),
    )
    for kind, units, trained, predicted in cases:
        theirs, made = pair(kind, 64, units, dtype=torch.float32)
        for grad in (True, False):
            for steps in (1, 2, 3):
                x = torch.randn(steps, 1, 64)
                with torch.set_grad_enabled(grad):
                    torch.testing.assert_close(made(x)[0], theirs(x)[0], rtol=1e-5, atol=1e-5)
                    packed = [module(pack_padded_sequence(x, [steps]))[0].data for module in (made, theirs)]
                torch.testing.assert_close(*packed, rtol=1e-5, atol=1e-5)
        assert runs == [steps for steps in trained + predicted for _ in range(2)]
        runs.clear()


def test_threads_are_pytorchs_and_only_during_a_call() -> None:
    made = ours.GRU(64, 64)
    x = torch.randn(100, 32, 64)
    _core.set_num_threads(2)
    expected = made(x)[0]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        found = made(x)[0]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found, expected)
    assert _core.get_num_threads() == 2
