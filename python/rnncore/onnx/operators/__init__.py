"""What each operator becomes; importing the modules fills `importing.OPERATORS`."""

from __future__ import annotations

from rnncore.onnx.operators import arithmetic, choosing, layout, networks, recurrent

__all__ = ["arithmetic", "choosing", "layout", "networks", "recurrent"]
