"""`accelerate` changes what modules run on, and nothing else; scripts go on as before."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
nn = torch.nn
from torch.nn.utils import prune  # noqa: E402

import rnncore.torch as ours  # noqa: E402


class Own(nn.GRU):
    """A subclass, whose forward nobody knows."""


class Classifier(nn.Module):
    """What users write: names become classes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.rnn = getattr(nn, kind)(6, 8, num_layers=2, batch_first=True, bidirectional=True, dropout=0.2)
        self.head = nn.Linear(16, 3)

    def forward(self, ids: Any, lengths: Any) -> Any:
        rows = nn.utils.rnn.pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        _, hidden = self.rnn(rows)
        h = hidden[0] if isinstance(hidden, tuple) else hidden
        return self.head(torch.cat((h[-2], h[-1]), 1))


def train(model: Any, optimizer: Any, steps: int, seed: int) -> list[float]:
    """Losses of some steps on data that follow from the seed."""
    torch.manual_seed(seed)
    ids, labels = torch.randint(0, 20, (24, 9)), torch.randint(0, 3, (24,))
    lengths = torch.randint(1, 10, (24,))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(ids, lengths), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_training_goes_on_with_the_same_losses(kind: str) -> None:
    losses = []
    for accelerated in (False, True):
        torch.manual_seed(0)
        model = Classifier(kind).double()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
        before = train(model, optimizer, 3, seed=1)
        parameters, names = list(model.parameters()), list(model.state_dict())
        if accelerated:
            report = ours.accelerate(model)
            assert report.swapped == {"rnn": repr(model.rnn)}
            assert not report.left
            assert type(model.rnn) is getattr(ours, kind)
        assert all(one is other for one, other in zip(parameters, model.parameters(), strict=True))
        assert list(model.state_dict()) == names
        losses.append(before + train(model, optimizer, 8, seed=2))
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)


def test_what_is_left_is_named_with_the_reason() -> None:
    model = nn.ModuleDict(
        {
            "good": nn.LSTM(3, 4, 2),
            "projected": nn.LSTM(3, 4, proj_size=2),
            "cell": nn.GRUCell(2, 3),
            "own": Own(2, 3),
            "halved": nn.RNN(2, 3, nonlinearity="relu").half(),
            "elsewhere": nn.GRU(2, 3, device="meta"),
            "normalized": nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0"),
            "ours": ours.LSTM(2, 3),
            "linear": nn.Linear(2, 3),
        }
    )
    model["patched"] = nn.RNN(2, 3)
    model["patched"].forward = lambda x: x
    model["again"] = model["good"]
    report = ours.accelerate(model)
    assert report.swapped == {"good": "LSTM(3, 4, num_layers=2)"}
    assert type(model["again"]) is ours.LSTM
    reasons = {
        "projected": "proj_size=2",
        "cell": "one step at a time",
        "own": "Own is a class of its own",
        "halved": "torch.float16",
        "elsewhere": "device meta",
        "normalized": "ParametrizedGRU is a class of its own",
        "ours": "runs on rnncore already",
        "patched": "its forward was replaced",
    }
    assert set(report.left) == set(reasons)
    for name, reason in reasons.items():
        assert reason in report.left[name]
    assert "good: LSTM(3, 4, num_layers=2) runs on rnncore\nprojected: left, proj_size=2" in str(report)
    assert str(ours.accelerate(nn.Linear(2, 2))) == "there are no recurrent modules"
    assert str(ours.accelerate(nn.GRU(2, 2))) == "the module itself: GRU(2, 2) runs on rnncore"


def test_hooks_and_pruned_weights_stay() -> None:
    gru = nn.GRU(3, 4)
    prune.l1_unstructured(gru, "weight_hh_l0", 0.5)
    calls: list[str] = []
    gru.register_forward_hook(lambda *_: calls.append("hook"))
    x = torch.randn(5, 2, 3)
    expected = gru(x)[0]
    ours.accelerate(gru)
    torch.testing.assert_close(gru(x)[0], expected)
    gru(x)[0].sum().backward()
    assert gru.weight_hh_l0_orig.grad is not None
    assert len(calls) == 3


def test_graphs_of_fx_keep_their_modules() -> None:
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 4)

        def forward(self, x: Any) -> Any:
            return self.rnn(x)[0].sum(0)

    model, x = Summed(), torch.randn(9, 2, 3)
    expected = model(x)
    traced = torch.fx.symbolic_trace(model)
    assert ours.accelerate(traced).swapped == {"rnn": "GRU(3, 4)"}
    torch.testing.assert_close(traced(x), expected)


def test_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"module: expected a torch\.nn\.Module, got OrderedDict"):
        ours.accelerate(nn.GRU(2, 3).state_dict())


def test_rnncore_alone_imports_no_torch() -> None:
    code = "import sys, rnncore, rnncore.torch; dir(rnncore.torch); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
