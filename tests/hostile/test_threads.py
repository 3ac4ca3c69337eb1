"""One model used by several Python threads at once, with either backend."""

from __future__ import annotations

import textwrap

import pytest
from alone import run_alone

SETUP = """
from busy_process import *

backend = sys.argv[1]
small = backend == "reference"
x, y = data(48 if small else 256, 10 if small else 40, 8)

def make(loss="mse", metrics=None, seed=1, extra=(), **options):
    return chain(x, 16, loss=loss, metrics=metrics, seed=seed, extra=extra, backend=backend, **options)

def fit(model, **options):
    fitted(model, x, y, epochs=2, **options)
    return model.history

def meanwhile(work, *threads):
    # Runs `threads` over and over while `work` lasts; what they raised.
    errors, over = [], threading.Event()
    def repeat(thread):
        while not over.is_set():
            try:
                thread()
            except BaseException as error:
                errors.append(error)
                return
    running = [threading.Thread(target=repeat, args=(thread,)) for thread in threads]
    for thread in running:
        thread.start()
    try:
        work()
    finally:
        over.set()
        for thread in running:
            thread.join()
    return errors
"""

FITS = """
        refused, done = [], []
        def train(size):
            for _ in range(3):
                try:
                    done.append(fit(model, batch_size=size))
                except RuntimeError as error:
                    assert "another thread fits this model" in str(error), error
                    refused.append(error)
        side_by_side(train, 4, 64, 16)
        assert len(done) + len(refused) == 9 and done
        assert np.isfinite(model.predict(x, verbose=0)).all()
"""
CASES = {
    "fits of a loss in Python": "        model = make(squared_error)" + FITS,
    "fits": "        model = make()" + FITS,
    "others look on while a loss in Python trains": """
        alone, model = make(squared_error, ["mae"]), make(squared_error, ["mae"])
        fit(alone)
        begun = threading.Event()  # fit has its seed: a call in training draws one, too
        hook = callbacks.LambdaCallback(on_train_begin=lambda logs=None: begun.set())
        errors = meanwhile(
            lambda: fit(model, callbacks=[hook]),
            lambda: model.predict(x[:40], verbose=0),
            lambda: model.evaluate(x[:40], y[:40], verbose=0),
            lambda: begun.wait(30) and model(x[:7], training=True),
        )
        assert not errors, errors
        assert same(model.get_weights(), alone.get_weights())
    """,
    "others look on": """
        alone, model = make(), make()
        fit(alone)
        errors = meanwhile(
            lambda: fit(model),
            lambda: model.predict(x[:40], verbose=0),
            lambda: model.evaluate(x[:40], y[:40], verbose=0),
            lambda: model.stream().step(x[:1, 0]),
        )
        assert not errors, errors
        assert same(model.get_weights(), alone.get_weights())
    """,
    "metrics in Python and moving averages": """
        def spread(target, output):
            return np.abs(output - target).max(axis=-1)
        extra = [layers.BatchNormalization()]
        alone, model = make(metrics=[spread], extra=extra), make(metrics=[spread], extra=[layers.BatchNormalization()])
        expected = fit(alone).history
        found = []
        errors = meanwhile(
            lambda: found.append(fit(model).history),
            lambda: model.evaluate(x[:40], y[:40], verbose=0),
            lambda: model.predict(x[:40], verbose=0),
        )
        assert not errors, errors
        assert same(model.get_weights(), alone.get_weights())
        assert found == [expected], (found, expected)
    """,
    "a loss in Python and moving averages": """
        model = make(squared_error, extra=[layers.BatchNormalization()])
        errors = meanwhile(lambda: fit(model), lambda: model(x[:7], training=True))
        assert not errors, errors
        assert np.isfinite(model.predict(x, verbose=0)).all()
    """,
    "a loss that predicts": """
        def looks(target, output):
            assert np.isfinite(model.predict(x[:9], verbose=0)).all()
            assert model(x[:5], training=True).shape == (5, 1)
            return squared_error(target, output)
        alone, model = make(squared_error), make(looks)
        fit(alone)
        fit(model)
        assert same(model.get_weights(), alone.get_weights())
    """,
    "forward and backward by hand": """
        alone, model = make(), make()
        dy = np.ones((len(x), 1), "float32")
        alone.forward(x, training=True)
        expected = alone.backward(dy)
        model.forward(x, training=True)
        def others():
            model.forward(x[:3], training=True)
            model.predict(x, verbose=0)
            model.evaluate(x, y, verbose=0)
        thread = threading.Thread(target=others)
        thread.start(), thread.join()
        assert same([model.backward(dy)], [expected])
        try:
            model.backward(dy)
        except ValueError as error:
            assert "backward must follow" in str(error)
        else:
            raise AssertionError("a pass served twice")
    """,
    "each thread its own pass": """
        model = make()
        parts = [x[i : i + 8 + i] for i in range(6)]
        def gradient(part):
            output = model.forward(part, training=True)
            return model.backward(np.ones_like(output))
        expected = [gradient(part) for part in parts]
        wrong = []
        def work(number):
            for _ in range(20):
                if not np.array_equal(gradient(parts[number]), expected[number]):
                    wrong.append(number)
        side_by_side(work, *range(6))
        assert not wrong, wrong
    """,
    "single steps take turns": """
        model = make()
        model.train_on_batch(x, y)
        def work(number):
            for _ in range(10):
                model.train_on_batch(x[:32], y[:32])
        side_by_side(work, *range(4))
        assert model.optimizer.iterations == 41, model.optimizer.iterations
        assert np.isfinite(model.predict(x, verbose=0)).all()
    """,
    "a hook waits for a thread": """
        alone, model, said = make(), make(), []
        def other():
            said.append(np.isfinite(model.predict(x, verbose=0)).all())
            said.append(np.isfinite(model.evaluate(x, y, verbose=0)))
            for change in (lambda: fit(model), lambda: model.train_on_batch(x, y), lambda: model.compile("sgd", "mse")):
                try:
                    change()
                except RuntimeError as error:
                    said.append("another thread fits this model" in str(error))
        def hook(batch, logs):
            if batch == 1:
                thread = threading.Thread(target=other)
                thread.start(), thread.join()
        fit(alone)
        fit(model, callbacks=callbacks.LambdaCallback(on_train_batch_end=hook))
        assert len(said) == 10 and all(said), said
        assert same(model.get_weights(), alone.get_weights())
    """,
    "streams side by side": """
        model = make(return_sequences=True)
        steps = x.shape[1]
        def run(row):
            stream = model.stream()
            return np.concatenate([stream.step(x[row : row + 1, t]) for t in range(steps)])
        expected, wrong = [run(row) for row in range(6)], []
        def work(row):
            for _ in range(5):
                if not np.array_equal(run(row), expected[row]):
                    wrong.append(row)
        side_by_side(work, *range(6))
        assert not wrong, wrong
    """,
    "streams beside training": """
        inputs = layers.Input((None, 2))
        branches = [layers.Dense(64, kernel_initializer="ones")(inputs) for _ in range(2)]
        model = models.Model(inputs, [layers.Subtract()(branches), *branches])
        model.compile("sgd", [None, "mse", "mse"], backend=backend)
        rng = np.random.default_rng(0)
        sequences, target = rng.normal(size=(64, 5, 2)), rng.normal(size=(64, 5, 64))
        stream, found = model.stream(), []
        from rnncore.callbacks import LambdaCallback
        enough = LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", len(found) > 50))
        # The branches learn the same, so their difference is zero between any two updates.
        told = {"epochs": 5000, "batch_size": 4, "verbose": 0, "callbacks": enough}
        errors = meanwhile(
            lambda: model.fit(sequences, [None, target, target], **told),
            lambda: found.append(np.abs(stream.step(np.ones((1, 2)))[0]).max()),
        )
        assert not errors, errors
        assert max(found) == 0, max(found)
    """,
    "a stateful model": """
        utils.set_random_seed(1)
        model = models.Sequential([layers.Input(batch_shape=(8, *x.shape[1:])), layers.GRU(6, stateful=True)])
        model.compile("adam", "mse", backend=backend)
        one = model.predict(x[:8], batch_size=8, verbose=0)
        two = model.predict(x[:8], batch_size=8, verbose=0)
        model.reset_states()
        found = []
        def work(number):
            found.append(model.predict(x[:8], batch_size=8, verbose=0))
        side_by_side(work, *range(2))
        assert sorted(a.sum() for a in found) == sorted(a.sum() for a in (one, two)), "each goes on from the other"
    """,
    "first use by many": """
        for _ in range(10):
            model, found, errors = models.Sequential([layers.LSTM(16), layers.Dense(1)]), [], []  # not built
            model.compile("adam", "mse", backend=backend)
            def work(number):
                try:
                    found.append(model.predict(x[:9], verbose=0))
                except BaseException as error:
                    errors.append(error)
            side_by_side(work, *range(8))
            assert not errors and len(found) == 8 and same(found, found[:1] * 8), errors
    """,
}


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_threads(case: str, backend: str) -> None:
    run_alone(SETUP + textwrap.dedent(CASES[case]), backend)
