"""What each operator becomes; importing the modules fills `importing.OPERATORS`."""

from __future__ import annotations

from rnncore.onnx.operators import arithmetic, layout, networks, recurrent

__all__ = ["arithmetic", "layout", "networks", "recurrent"]
