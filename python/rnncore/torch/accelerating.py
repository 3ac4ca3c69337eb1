"""Existing models on the kernels of rnncore: recurrent submodules change their class, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn
from torch.jit import ScriptModule

from rnncore.torch.modules import GRU, LSTM, RNN, Recurrent, left_to_torch

__all__ = ["Acceleration", "accelerate"]

TWINS: dict[type, type[Recurrent]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
KINDS = {"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"}  # also where the class is another's


@dataclass(frozen=True)
class Acceleration:
    """What `accelerate` did.

    Attributes
    ----------
    swapped : dict of str to str
        Names of submodules that run on rnncore now, with what they are. The module itself has the name "".
    left : dict of str to str
        Names of recurrent submodules that stay as they were, with the reason.

    Examples
    --------
    >>> from torch import nn
    >>> from rnncore.torch import accelerate
    >>> accelerate(nn.ModuleDict({"encoder": nn.GRU(8, 16), "step": nn.GRUCell(8, 16)})).swapped
    {'encoder': 'GRU(8, 16)'}
    """

    swapped: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{name or 'the module itself'}: {kind} runs on rnncore" for name, kind in self.swapped.items()]
        lines += [f"{name or 'the module itself'}: left, {reason}" for name, reason in self.left.items()]
        return "\n".join(lines) or "there are no recurrent modules"


def accelerate(module: nn.Module) -> Acceleration:
    """Let the recurrent submodules of a model run on the kernels of rnncore, from now on and in place.

    Each `torch.nn.RNN`, `LSTM` and `GRU` becomes the module of that name here, a subclass of its own class. It stays
    the same object with the same parameters, buffers, hooks and `state_dict`, so optimizers and whoever else holds it
    need not know. Calls that the kernels cannot do, as in half precision, on a GPU, under autocast or in a transform
    of `torch.func`, go on running on PyTorch's.

    Parameters
    ----------
    module : torch.nn.Module
        A model, or a recurrent module.

    Returns
    -------
    Acceleration
        What was swapped, and what was left and why.

    Raises
    ------
    TypeError
        If `module` is no module.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from rnncore.torch import accelerate
    >>> model = nn.ModuleDict({"rnn": nn.LSTM(4, 8, batch_first=True), "head": nn.Linear(8, 1)})
    >>> print(accelerate(model))
    rnn: LSTM(4, 8, batch_first=True) runs on rnncore
    >>> output, (h, c) = model["rnn"](torch.zeros(2, 5, 4))
    >>> output.shape
    torch.Size([2, 5, 8])
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    report = Acceleration()
    for name, part in module.named_modules():
        reason = _why_not(part)
        if reason is None:
            report.swapped[name] = repr(part)
            part.__class__ = TWINS[type(part)]
        elif reason:
            report.left[name] = reason
    return report


def _why_not(part: nn.Module) -> str | None:
    """Why a module stays as it is, empty if it is not recurrent; None if it has a twin."""
    kind = type(part)
    if isinstance(part, ScriptModule):
        return "it is compiled by torch.jit" if part.original_name in KINDS else ""
    if isinstance(part, Recurrent):
        return "it runs on rnncore already"
    if isinstance(part, nn.RNNCellBase):
        return "it takes one step at a time, which PyTorch's own cells do faster"
    if not isinstance(part, nn.RNNBase):
        return f"{kind.__module__}.{kind.__name__} is a class of its own" if kind.__name__ in KINDS else ""
    if kind not in TWINS:
        return f"{kind.__module__}.{kind.__name__} is a class of its own"
    if "forward" in vars(part):
        return "its forward was replaced"
    return left_to_torch(part)
