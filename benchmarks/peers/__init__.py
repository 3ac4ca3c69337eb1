"""The engines that need more than the package carries: oneDNN (a C++ compiler) and onnxruntime (a model file)."""

from __future__ import annotations

from rnncore.bench import PEERS, Peer

from .onednn import Onednn, OnednnPacked
from .onnxruntime import OnnxRuntime

ALL_PEERS: dict[str, type[Peer]] = {
    **PEERS,
    "onednn": Onednn,
    "onednn-packed": OnednnPacked,
    "onnxruntime": OnnxRuntime,
}
