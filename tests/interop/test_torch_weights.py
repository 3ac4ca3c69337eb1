"""Weights go from PyTorch's modules to layers and back, and so do whole chains of modules."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncore import layers, models
from rnncore.torch import load_state_dict, read_state_dict

torch = pytest.importorskip("torch", reason="torch is not installed")
nn = torch.nn

import rnncore.torch as ours  # noqa: E402

KINDS: dict[str, Any] = {"RNN": layers.SimpleRNN, "LSTM": layers.LSTM, "GRU": layers.GRU}
MODULES: list[tuple[Any, Any, tuple[int, ...]]] = [
    (nn.Linear(3, 4), layers.Dense(4), (5, 3)),
    (nn.Linear(3, 4, bias=False), layers.TimeDistributed(layers.Dense(4, use_bias=False)), (2, 5, 3)),
    (nn.LayerNorm(3), layers.LayerNormalization(epsilon=1e-5), (2, 5, 3)),
    (nn.BatchNorm1d(3).eval(), layers.BatchNormalization(epsilon=1e-5), (5, 3)),
    (nn.GRUCell(3, 4), layers.GRU(4), (2, 1, 3)),
]


# Of PyTorch, about its own module.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def filled(module: Any) -> Any:
    """A module whose weights, and statistics, are random and different."""
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.2, 0.9)
    return module


def stack(kind: str, bidirectional: bool, bias: bool, **options: Any) -> list[Any]:
    made = [KINDS[kind](4, return_sequences=True, use_bias=bias, **options) for _ in range(2)]
    return [layers.Bidirectional(layer) for layer in made] if bidirectional else made


@pytest.mark.parametrize(
    ("kind", "bidirectional", "bias", "projected"),
    [
        *((kind, both, True, 0) for kind in KINDS for both in (False, True)),
        ("GRU", True, False, 0),
        ("LSTM", True, True, 2),
    ],
)
def test_recurrent_modules_go_and_come_back(
    kind: str, bidirectional: bool, bias: bool, projected: int, tmp_path: Path
) -> None:
    options = {"proj_size": projected} if projected else {}
    theirs = getattr(nn, kind)(3, 4, 2, bidirectional=bidirectional, bias=bias, batch_first=True, **options)
    made = stack(kind, bidirectional, bias, **({"projection_units": projected} if projected else {}))
    model = models.Sequential([layers.Input((None, 3)), *made])
    torch.save({"net": nn.ModuleDict({"rnn": theirs}).state_dict()}, tmp_path / "net.pt")
    load_state_dict(model, read_state_dict(tmp_path / "net.pt")["net"], prefix="rnn.")
    x = torch.randn(2, 5, 3)
    np.testing.assert_allclose(model.predict(x, verbose=0), theirs(x)[0].detach(), atol=1e-6)
    fresh = [layer.from_config(layer.get_config()) for layer in made]
    load_state_dict(fresh, theirs.state_dict())  # builds them
    for one, other in zip(made, fresh, strict=True):
        for weight, same in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, same)
    back = getattr(nn, kind)(3, 4, 2, bidirectional=bidirectional, bias=bias, batch_first=True, **options)
    back.load_state_dict(ours.state_dict(made))
    torch.testing.assert_close(back(x)[0], theirs(x)[0], atol=1e-6, rtol=1e-5)
    losses = []
    for module in (theirs, back):
        optimizer = torch.optim.Adam(module.parameters(), 1e-2)
        losses.append([])
        for _ in range(5):
            optimizer.zero_grad()
            loss = (module(x)[0] - 0.5).pow(2).mean()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@pytest.mark.parametrize(("theirs", "layer", "shape"), MODULES, ids=lambda part: type(part).__name__)
def test_other_modules(theirs: Any, layer: Any, shape: tuple[int, ...]) -> None:
    theirs = filled(copy.deepcopy(theirs))
    x = torch.randn(shape)
    model = models.Sequential([layers.Input(shape[1:]), layer])
    load_state_dict(model.layers[-1], theirs.state_dict())
    expected = theirs(x[:, 0] if isinstance(theirs, nn.GRUCell) else x).detach()
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
    if not isinstance(theirs, nn.GRUCell):
        found = ours.state_dict(layer)
        assert list(found) == list(theirs.state_dict())
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(found[name], tensor)


def test_convolutions_read_their_axes() -> None:
    theirs, layer = nn.Conv1d(3, 4, 2), layers.Conv1D(4, 2)
    load_state_dict(layer, theirs.state_dict())
    x = torch.randn(2, 6, 3)
    found = models.Sequential([layers.Input((6, 3)), layer]).predict(x, verbose=0)
    np.testing.assert_allclose(found, theirs(x.transpose(1, 2)).transpose(1, 2).detach(), atol=1e-6)
    torch.testing.assert_close(ours.state_dict(layer)["weight"], theirs.weight.detach())


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.rnn = nn.GRU(6, 8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Any) -> Any:
        return self.head(self.rnn(self.embedding(ids))[0])


def test_models_are_matched_by_names_or_in_order() -> None:
    net = Net()
    ids = torch.randint(0, 20, (4, 7))
    expected = net(ids).detach()
    chain = [layers.Embedding(20, 6), layers.GRU(8, return_sequences=True), layers.GRU(8, return_sequences=True)]
    model = models.Sequential([layers.Input((None,), dtype="int32"), *chain, layers.Dense(3)])
    load_state_dict(model, {f"net.{name}": tensor for name, tensor in net.state_dict().items()}, "net.")
    np.testing.assert_allclose(model.predict(ids, verbose=0), expected, atol=1e-6)
    named = [layers.Dense(4, name="b"), layers.Dense(4, name="a")]
    state = {"a.weight": np.full((4, 4), 1.0), "a.bias": np.ones(4), "b.weight": np.full((4, 4), 2.0)}
    load_state_dict(named, {**state, "b.bias": np.zeros(4)})
    assert named[0].kernel[0, 0] == 2
    assert list(ours.state_dict(model))[-2:] == [f"{model.layers[-1].name}.weight", f"{model.layers[-1].name}.bias"]


@pytest.mark.parametrize(
    ("target", "state", "text"),
    [
        (layers.GRU(4), nn.GRU(3, 4, 2), r"expected the weights of 1 layer\(s\), .*got 2 module\(s\), '', ' l1'"),
        (layers.GRU(4), nn.LSTM(3, 4), r"weight_ih_l0, weight_hh_l0.*give weights of shapes|expected 3 gates"),
        (layers.GRU(5), nn.GRU(3, 4), r"weight_ih_l0.* give weights of shapes .*\(3, 12\).* has .*\(3, 15\)"),
        (layers.GRU(4, use_bias=False), nn.GRU(3, 4), "expects weight_ih, weight_hh of '', got .*bias_ih_l0"),
        (layers.Bidirectional(layers.GRU(4)), nn.GRU(3, 4), "expects .*weight_ih_reverse"),
        (layers.GRU(4, reset_after=False), nn.GRU(3, 4), "has reset_after=False, which PyTorch has not"),
        (layers.LSTM(4, peepholes=True), nn.LSTM(3, 4), "has peepholes=True, which PyTorch has not"),
        (
            layers.LSTM(4, trainable_initial_state=True),
            nn.LSTM(3, 4),
            "has trainable_initial_state=True, which PyTorch",
        ),
        (layers.Attention(), nn.Linear(3, 4), "Attention .* has no counterpart"),
        (layers.Dense(4), {}, "no entry begins with ''; there are none"),
    ],
    ids=lambda part: getattr(part, "name", None),
)
def test_weights_that_do_not_fit_are_named(target: Any, state: Any, text: str) -> None:
    target = target.from_config(target.get_config())
    with pytest.raises(ValueError, match=text):
        load_state_dict(target, state if isinstance(state, dict) else state.state_dict())


def test_nothing_is_half_loaded() -> None:
    made = [layers.Dense(2, name="a"), layers.Dense(2, name="b")]
    for layer in made:
        layer.build((None, 3))
    before = [weight.copy() for layer in made for weight in layer.get_weights()]
    good, bad = nn.Linear(3, 2).state_dict(), nn.Linear(4, 2).state_dict()
    state = {f"a.{k}": v for k, v in good.items()} | {f"b.{k}": v for k, v in bad.items()}
    with pytest.raises(ValueError, match=r"b\.weight, b\.bias give weights of shapes"):
        load_state_dict(made, state)
    for weight, old in zip((weight for layer in made for weight in layer.get_weights()), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    for target, given in ((nn.Linear(3, 2), good), (made, [1]), ("layer", good)):
        with pytest.raises(TypeError, match="layer: expected a layer|state_dict: expected a mapping"):
            load_state_dict(target, given)
    with pytest.raises(ValueError, match="has no weights before it is built"):
        ours.state_dict(layers.GRU(3))


ACTIVATIONS = [nn.Tanh(), nn.Sigmoid(), nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.ELU(0.7), nn.LeakyReLU(0.2)]
ACTIVATIONS += [nn.SELU(), nn.Mish(), nn.Softsign(), nn.Hardsigmoid(), nn.Softmax(dim=-1), nn.Identity()]


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": True, "dropout": 0.3}, {"nonlinearity": "relu"}, {"proj_size": 3}], ids=str
)
def test_chains_of_modules_become_models(options: dict[str, Any], return_sequences: bool) -> None:
    kind = "RNN" if "nonlinearity" in options else "LSTM" if "proj_size" in options else "GRU"
    rnn = getattr(nn, kind)(3, 4, 2, batch_first=True, **options).eval()
    size = options.get("proj_size", 4) * (1 + rnn.bidirectional)
    tail = nn.Sequential(nn.LayerNorm(size), nn.Dropout(0.2), nn.Linear(size, 5), nn.Tanh()).eval()
    x = torch.randn(2, 6, 3)
    model = ours.from_torch([nn.Linear(3, 3), rnn, tail], return_sequences=return_sequences)
    with torch.no_grad():
        load_state_dict(model.layers[0], {"weight": torch.eye(3), "bias": torch.zeros(3)})
        output, hidden = rnn(x)
        h = hidden[0] if isinstance(hidden, tuple) else hidden
        last = torch.cat((h[-2], h[-1]), 1) if rnn.bidirectional else h[-1]
        expected = tail(output if return_sequences else last)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)


def test_chains_without_recurrence_and_activations() -> None:
    chain = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), *ACTIVATIONS[:3], nn.Sequential(nn.Linear(4, 2))).eval()
    x = torch.randn(5, 3)
    np.testing.assert_allclose(ours.from_torch(chain).predict(x, verbose=0), chain(x).detach(), atol=1e-6)
    for activation in ACTIVATIONS:
        model = ours.from_torch([nn.Linear(3, 3), activation])
        weights = [weight.numpy() for weight in model.weights]
        given = torch.from_numpy(x.numpy() @ weights[0] + weights[1])
        np.testing.assert_allclose(model.predict(x, verbose=0), activation(given), atol=2e-6)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.Conv1d(3, 4, 2), r"torch.nn.modules.conv.Conv1d has no counterpart here; give the parts of it"),
        (Net(), r"Net has no counterpart here"),
        ([nn.GRU(3, 4), nn.BatchNorm1d(4)], "BatchNorm1d with an input of sequences"),
        (nn.GELU("tanh"), "GELU with approximate='tanh'"),
        ([nn.Linear(2, 3), nn.Softmax(dim=0)], "Softmax with dim=0"),
        (nn.Embedding(3, 4, max_norm=1.0), "Embedding with max_norm=1.0"),
        (nn.LayerNorm((2, 3)), "LayerNorm with normalized_shape"),
        ([], "expected at least one module"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_modules_without_counterpart_are_named(module: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ours.from_torch(module)
    with pytest.raises(TypeError, match=r"module: expected a torch\.nn\.Module or several, got int"):
        ours.from_torch(3)
