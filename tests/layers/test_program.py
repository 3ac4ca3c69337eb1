"""From layer calls to a Program: nodes, pruned outputs, shared layers, lengths, and what the Program computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerance import assert_all_close, assert_close

from rnncore import reference
from rnncore.layers import GRU, LSTM, Activation, Dense, Dropout, Embedding, Flatten, Input, SimpleRNN
from rnncore.layers.builder import build_program
from rnncore.layers.symbolic import walk
from rnncore.program import Program

N, T, FEATURES, H = 5, 4, 3, 6


def execute(program: Program, store: Any, inputs: list[Any], lengths: Any = None) -> list[Any]:
    """Run with random distinct weights in float64."""
    store = store.astype("float64")
    store.vector[...] = np.random.default_rng(1).normal(scale=0.4, size=store.size)
    return reference.Executor(program, store.vector, store.gradients).forward(inputs, lengths)


def sequences(seed: int = 0, features: int = FEATURES) -> Any:
    return np.random.default_rng(seed).normal(size=(N, T, features))


def test_a_chain() -> None:
    x = Input((None, FEATURES), name="x")
    y = Dense(2, "tanh", name="head")(LSTM(H, name="cell")(x))
    program, store = build_program([x], [y])
    assert [node.op for node in program.nodes] == ["lstm", "dense"]
    cell, head = program.nodes
    names = [value.name for value in program.values]
    assert names == ["x", "lengths", "cell/h", "head"]
    assert (cell.inputs, cell.outputs, cell.parameters) == ((0, 1, -1, -1), (-1, 2, -1), (0, 1, 2))
    assert (head.inputs, head.outputs, head.parameters) == ((2,), (3,), (3, 4))
    assert cell.attributes == {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False}
    assert head.attributes == {"activation": "tanh"}
    assert (program.inputs, program.outputs, program.lengths) == ((0,), (3,), 1)
    assert [parameter.name for parameter in program.parameters] == [
        "cell/kernel",
        "cell/recurrent_kernel",
        "cell/bias",
        "head/kernel",
        "head/bias",
    ]
    ends = np.cumsum([parameter.size for parameter in program.parameters])
    assert [parameter.offset for parameter in program.parameters] == [0, *ends[:-1]]
    assert store.size == ends[-1]
    assert Program.from_json(program.to_json()) == program


@pytest.mark.parametrize(
    ("layer", "op", "attributes"),
    [
        (SimpleRNN(H, "relu"), "simple_rnn", {"activation": "relu", "go_backwards": False}),
        (
            GRU(H, go_backwards=True, reset_after=False),
            "gru",
            {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": False, "go_backwards": True},
        ),
        (Dropout(0.25, seed=9), "dropout", {"rate": 0.25, "seed": 9}),
        (Dropout(0.25), "dropout", {"rate": 0.25, "seed": 0}),
        (Activation("softmax"), "activation", {"function": "softmax"}),
        (Flatten(), "flatten", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nodes_of_layers(layer: Any, op: str, attributes: dict[str, Any]) -> None:
    x = Input((T, FEATURES))
    program, _ = build_program([x], [layer(x)])
    (node,) = program.nodes
    assert (node.op, node.name, node.attributes) == (op, layer.name, attributes)


def test_embedding_reads_integers() -> None:
    ids = Input((None,), name="ids")
    program, store = build_program([ids], [Embedding(7, 2)(ids)])
    assert program.values[0].dtype == "int"
    tokens = np.array([[0, 6, 3], [1, 1, 2]], np.int32)
    (y,) = execute(program, store, [tokens])
    np.testing.assert_array_equal(y, store.current.vector.reshape(7, 2)[tokens])


def test_the_batch_is_free() -> None:
    x = Input((T, FEATURES), batch_size=8)
    program, _ = build_program([x], [LSTM(H)(x)])
    assert [value.shape[0] for value in program.values] == [None] * len(program.values)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", ["simple_rnn", "lstm", "gru", "gru_reset_before"])
def test_a_program_computes_what_its_layers_say(kind: str, use_bias: bool, go_backwards: bool) -> None:
    options: dict[str, Any] = {"use_bias": use_bias, "go_backwards": go_backwards, "return_state": True}
    layer = {
        "simple_rnn": lambda: SimpleRNN(H, "relu", **options),
        "lstm": lambda: LSTM(H, **options),
        "gru": lambda: GRU(H, **options),
        "gru_reset_before": lambda: GRU(H, reset_after=False, **options),
    }[kind]()
    inputs = [Input((None, FEATURES)), *(Input((H,)) for _ in layer._state_names)]
    outputs = layer(inputs[0], initial_state=inputs[1:])
    program, store = build_program(inputs, outputs)
    states = [np.random.default_rng(5 + k).normal(size=(N, H)) for k in range(len(layer._state_names))]
    lengths = np.array([4, 1, 3, 4, 2], np.int32)
    y, *state = execute(program, store, [sequences(), *states], lengths)

    function = getattr(reference, kind.split("_reset")[0])
    extra = {"simple_rnn": {"activation": "relu"}, "gru_reset_before": {"reset_after": False}}.get(kind, {})
    expected = function(
        sequences(),
        layer.kernel,
        layer.recurrent_kernel,
        layer.bias if use_bias else None,
        initial_state=tuple(states),
        lengths=lengths,
        reverse=go_backwards,
        **extra,
    )
    assert_close(y, expected.state[0])
    assert_all_close(state, expected.state)


def test_stacked_layers() -> None:
    x = Input((None, FEATURES))
    first, second, head = GRU(H, return_sequences=True), LSTM(5), Dense(2, "sigmoid")
    program, store = build_program([x], [head(second(first(x)))])
    (y,) = execute(program, store, [sequences()])
    s = reference.gru(sequences(), *first.get_weights()).output
    (h, _) = reference.lstm(s, *second.get_weights()).state
    assert_close(y, 1 / (1 + np.exp(-(h @ head.kernel + head.bias))))


def test_a_shared_layer_has_one_set_of_parameters() -> None:
    a, b = Input((None, FEATURES)), Input((None, FEATURES))
    layer = SimpleRNN(H)
    program, store = build_program([a, b], [layer(a), layer(b)])
    assert [node.parameters for node in program.nodes] == [(0, 1, 2)] * 2
    assert store.size == layer.count_params()
    first, second = execute(program, store, [sequences(1), sequences(2)])
    assert_close(first, reference.simple_rnn(sequences(1), *layer.get_weights()).state[0])
    assert_close(second, reference.simple_rnn(sequences(2), *layer.get_weights()).state[0])


def test_trainable_is_read_when_the_program_is_built() -> None:
    x = Input((FEATURES,))
    frozen, free = Dense(H, trainable=False), Dense(2)
    y = free(frozen(x))
    program, _ = build_program([x], [y])
    assert [parameter.trainable for parameter in program.parameters] == [False, False, True, True]
    frozen.trainable = True
    program, _ = build_program([x], [y])
    assert all(parameter.trainable for parameter in program.parameters)


def timed(program: Program) -> dict[str, bool]:
    """Which recurrent nodes read the lengths."""
    recurrent = [node for node in program.nodes if node.op in ("simple_rnn", "lstm", "gru")]
    made = [node.outputs[0] for node in program.nodes if node.op == "merge_masks"]
    assert all(node.inputs[1] in (-1, program.lengths, *made) for node in recurrent)
    return {node.name: node.inputs[1] == program.lengths >= 0 for node in recurrent}


def test_lengths_follow_the_time_axis_of_the_first_input() -> None:
    x, other = Input((None, FEATURES)), Input((None, H))
    sequence, h, c = LSTM(H, return_sequences=True, return_state=True, name="first")(x)
    kept = Dropout(0.1)(Activation("relu")(Dense(H)(sequence)))
    outputs = [
        GRU(H, name="kept")(kept),
        LSTM(H, name="decoder")(other, initial_state=[h, c]),
        GRU(H, name="after_reversed")(GRU(H, return_sequences=True, go_backwards=True, name="reversed")(sequence)),
    ]
    program, _ = build_program([x, other], outputs)
    assert timed(program) == {
        "first": True,
        "kept": True,
        "decoder": False,
        "reversed": True,
        "after_reversed": False,
    }
    (reverse,) = [node for node in program.nodes if node.op == "merge_masks"]
    (reader,) = [node for node in program.nodes if node.name == "after_reversed"]
    assert reverse.attributes == {"kind": "reverse"}
    assert reverse.inputs[1::2] == (program.lengths, -1)
    assert reader.inputs[1] == reverse.outputs[0]


def test_lengths_pass_an_embedding() -> None:
    ids = Input((None,), dtype="int32")
    program, _ = build_program([ids], [LSTM(H, name="cell")(Embedding(9, 2)(ids))])
    assert timed(program) == {"cell": True}


def test_no_lengths_where_nothing_reads_them() -> None:
    x = Input((T, FEATURES))
    program, _ = build_program([x], [Dense(2)(Flatten()(x))])
    assert program.lengths == -1
    assert program.values[0].name == x.name
    assert "lengths" not in [value.name for value in program.values]


def test_outputs_nobody_reads_are_dropped() -> None:
    x = Input((None, FEATURES))
    sequence, h, c = LSTM(H, return_sequences=True, return_state=True)(x)
    for outputs, present in (
        ([sequence], (True, False, False)),
        ([h], (False, True, False)),
        ([c], (False, False, True)),
        ([c, sequence], (True, False, True)),
    ):
        program, _ = build_program([x], outputs)
        assert tuple(value >= 0 for value in program.nodes[0].outputs) == present
        assert len(program.values) == 2 + sum(present)


def test_unread_calls_are_left_out() -> None:
    x = Input((None, FEATURES))
    shared = Dense(H)(x)
    Dense(2)(shared)
    program, store = build_program([x], [SimpleRNN(H)(shared)])
    assert [node.op for node in program.nodes] == ["dense", "simple_rnn"]
    assert store.size == (FEATURES + 1) * H + (H + H + 1) * H


def test_a_model_may_begin_in_the_middle() -> None:
    x = Input((None, FEATURES))
    middle = Dense(H, name="before")(x)
    program, _ = build_program([middle], [Dense(2, name="after")(middle)])
    assert [node.name for node in program.nodes] == ["after"]
    assert program.values[program.inputs[0]].shape == (None, None, H)


def test_an_unread_input_keeps_its_place() -> None:
    x, unread = Input((FEATURES,)), Input((2,))
    program, _ = build_program([unread, x], [Dense(2)(x)])
    assert [program.values[value].shape for value in program.inputs] == [(None, 2), (None, FEATURES)]


def test_order_of_branches_is_by_depth() -> None:
    x, y = Input((FEATURES,)), Input((FEATURES,))
    short = Dense(1, name="short")(x)
    long = Dense(1, name="long_2")(Dense(1, name="long_1")(y))
    assert [call.layer.name for call in walk([x, y], [short, long])] == ["long_1", "short", "long_2"]


def test_long_chains_need_no_recursion() -> None:
    x = y = Input((2,))
    for _ in range(3000):
        y = Activation("relu")(y)
    assert len(walk([x], [y])) == 3000


def test_bad_graphs() -> None:
    x, other = Input((FEATURES,), name="x"), Input((FEATURES,), name="other")
    with pytest.raises(ValueError, match="depends on the input 'other', which is not among the model's inputs"):
        build_program([x], [Dense(2)(other)])
    with pytest.raises(ValueError, match="layer names must be unique in a model, got 'twice' more than once"):
        build_program([x], [Dense(2, name="twice")(Dense(2, name="twice")(x))])
    with pytest.raises(TypeError, match="outputs must be a symbolic value"):
        build_program([x], [np.zeros(3)])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="inputs must hold at least one"):
        build_program([], [Dense(2)(x)])
