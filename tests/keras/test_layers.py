"""Single layers against values stored from Keras: outputs, gradients and what training writes into weights."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from goldens import arrays
from small_models import BACKENDS
from tolerance import assert_all_close, assert_close

from rnncore import layers, models

GOLDEN = arrays("keras_layers")
CASES = {key.removesuffix("/about"): json.loads(GOLDEN[key].tobytes()) for key in GOLDEN if key.endswith("/about")}


def stored(case: str, name: str) -> list[Any]:
    return [array for key, array in GOLDEN.items() if key.startswith(f"{case}/{name}/")]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{about['layer']}" for number, about in CASES.items()])
def test_layers_do_what_keras_does(case: str, backend: str) -> None:
    about = CASES[case]
    x, y, dy, dx = (GOLDEN[f"{case}/{name}"] for name in ("x", "y", "dy", "dx"))
    layer = getattr(layers, about["layer"])(**about["options"])
    model = models.Sequential([layers.Input(x.shape[1:]), layer])
    model.compile(backend=backend)
    model.set_weights(stored(case, "weights"))
    lengths = None if about["lengths"] is None else np.array(about["lengths"])
    trains = about["training"]
    if not trains:
        assert_close(model.predict(x, verbose=0, lengths=lengths), y)
    if trains or about["layer"] != "BatchNormalization":
        assert_close(model.forward(x, training=True, lengths=lengths), y)
        assert_close(model.backward(dy), dx)
        assert_all_close(model.gradients, stored(case, "gradients"))
    assert_all_close(model.get_weights(), stored(case, "after"))
