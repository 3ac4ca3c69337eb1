"""The dtype policies: in what precision a model keeps its arrays and multiplies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore.program import excluded_options

WEIGHT_FORMATS = {"bfloat16": "bfloat16_weights", "int8": "int8"}  # of streams: how their products take factors


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

    def with_weights(self, weights: str | None) -> Policy:
        """With recurrent layers' weights in a smaller format, for inference; ValueError if there is none of float32."""
        if weights is None:
            return self
        products = check.lookup("weights", weights, WEIGHT_FORMATS)
        if self.name != "float32":
            raise ValueError(f"weights must be None for a model that computes with {self.name!r}, got {weights!r}")
        return replace(self, products=products)


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("float32", np.dtype(np.float32)),
        Policy("float64", np.dtype(np.float64)),
        Policy("mixed_bfloat16", np.dtype(np.float32), products="bfloat16"),
    )
}
