"""PyTorch's recurrent modules on the kernels of rnncore, and weights that go from one to the other.

Names load when first used. `read_state_dict` and `load_state_dict` work without PyTorch; all else needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rnncore._namespace import UnknownName

if TYPE_CHECKING:
    from rnncore.torch.accelerating import Acceleration, accelerate
    from rnncore.torch.cells import GRUCell, LSTMCell, RNNCell
    from rnncore.torch.converting import from_torch, state_dict
    from rnncore.torch.modules import GRU, LSTM, RNN
    from rnncore.torch.reading import read_state_dict
    from rnncore.torch.weights import load_state_dict

_HOMES = {
    "Acceleration": "accelerating",
    "GRU": "modules",
    "GRUCell": "cells",
    "LSTM": "modules",
    "LSTMCell": "cells",
    "RNN": "modules",
    "RNNCell": "cells",
    "accelerate": "accelerating",
    "from_torch": "converting",
    "load_state_dict": "weights",
    "read_state_dict": "reading",
    "state_dict": "converting",
}
__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Acceleration",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "accelerate",
    "from_torch",
    "load_state_dict",
    "read_state_dict",
    "state_dict",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise UnknownName(__name__, name, __all__)
        try:
            module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ImportError(f"{__name__}.{name} needs PyTorch: pip install 'rnncore[torch]'", name="torch") from error
        globals()[name] = value = getattr(module, name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
