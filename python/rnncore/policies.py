"""The dtype policies: in what precision a model keeps its arrays and multiplies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnncore.program import excluded_options


@dataclass(frozen=True)
class Policy:
    """What a `dtype_policy` stands for: the dtype of arrays, and the factors of recurrent layers' products."""

    name: str
    dtype: np.dtype[Any]
    products: str = "exact"

    def of_recurrent(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """The attributes of a recurrent node, with `products` if it can have them."""
        rounded = {**attributes, "products": self.products}
        return attributes if self.products == "exact" or excluded_options(rounded) else rounded


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("float32", np.dtype(np.float32)),
        Policy("float64", np.dtype(np.float64)),
        Policy("mixed_bfloat16", np.dtype(np.float32), products="bfloat16"),
    )
}
