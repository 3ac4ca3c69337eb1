"""The recurrent functions of both backends against PyTorch, Keras and onnxruntime, gradients included."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from goldens import Golden, load
from tolerance import assert_close


@pytest.mark.parametrize("golden", [*load("torch"), *load("keras"), *load("onnxruntime")], ids=str)
@pytest.mark.parametrize("backend", ["functional", "reference"])
def test_sequences(golden: Golden, backend: str) -> None:
    module = importlib.import_module(f"rnncore.{backend}")
    result = getattr(module, golden.function)(**golden.arguments, **golden.options, training=True)
    assert_close(result.output[golden.real], golden.arrays["output"][golden.real])
    assert_close(np.stack(result.state), golden.arrays["state"])
    if golden.peer == "onnxruntime":  # inference only
        return
    doutput = golden.arrays["doutput"] * golden.real[..., None]
    gradients = module.backward(result.tape, doutput, tuple(golden.arrays["dstate"]))
    for name in ("x", "kernel", "recurrent_kernel"):
        assert_close(getattr(gradients, name), golden.arrays[f"gradient_{name}"])
    assert_close(np.stack(gradients.initial_state), golden.arrays["gradient_initial_state"])
    assert (gradients.bias is None) == ("bias" not in golden.arrays)
    if gradients.bias is not None:
        assert_close(gradients.bias, golden.arrays["gradient_bias"])


@pytest.mark.parametrize("golden", [*load("keras_activations"), *load("onnx_activations")], ids=str)
@pytest.mark.parametrize("backend", ["functional", "reference"])
def test_activations_with_options(golden: Golden, backend: str) -> None:
    module = importlib.import_module(f"rnncore.{backend}")
    result = getattr(module, golden.function)(**golden.arguments, **golden.options, training=True)
    assert_close(result.output, golden.arrays["output"])
    if "doutput" not in golden.arrays:  # inference only
        return
    gradients = module.backward(result.tape, golden.arrays["doutput"])
    for name in ("x", "kernel", "recurrent_kernel", "bias"):
        assert_close(getattr(gradients, name), golden.arrays[f"gradient_{name}"])
    assert_close(np.stack(gradients.initial_state), golden.arrays["gradient_initial_state"])
