"""States kept between batches: stateful layers, streams, and training on windows of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_calls import run_predict, run_train
from executor_zoo import PROGRAMS, random_inputs, random_parameters
from small_models import BACKENDS, same
from tolerance import assert_all_close, assert_threads_agree

from rnncore import _core, callbacks, initializers, layers, models, reference
from rnncore.program import Loss, Optimizer, Training

CELLS = ["SimpleRNN", "LSTM", "GRU"]
X = np.random.default_rng(1).normal(size=(4, 6, 3))
Y = np.random.default_rng(2).normal(size=(4, 6, 2))


def model_of(*stack: Any, backend: str = "compiled", dtype: str = "float64", batch: int | None = None) -> Any:
    model = models.Sequential([layers.Input((None, 3), batch), *stack])
    model.compile("adam", "mse", backend=backend, dtype_policy=dtype)
    return model


def pair(backend: str, batch: int) -> tuple[Any, Any]:
    """A model with stateful layers and one without, with the same weights."""
    made = []
    for stateful in (True, False):
        stack = [
            layers.LSTM(4, return_sequences=True, stateful=stateful),
            layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True, stateful=stateful),
            layers.SimpleRNN(2, return_sequences=True, stateful=stateful),
        ]
        made.append(model_of(*stack, backend=backend, batch=batch))
    made[1].set_weights(made[0].get_weights())
    return made[0], made[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_stateful_layers_go_on_where_the_batch_before_ended(backend: str) -> None:
    stateful, plain = pair(backend, 4)
    expected = plain.predict(X, verbose=0)
    for _ in range(2):
        first, second = (stateful.predict(X[:, part], verbose=0) for part in (slice(0, 2), slice(2, 6)))
        np.testing.assert_allclose(np.concatenate([first, second], 1), expected, atol=1e-12)
        stateful.reset_states()
    stateful.train_on_batch(X[:, :1], Y[:, :1])
    stateful.test_on_batch(X[:, 1:2], Y[:, 1:2])
    before = [state.copy() for state in stateful.layers[0].states]
    stateful.evaluate(X[:, 2:3], Y[:, 2:3], verbose=0)
    assert not same(before, stateful.layers[0].states)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_batches_of_a_run_follow_each_other(backend: str) -> None:
    """Samples 0 to 3 are the first half of four sequences, samples 4 to 7 the second half."""
    stateful, plain = pair(backend, 4)
    halves = np.concatenate([X[:, :3], X[:, 3:]])
    made = stateful.predict(halves, verbose=0)
    np.testing.assert_allclose(np.concatenate([made[:4], made[4:]], 1), plain.predict(X, verbose=0), atol=1e-12)


def test_both_backends_train_stateful_models_alike() -> None:
    results = []
    for backend in BACKENDS:
        layer = layers.Bidirectional(layers.GRU(3, return_sequences=True, stateful=True))
        model = model_of(layer, layers.LSTM(2, stateful=True, return_sequences=True), backend=backend, batch=2)
        rng = np.random.default_rng(4)
        model.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
        model.fit(X, Y, epochs=3, shuffle=False, verbose=0)
        results.append([*model.get_weights(), *layer.states, *model.layers[1].states])
    for compiled, expected in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, expected, atol=1e-9)


def test_states_can_be_given_and_are_those_of_keras() -> None:
    """Constant weights; the second batch of Keras's test of stateful layers."""
    constant = {
        "kernel_initializer": initializers.Constant(0.01),
        "recurrent_initializer": initializers.Constant(0.02),
        "bias_initializer": initializers.Constant(0.03),
    }
    x = np.arange(24.0).reshape(2, 3, 4)
    for cell, expected in (
        (layers.LSTM(4, stateful=True, **constant), [0.3124785, 0.6863672]),
        (layers.GRU(4, stateful=True, **constant), [0.29542392, 0.5885018]),
        (layers.SimpleRNN(4, stateful=True, **constant), [0.40559256, 0.7361247]),
    ):
        model = models.Sequential([layers.Input(batch_shape=(2, 3, 4)), cell])
        model.predict(x, verbose=0)
        states = [state.copy() for state in cell.states]
        second = model.predict(x, verbose=0)
        np.testing.assert_allclose(second[:, 0], expected, atol=1e-5)
        cell.reset_states()
        assert all((state == 0).all() for state in cell.states)
        cell.reset_states(states)
        np.testing.assert_array_equal(model.predict(x, verbose=0), second)


def test_a_callback_may_reset_states_between_batches() -> None:
    class Reset(callbacks.Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.reset_states()

    model, plain = pair("compiled", 2)
    made = model.predict(X, verbose=0, callbacks=[Reset()])
    np.testing.assert_allclose(made, plain.predict(X, verbose=0), atol=1e-12)


def test_stateful_layers_are_saved_as_such(tmp_path: Any) -> None:
    model, _ = pair("compiled", 4)
    model.predict(X, verbose=0)
    model.reset_states()
    model.save(tmp_path / "model.rnn")
    again = models.load_model(tmp_path / "model.rnn")
    again.predict(X, verbose=0)
    np.testing.assert_array_equal(again.predict(X, verbose=0), [model.predict(X, verbose=0) for _ in range(2)][1])


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict", "train_on_batch"])
def test_another_batch_size_is_refused(call: str) -> None:
    model, _ = pair("compiled", 3)
    data = (X,) if call == "predict" else (X, Y)
    with pytest.raises(ValueError, match="must be (a multiple of )?3, "):
        getattr(model, call)(*data)
    if call != "train_on_batch":
        with pytest.raises(ValueError, match="batch_size must be 3"):
            getattr(model, call)(*data, batch_size=2, verbose=0)
    assert all((state == 0).all() for state in model.layers[0].states)


def test_bad_states_are_refused() -> None:
    with pytest.raises(ValueError, match="'cell' is stateful and needs a fixed batch size"):
        layers.GRU(2, stateful=True, name="cell")(layers.Input((None, 3)))
    layer = layers.GRU(2, stateful=True, name="cell")
    with pytest.raises(ValueError, match="'cell' keeps no states to reset"):
        layer.reset_states()
    layer(layers.Input((None, 3), batch_size=4))
    with pytest.raises(ValueError, match="state h of 'cell' must have shape"):
        layer.reset_states(np.ones((3, 2)))
    with pytest.raises(ValueError, match="states of 'cell' must be 1 arrays, got 2"):
        layer.reset_states([np.ones((4, 2)), np.ones((4, 2))])
    with pytest.raises(ValueError, match="must not be stateful"):
        layers.TimeDistributed(layers.GRU(2, stateful=True))


STATEFUL = {
    "SimpleRNN": lambda stateful: layers.SimpleRNN(2, stateful=stateful),
    "LSTM": lambda stateful: layers.LSTM(2, stateful=stateful),
    "GRU": lambda stateful: layers.GRU(2, stateful=stateful),
    "RNN": lambda stateful: layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], stateful=stateful),
    "Bidirectional": lambda stateful: layers.Bidirectional(layers.LSTM(2, stateful=stateful)),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", STATEFUL)
def test_an_initial_state_beats_the_kept_one(name: str, backend: str) -> None:
    """Keras: each batch begins with the given states, and leaves its own."""
    made = []
    for stateful in (True, False):
        x = layers.Input(batch_shape=(4, 3, 3))
        layer = STATEFUL[name](stateful)
        sizes = [size for _, size in layer._state_sizes()]
        given = [layers.Input(batch_shape=(4, size)) for size in sizes]
        model = models.Model([x, *given], layer(x, initial_state=given))
        model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
        made.append((layer, model, sizes))
    (layer, model, sizes), (_, plain, _) = made
    plain.set_weights(model.get_weights())
    states = [np.random.default_rng(size).normal(size=(4, size)) for size in sizes]
    expected = plain.predict([X[:, :3], *states], verbose=0)
    for _ in range(2):
        np.testing.assert_allclose(model.predict([X[:, :3], *states], verbose=0), expected, atol=1e-12)
    y = np.ones(expected.shape)
    for each in (model, plain):
        each.fit([X[:, :3], *states], y, epochs=2, shuffle=False, batch_size=4, verbose=0)
    assert same(model.get_weights(), plain.get_weights())
    assert all(state.any() for state in layer.states)
    model.reset_states()
    assert not any(state.any() for state in layer.states)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_call_with_an_initial_state_leaves_is_kept(backend: str) -> None:
    """A second call of the layer goes on from there."""
    layer = layers.GRU(2, stateful=True)
    x, h = layers.Input(batch_shape=(4, 3, 3)), layers.Input(batch_shape=(4, 2))
    first, second = models.Model([x, h], layer(x, initial_state=h)), models.Model(x, layer(x))
    for model in (first, second):
        model.compile(backend=backend, dtype_policy="float64")
    state = np.random.default_rng(0).normal(size=(4, 2))
    middle = first.predict([X[:, :3], state], verbose=0)
    np.testing.assert_allclose(layer.states[0], middle, atol=1e-12)
    found = second.predict(X[:, 3:], verbose=0)
    np.testing.assert_allclose(found, first.predict([X[:, 3:], middle], verbose=0), atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", STATEFUL)
def test_a_stateful_layer_may_read_an_input_that_is_not_the_first(name: str, backend: str) -> None:
    words, x = layers.Input((2,)), layers.Input(batch_shape=(4, None, 3))
    layer = STATEFUL[name](True)
    model = models.Model([words, x], layers.Concatenate()([words, layer(x)]))
    model.compile(backend=backend, dtype_policy="float64")
    beside = np.zeros((4, 2))
    first, second = (model.predict([beside, X[:, part]], verbose=0) for part in (slice(0, 2), slice(2, 6)))
    if name != "Bidirectional":
        layer.reset_states()
        np.testing.assert_allclose(second, model.predict([beside, X], verbose=0), atol=1e-12)
    assert first.shape == (4, 2 + model.output_shape[1] - 2)
    with pytest.raises(ValueError, match="must be (a multiple of )?4"):
        model.predict([beside[:3], X[:3]], verbose=0)


def test_stateful_layers_for_different_batches_are_refused() -> None:
    inputs = [layers.Input(batch_shape=(size, 2, 3)) for size in (4, 5)]
    cells = [layers.GRU(2, stateful=True, name=name)(x) for name, x in zip("ab", inputs, strict=True)]
    model = models.Model(inputs, cells)
    with pytest.raises(ValueError, match="must be built for one batch size, got 4 for 'a', 5 for 'b'"):
        model.predict([X[:, :2], X[:, :2]], verbose=0)


# Executors


def kept_run(executor_class: Any, dtype: Any, resume: bool) -> list[Any]:
    """Outputs, gradients, weights and states of a forward and backward pass and of some batches."""
    program = PROGRAMS["kept"]()
    parameters = random_parameters(program, dtype)
    gradients, slots = np.zeros_like(parameters), np.zeros((1, parameters.size), dtype)
    executor = executor_class(program, parameters, gradients)
    training = Training((Loss("mean_squared_error"),), optimizer=Optimizer("sgd", {"momentum": 0.5}))
    executor.configure(training, slots)
    inputs, lengths = random_inputs(program, 12, dtype)
    rng = np.random.default_rng(9)
    states = rng.normal(size=4 * program.state_size).astype(dtype)
    batch = [array[:4] for array in inputs]
    (y,) = executor.forward(batch, lengths[:4], training=True, states=states, resume=resume)
    dx, dinitial = executor.backward([np.ones_like(y)])
    dinitial = np.zeros_like(batch[1]) if dinitial is None else dinitial  # nothing flows into states that are kept
    found = [y, dx, dinitial, gradients.copy(), states.copy()]
    run_train(
        executor,
        inputs,
        [rng.normal(size=(12, *y.shape[1:])).astype(dtype)],
        np.arange(12),
        batch_size=4,
        learning_rate=np.full(3, 0.1),
        step=0,
        seed=0,
        state=np.zeros(2),
        lengths=lengths,
        states=states,
        resume=resume,
    )
    predicted = np.empty((8, *y.shape[1:]), dtype)
    run_predict(executor, inputs, np.arange(8), batch_size=4, outputs=[predicted], lengths=lengths, states=states)
    return [*found, parameters, states, predicted]


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_executors_keep_the_same_states(dtype: Any, resume: bool) -> None:
    assert_all_close(kept_run(_core.Executor, dtype, resume), kept_run(reference.Executor, dtype, resume))
    assert_threads_agree(lambda: kept_run(_core.Executor, dtype, resume))


@pytest.mark.parametrize("executor_class", [_core.Executor, reference.Executor])
def test_executors_refuse_states_that_do_not_fit(executor_class: Any) -> None:
    program = PROGRAMS["kept"]()
    parameters = random_parameters(program, np.float64)
    executor = executor_class(program, parameters, np.zeros_like(parameters))
    inputs, lengths = random_inputs(program, 3, np.float64)
    with pytest.raises(ValueError, match="states: expected shape"):
        executor.forward(inputs, lengths, states=np.zeros(5))
    states, outputs = np.zeros(2 * program.state_size), [np.empty((3, 5, 2))]
    with pytest.raises(ValueError, match="states: expected batches of 2 samples, the last one has 1"):
        run_predict(executor, inputs, np.arange(3), batch_size=2, outputs=outputs, lengths=lengths, states=states)
    assert (states == 0).all()


# Streams


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("last", [False, True])
def test_a_stream_computes_what_predict_computes(backend: str, last: bool) -> None:
    stack = [
        layers.GRU(4, return_sequences=True),
        layers.TimeDistributed(layers.Dense(5)),
        layers.RNN([layers.LSTMCell(3), layers.SimpleRNNCell(3)], return_sequences=not last),
        layers.Dense(2),
    ]
    model = model_of(*stack, backend=backend)
    expected = [model.predict(X[:, : t + 1], verbose=0) for t in range(6)]
    stream = model.stream(4)
    for _ in range(2):
        for t in range(6):
            np.testing.assert_allclose(stream.step(X[:, t]), expected[t] if last else expected[t][:, -1], atol=1e-12)
        stream.reset()


def test_a_stream_follows_the_weights_and_has_several_inputs() -> None:
    x, ids, h = layers.Input((6, 3)), layers.Input((6,), dtype="int32"), layers.Input((4,))
    read = layers.concatenate([x, layers.Embedding(5, 2)(ids)])
    sequence, state = layers.GRU(4, return_sequences=True, return_state=True)(read, initial_state=h)
    model = models.Model([x, ids, h], [layers.Dense(1)(sequence), state])
    arrays = [X[:, :, :], np.arange(24).reshape(4, 6) % 5, X[:, 0, [0, 1, 2, 0]]]
    stream = model.stream(4)
    for _ in range(2):
        expected = model.predict(arrays, verbose=0)
        for t in range(6):
            y, end = stream.step([arrays[0][:, t], arrays[1][:, t], arrays[2]])
            np.testing.assert_allclose(y, expected[0][:, t], atol=1e-6)
        np.testing.assert_allclose(end, expected[1], atol=1e-6)
        model.set_weights([w + 0.1 for w in model.get_weights()])
        stream.reset()


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ([layers.Bidirectional(layers.GRU(2), name="both")], "'both' reads its sequence from the end"),
        ([layers.LSTM(2, go_backwards=True, name="back")], "'back' reads its sequence from the end"),
        ([layers.GRU(2, return_sequences=True), layers.Permute((2, 1), name="p")], "'p' does not treat each step"),
    ],
)
def test_what_cannot_be_streamed(stack: Any, message: str) -> None:
    model = models.Sequential([layers.Input((5, 3)), *stack])
    with pytest.raises(ValueError, match=f"stream needs .*{message}"):
        model.stream()


def test_bad_steps_are_refused() -> None:
    model = model_of(layers.GRU(2))
    stream = model.stream(2)
    first = stream.step(X[:2, 0])
    for bad, error in ((X[:1, 0], ValueError), (X[:2, :1], ValueError), ("x", TypeError)):
        with pytest.raises(error, match="x_t must"):
            stream.step(bad)
    np.testing.assert_allclose(stream.step(X[:2, 1]), model.predict(X[:2, :2], verbose=0), atol=1e-12)
    assert first.shape == (2, 2)


# Windows


def sequence_model(cell: str, backend: str) -> Any:
    model = model_of(getattr(layers, cell)(4, return_sequences=True), layers.Dense(2), backend=backend, dtype="float64")
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_one_window_is_the_whole_sequence(cell: str, backend: str) -> None:
    results = []
    for truncate in (None, 6, 100):
        model = sequence_model(cell, backend)
        history = model.fit(X, Y, batch_size=3, epochs=2, shuffle=False, verbose=0, truncate=truncate)
        results.append([*model.get_weights(), np.array(history.history["loss"])])
    assert same(results[1], results[2])
    assert same(results[0], results[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_windows_are_steps_of_a_stateful_model(cell: str, backend: str) -> None:
    model = sequence_model(cell, backend)
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0, truncate=4)

    stateful = model_of(
        getattr(layers, cell)(4, return_sequences=True, stateful=True), layers.Dense(2), backend=backend, batch=4
    )
    stateful.set_weights(sequence_model(cell, backend).get_weights())
    for _ in range(2):
        stateful.reset_states()
        for part in (slice(0, 4), slice(4, 6)):
            stateful.train_on_batch(X[:, part], Y[:, part])
    assert same(model.get_weights(), stateful.get_weights())
    assert model.optimizer.iterations == 4


def test_windows_begin_with_the_initial_state_and_end_with_the_lengths() -> None:
    weights = []
    for backend in BACKENDS:
        x, h = layers.Input((None, 3)), layers.Input((4,))
        y = layers.Dense(2)(layers.GRU(4, return_sequences=True)(x, initial_state=h))
        model = models.Model([x, h], y)
        model.compile("sgd", "mse", backend=backend, dtype_policy="float64", metrics=["mae"])
        rng = np.random.default_rng(5)
        model.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
        states = np.random.default_rng(6).normal(size=(4, 4))
        model.fit([X, states], Y, epochs=2, verbose=0, truncate=2, shuffle=False, lengths=[6, 3, 1, 5])
        weights.append(model.get_weights())
    for compiled, expected in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ([layers.GRU(2, name="g")], "'g' does not return sequences"),
        ([layers.Bidirectional(layers.GRU(1, return_sequences=True), name="b")], "'b' reads its sequence from the end"),
        ([layers.GRU(2, return_sequences=True), layers.Reshape((3, 4), name="r")], "'r' does not treat each step"),
    ],
)
def test_what_cannot_be_cut(stack: Any, message: str) -> None:
    model = models.Sequential([layers.Input((6, 3)), *stack])
    model.compile("sgd", "mse")
    before = model.get_weights()
    y = np.zeros((4, *model.output_shape[1:]))
    with pytest.raises(ValueError, match=f"truncate needs .*{message}"):
        model.fit(X, y, truncate=2, verbose=0)
    assert same(before, model.get_weights())
