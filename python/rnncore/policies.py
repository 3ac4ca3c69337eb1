"""The dtype policies: in what precision a model keeps its arrays and multiplies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnncore.program import RECURRENT_OPS, Program, excluded_options


@dataclass(frozen=True)
class Policy:
    """What a `dtype_policy` stands for: the dtype of arrays, and the factors of recurrent layers' products."""

    name: str
    dtype: np.dtype[Any]
    products: str = "exact"

    def applied(self, program: Program) -> Program:
        """The program with `products` at every node that can have it."""
        if self.products == "exact":
            return program
        nodes = tuple(
            replace(node, attributes={**node.attributes, "products": self.products})
            if node.op in RECURRENT_OPS and not excluded_options({**node.attributes, "products": self.products})
            else node
            for node in program.nodes
        )
        return replace(program, nodes=nodes)


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("float32", np.dtype(np.float32)),
        Policy("float64", np.dtype(np.float64)),
        Policy("mixed_bfloat16", np.dtype(np.float32), products="bfloat16"),
    )
}
