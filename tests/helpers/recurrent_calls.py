"""Random calls of the recurrent functions, forward and backward, and how their results are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tolerance import Array, assert_close

USUAL = [("simple_rnn", {}), ("lstm", {}), ("gru", {}), ("gru", {"reset_after": False})]


@dataclass
class Case:
    """Random arguments of one call, and of its backward pass."""

    function: str
    options: dict[str, Any]
    arrays: list[Array]  # x, kernel, recurrent_kernel, bias
    state: tuple[Array, ...]
    doutput: Array
    dstate: tuple[Array, ...]
    keywords: dict[str, Any] = field(default_factory=dict)

    def run(self, module: Any, **keywords: Any) -> dict[str, Array]:
        """Outputs, states and gradients by name."""
        keywords = {"initial_state": self.state, **self.options, **self.keywords, **keywords}
        result = getattr(module, self.function)(*self.arrays, training=True, **keywords)
        gradients = module.backward(result.tape, self.doutput, self.dstate)
        named = {"output": result.output, **{f"state{k}": s for k, s in enumerate(result.state)}}
        for name in ("x", "kernel", "recurrent_kernel", "bias"):
            named[f"gradient of {name}"] = getattr(gradients, name)
        named |= {f"gradient of state{k}": s for k, s in enumerate(gradients.initial_state)}
        return {name: value for name, value in named.items() if value is not None}

    def astype(self, dtype: str) -> Case:
        def convert(values: Any) -> Any:
            return type(values)(v.astype(dtype) for v in values)

        state, dstate = convert(self.state), convert(self.dstate)
        return Case(
            self.function, self.options, convert(self.arrays), state, self.doutput.astype(dtype), dstate, self.keywords
        )


def make_case(
    function: str, options: dict[str, Any], shape: tuple[int, int, int, int], dtype: str, **keywords: Any
) -> Case:
    N, T, I, H = shape
    gates, states = {"simple_rnn": (1, 1), "lstm": (4, 2), "gru": (3, 1)}[function]
    rng = np.random.default_rng([N, T, I, H, gates])

    def draw(*size: int) -> Array:
        return rng.standard_normal(size).astype(dtype)

    bias = draw(2, 3 * H) if function == "gru" and options.get("reset_after", True) else draw(gates * H)
    scale = 1 / np.sqrt(I + H)
    weights = [draw(I, gates * H), draw(H, gates * H), bias]
    return Case(
        function,
        options,
        [draw(N, T, I), *(w * w.dtype.type(scale) for w in weights)],
        tuple(draw(N, H) for _ in range(states)),
        draw(N, T, H),
        tuple(draw(N, H) for _ in range(states)),
        keywords,
    )


def random_lengths(N: int, T: int) -> Array:
    lengths = np.random.default_rng([N, T]).integers(0, T + 1, N)
    lengths[:1] = T
    return lengths


def assert_equal_results(actual: dict[str, Array], expected: dict[str, Array], exact: bool = False) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        if exact:
            assert np.array_equal(actual[name], value), name
        else:
            try:
                assert_close(actual[name], value)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None
