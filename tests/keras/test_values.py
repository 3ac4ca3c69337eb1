"""Values in the tests that Keras has of its recurrent layers: steps under masks, both directions, stacked cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array

from rnncore import initializers, layers, models


def constant(kernel: float = 0.01, recurrent: float = 0.02, bias: float = 0.03) -> dict[str, Any]:
    return {
        "kernel_initializer": initializers.Constant(kernel),
        "recurrent_initializer": initializers.Constant(recurrent),
        "bias_initializer": initializers.Constant(bias),
    }


def adder(units: int) -> layers.SimpleRNNCell:
    """A cell that adds up what it is given: all values are whole numbers."""
    ones: dict[str, Any] = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}
    return layers.SimpleRNNCell(units, activation="linear", use_bias=False, **ones)


def counting(*shape: int) -> Array:
    return np.arange(np.prod(shape), dtype=float).reshape(shape)


def run(layer: Any, x: Array, backend: str, mask: str = "", states: tuple[Array, ...] = (), calls: int = 1) -> Any:
    """What the layer gives for x at the last of some calls, under a mask like "TTF TFF"."""
    given = layers.Input(batch_shape=x.shape)
    arrays, values = [x], [given]
    options: dict[str, Any] = {}
    if mask:
        arrays.append(np.array([[step == "T" for step in row] for row in mask.split()]))
        values.append(layers.Input(x.shape[1:2], dtype="bool"))
        options["mask"] = values[-1]
    if states:
        arrays += states
        options["initial_state"] = [layers.Input(state.shape[1:]) for state in states]
        values += options["initial_state"]
    model = models.Model(values, layer(given, **options))
    model.compile(backend=backend)
    return [model.predict(arrays if len(arrays) > 1 else x, verbose=0) for _ in range(calls)][-1]


def close(found: Array, expected: Any) -> None:
    """Equal for every unit: expected lacks the last axis."""
    found = np.asarray(found)
    np.testing.assert_allclose(found, np.broadcast_to(np.asarray(expected)[..., None], found.shape), rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("LSTM", {}, [0.6288687, 0.86899155, 0.9460773]),
        ("LSTM", {"go_backwards": True}, [0.35622165, 0.74789524, 0.8872726]),
        ("LSTM", {"unit_forget_bias": False}, [0.57019705, 0.8661914, 0.9459622]),
        ("LSTM", {"use_bias": False}, [0.54986924, 0.86226785, 0.9443936]),
        ("GRU", {}, [0.5217289, 0.6371659, 0.39384964]),
        ("GRU", {"go_backwards": True}, [0.24406259, 0.611516, 0.3928808]),
        ("GRU", {"reset_after": False}, [0.51447755, 0.6426879, 0.40208298]),
        ("GRU", {"use_bias": False}, [0.49988455, 0.64701194, 0.4103359]),
        ("SimpleRNN", {}, [0.405432, 0.73605347]),
        ("SimpleRNN", {"go_backwards": True}, [0.11144729, 0.5528889]),
    ],
)
def test_last_outputs(kind: str, options: dict[str, Any], expected: list[float], unroll: bool, backend: str) -> None:
    units, shape = (4, (2, 3, 4)) if kind == "SimpleRNN" else (3, (3, 6, 4))
    close(
        run(getattr(layers, kind)(units, unroll=unroll, **constant(), **options), counting(*shape), backend), expected
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("kind", "backwards", "expected"),
    [
        ("LSTM", False, [[0.20574439, 0.3558822], [0.64930826, 0.66276]]),
        ("LSTM", True, [[0.13281618, 0.2790356], [0.5839337, 0.5992567]]),
        ("GRU", False, [[0.23774096, 0.33508456], [0.83659905, 1.0227708]]),
        ("GRU", True, [[0.13486053, 0.23261218], [0.78257304, 0.9691353]]),
        ("SimpleRNN", False, [[0.33621645] * 4, [0.6262637] * 4]),
        ("SimpleRNN", True, [[0.07344437] * 4, [0.43043602] * 4]),
    ],
)
def test_initial_states_and_returned_ones(kind: str, backwards: bool, expected: Any, backend: str) -> None:
    units = len(expected[0])
    layer = getattr(layers, kind)(units, go_backwards=backwards, return_state=True, **constant())
    states = (counting(2, units),) * len(layer._state_sizes())
    output, state, *_ = run(layer, counting(2, 4, 3), backend, states=states)
    np.testing.assert_allclose(output, expected, rtol=1e-5)
    np.testing.assert_array_equal(state, output)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.LSTM(4, stateful=True, **constant()), (2, 3, 4), [[0.3124785] * 4, [0.6863672] * 4]),
        (layers.GRU(4, stateful=True, **constant()), (2, 3, 4), [[0.29542392] * 4, [0.5885018] * 4]),
        (layers.SimpleRNN(4, stateful=True, **constant()), (2, 3, 4), [[0.40559256] * 4, [0.7361247] * 4]),
        (
            layers.Bidirectional(layers.LSTM(2, stateful=True, **constant())),
            (2, 4, 3),
            [[0.26234663, 0.26234663, 0.16959146, 0.16959146], [0.6137073, 0.6137073, 0.5381646, 0.5381646]],
        ),
    ],
    ids=["LSTM", "GRU", "SimpleRNN", "Bidirectional"],
)
def test_states_kept_and_reset(layer: Any, shape: tuple[int, ...], expected: Any, backend: str) -> None:
    layer = layers.deserialize(layers.serialize(layer))
    x = counting(*shape)
    for _ in range(2):
        np.testing.assert_allclose(run(layer, x, backend, calls=2), expected, rtol=1e-5)
        layer.reset_state()


STEPS = {
    "LSTM": ("TTTF TTFF", [[0.0158891, 0.05552048, 0.11755939, None], [0.14185596, 0.28556206, None, None]]),
    "GRU": ("TTFT TFFT", [[0.03606692, 0.09497581, None, 0.19393763], [0.16051409, None, None, 0.30818558]]),
    "SimpleRNN": ("TTFT TFFT", [[0.0599281, 0.15122814, None, 0.32394567], [0.3969304, None, None, 0.608085]]),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("kind", STEPS)
def test_each_step_under_a_mask(kind: str, zero: bool, backend: str) -> None:
    mask, rows = STEPS[kind]
    expected = []
    for row in rows:
        held: list[float] = []
        for value in row:
            held.append(value if value is not None else 0.0 if zero else held[-1])
        expected.append(held)
    layer = getattr(layers, kind)(2, return_sequences=True, zero_output_for_mask=zero, **constant())
    close(run(layer, counting(2, 4, 3), backend, mask), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_simple_layer_goes_backwards_under_a_mask(backend: str) -> None:
    layer = layers.SimpleRNN(4, go_backwards=True, **constant())
    close(run(layer, counting(2, 4, 3), backend, "TTFT TFFT"), [0.07376196, 0.43645123])


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_directions(backend: str) -> None:
    x, longer = counting(2, 3, 4), counting(2, 4, 3)
    simple = layers.SimpleRNN(2, **constant())
    forward, backward = run(layers.Bidirectional(simple, merge_mode=None), x, backend)
    close(forward, [0.39687276, 0.7237238])
    close(backward, [0.10004295, 0.53391594])
    close(run(layers.Bidirectional(simple, merge_mode="ave"), x, backend), [0.24845785, 0.6288199])
    concatenated = run(layers.Bidirectional(simple), x, backend)
    np.testing.assert_allclose(concatenated, np.concatenate([forward, backward], axis=-1), rtol=1e-6)
    other = layers.SimpleRNN(2, go_backwards=True, **constant(0.03, 0.02, 0.01))
    both = layers.Bidirectional(layers.SimpleRNN(2, **constant()), merge_mode="mul", backward_layer=other)
    close(run(both, x, backend), [0.08374989, 0.6740834])
    both = layers.Bidirectional(layers.GRU(2, return_sequences=True, **constant()), merge_mode="sum")
    sums = [[0.20937867, 0.34462988, 0.40290534], [0.59829646, 0.6734641, 0.6479671]]
    close(run(both, x, backend), sums)

    masked = run(layers.Bidirectional(layers.GRU(2, **constant())), longer, backend, "TTFT TFFT")
    close(masked[:, :2], [0.19393763, 0.30818558])
    close(masked[:, 2:], [0.11669192, 0.28380975])
    found = run(layers.Bidirectional(layers.LSTM(2, return_state=True, **constant())), longer, backend)
    states = [[0.1990008, 0.52335435], [0.35567185, 1.0492687], [0.12659755, 0.44717982], [0.2501858, 0.941473]]
    for state, expected in zip(found[1:], states, strict=True):
        close(state, expected)
    np.testing.assert_array_equal(found[0], np.concatenate([found[1], found[3]], axis=-1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_initial_states_of_both_directions(backend: str) -> None:
    x = counting(2, 4, 3)
    states = tuple(counting(2, 2) * factor for factor in (1, 2, 3, 4))
    expected = [[0.20794602, 0.4577124, 0.14046375, 0.48191673], [0.6682636, 0.6711909, 0.60943645, 0.60950446]]
    found = run(layers.Bidirectional(layers.LSTM(2, **constant())), x, backend, states=states)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_cells_that_add_up(backend: str) -> None:
    x = counting(2, 3, 4)
    ones = np.ones((1, 2, 3))
    close(run(layers.RNN(adder(2)), ones, backend), [9])
    whole, state = run(layers.RNN(adder(2), return_sequences=True, return_state=True), ones, backend)
    close(whole, [[3, 9]])
    close(state, [9])
    given = (np.ones((2, 2)),)
    close(run(layers.RNN(adder(2), return_state=True), np.ones((2, 3, 2)), backend, states=given), [[22, 22]] * 2)
    close(run(layers.RNN(adder(2), go_backwards=True), x, backend), [202, 538])
    close(run(layers.RNN(adder(2), stateful=True), np.ones((1, 2, 3)), backend, calls=2), [45])
    output, state = run(layers.RNN(adder(2), stateful=True, return_state=True), x, backend, calls=2)
    close(output, [954, 3978])
    close(state, [954, 3978])
    for unroll in (False, True):
        last = layers.RNN(adder(2), unroll=unroll)
        close(run(last, counting(2, 4, 3), backend, "TTTF TTFF"), [57, 126])
        whole = layers.RNN(adder(2), return_sequences=True, unroll=unroll)
        expected = [[3, 18, 57, 57], [39, 126, 126, 126]]
        close(run(whole, counting(2, 4, 3), backend, "TTTF TTFF"), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_stacked_cells_that_add_up(backend: str) -> None:
    x = counting(2, 3, 4)
    stack = layers.RNN([adder(3), adder(2)], return_sequences=True, return_state=True)
    output, first, second = run(stack, x, backend)
    close(output, [[18, 156, 786], [162, 1020, 4386]])
    close(first, [158, 782])
    close(second, [786, 4386])
    close(run(layers.RNN([adder(3), adder(2)]), x, backend), [786, 4386])
    close(run(layers.RNN([adder(3), adder(2)], stateful=True), x, backend, calls=2), [34092, 173196])


@pytest.mark.parametrize("backend", BACKENDS)
def test_stacked_cells_under_a_mask(backend: str) -> None:
    cells = [layers.LSTMCell(1, kernel_initializer="ones", recurrent_initializer="ones") for _ in range(2)]
    found = run(layers.RNN(cells), np.ones((2, 3, 4)), backend, "TTT TTF")
    np.testing.assert_allclose(found, [[0.7793], [0.5998]], atol=1e-4)
    states = run(
        layers.RNN([layers.LSTMCell(10), layers.LSTMCell(10)], return_state=True), np.zeros((2, 3, 5)), backend
    )
    assert [state.shape for state in states] == [(2, 10)] * 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_layer_at_each_step(backend: str) -> None:
    dense = layers.Dense(1, kernel_initializer=initializers.Constant(0.01), use_bias=False)
    found = run(layers.TimeDistributed(dense), counting(3, 2, 4), backend)
    np.testing.assert_allclose(found[..., 0], [[0.06, 0.22], [0.38, 0.54], [0.7, 0.86]], rtol=1e-6)
    under_mask = run(layers.TimeDistributed(dense), counting(3, 2, 4), backend, "FT TF TT")
    np.testing.assert_array_equal(under_mask, found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_layer_at_each_step_of_padded_words(backend: str) -> None:
    stack = [
        layers.Input((20,)),
        layers.Embedding(10, 5, mask_zero=True),
        layers.TimeDistributed(layers.Dense(5, activation="softmax")),
    ]
    model = models.Sequential(stack)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
    rng = np.random.default_rng(0)
    x, y = rng.integers(1, 10, (22, 20)), rng.integers(1, 2, (22, 20))
    x[:, 12:] = 0
    wrong = np.where(x == 0, 0, y)  # what lies beyond the words does not matter
    assert model.evaluate(x, y, verbose=0) == model.evaluate(x, wrong, verbose=0)
    model.fit(x, y, epochs=20, batch_size=16, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] == 1
