"""TensorBoard's own reader finds in the event files what training logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import data, forecaster

from rnncore import callbacks, layers, metrics, models
from rnncore.callbacks.events import crc32c


def read(folder: Path) -> Any:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard is not installed"
    )
    found = reader.EventAccumulator(str(folder), size_guidance={reader.SCALARS: 0, reader.HISTOGRAMS: 0})
    found.Reload()
    return found


def scalars(found: Any, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(tag)]


def near(values: list[float]) -> Any:
    return pytest.approx(values, rel=1e-6)  # of float32


def test_epochs_are_in_two_folders(tmp_path: Path) -> None:
    x, y = data()
    model = forecaster(optimizer="adam", loss="mse", metrics=["mae"])
    halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    board = callbacks.TensorBoard(tmp_path / "a" / "run", write_steps_per_second=True)
    history = model.fit(
        x, y, batch_size=5, epochs=3, validation_split=0.25, verbose=0, callbacks=[halve, board]
    ).history
    for part, prefix in (("train", ""), ("validation", "val_")):
        found = read(tmp_path / "a" / "run" / part)
        for key in ("loss", "mae"):
            steps, values = zip(*scalars(found, f"epoch_{key}"), strict=True)
            assert steps == (0, 1, 2)
            assert list(values) == near(history[prefix + key])
    assert [step for step, _ in scalars(found, "evaluation_loss_vs_iterations")] == [3, 6, 9]
    assert [value for _, value in scalars(found, "evaluation_mae_vs_iterations")] == near(history["val_mae"])
    found = read(tmp_path / "a" / "run" / "train")
    assert [value for _, value in scalars(found, "epoch_learning_rate")] == near([0.0005, 0.00025, 0.000125])
    assert all(value > 0 for _, value in scalars(found, "epoch_steps_per_second"))
    assert not [tag for tag in found.Tags()["scalars"] if tag.startswith("batch_")]
    assert found.Tags()["histograms"] == []


def test_batches_are_logged_as_often_as_asked(tmp_path: Path) -> None:
    x, y = data()
    model = forecaster(optimizer="sgd", loss="mse")
    seen: list[float] = []
    show = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    board = callbacks.TensorBoard(tmp_path, update_freq=3)
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[show, board])
    steps, values = zip(*scalars(read(tmp_path / "train"), "batch_loss"), strict=True)
    assert steps == (3, 6, 9)
    assert list(values) == near(seen[2::3])
    assert not (tmp_path / "validation").exists()
    assert callbacks.TensorBoard(update_freq="batch").update_freq == 1


def test_values_for_each_output_have_tags_of_their_own(tmp_path: Path) -> None:
    x, y = data()
    model = forecaster(optimizer="sgd", loss="mse", metrics=[metrics.F1Score()])
    history = model.fit(x, y > 0, verbose=0, callbacks=callbacks.TensorBoard(tmp_path)).history
    found = read(tmp_path / "train")
    values = [scalars(found, f"epoch_f1_score/{k}")[0][1] for k in range(2)]
    assert values == near(list(history["f1_score"][0]))


def test_histograms_count_the_weights(tmp_path: Path) -> None:
    x, y = data()
    model = forecaster(optimizer="sgd", loss="mse")
    model.fit(x, y, epochs=5, verbose=0, callbacks=callbacks.TensorBoard(tmp_path, histogram_freq=2))
    found = read(tmp_path / "train")
    tags = [f"{layer.name}/{weight.name}/histogram" for layer in model.layers for weight in layer.weights]
    assert found.Tags()["histograms"] == tags
    for tag, weight in zip(tags, model.weights, strict=True):
        events = found.Histograms(tag)
        assert [event.step for event in events] == [0, 2, 4]
        value, numbers = events[-1].histogram_value, weight.numpy().astype(np.float64)
        edges = [numbers.min(), *value.bucket_limit]
        np.testing.assert_allclose(edges[-1], numbers.max(), rtol=1e-6)
        # An edge is rounded to float32: a number beside it may count on either side.
        assert np.abs(np.cumsum(value.bucket) - [np.sum(numbers <= edge) for edge in edges[1:]]).max() <= 1
        assert sum(value.bucket) == weight.size


def test_numbers_that_are_not_finite_leave_a_file_that_is_read(tmp_path: Path) -> None:
    model = models.Sequential([layers.Input((1,)), layers.Dense(3, use_bias=False, name="out")])
    model.trainable = False
    model.compile("sgd", "mse")
    model.set_weights([[[np.nan, 1.0, np.inf]]])
    zero = np.zeros((1, 1))

    def diverge(epoch: int, logs: dict[str, float]) -> None:
        logs |= {"great": 1e300, "none": float("nan")}

    show = callbacks.LambdaCallback(on_epoch_end=diverge)
    with np.errstate(invalid="ignore"):
        model.fit(zero, np.zeros((1, 3)), verbose=0, callbacks=[show, callbacks.TensorBoard(tmp_path, 1)])
    found = read(tmp_path / "train")
    assert scalars(found, "epoch_great") == [(0, np.inf)]
    assert np.isnan(scalars(found, "epoch_none")[0][1])
    (event,) = found.Histograms("out/kernel/histogram")
    assert sum(event.histogram_value.bucket) == 1


def test_graph_has_the_layers_and_their_connections(tmp_path: Path) -> None:
    x = layers.Input((None, 3), name="x")
    sequence, h, _ = layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    dense = layers.Dense(2, name="dense")
    joined = layers.Concatenate(name="joined")([dense(layers.GRU(4, name="gru")(sequence)), dense(h)])
    model = models.Model(x, joined)
    model.compile("sgd", "mse")
    board = callbacks.TensorBoard(tmp_path)
    model.fit(np.zeros((2, 5, 3)), np.zeros((2, 4)), epochs=0, callbacks=board)
    nodes = {node.name: node for node in read(tmp_path / "train").Graph().node}
    assert {name: (node.op, list(node.input)) for name, node in nodes.items()} == {
        "x": ("InputLayer", []),
        "lstm": ("LSTM", ["x"]),
        "gru": ("GRU", ["lstm"]),
        "dense": ("Dense", ["gru"]),
        "dense.1": ("Dense", ["lstm:1"]),
        "joined": ("Concatenate", ["dense", "dense.1"]),
    }
    shapes = nodes["lstm"].attr["_output_shapes"].list.shape
    assert [[size.size for size in shape.dim] for shape in shapes] == [[-1, -1, 4], [-1, 4]]


def test_evaluations_and_further_runs_add_files(tmp_path: Path) -> None:
    x, y = data()
    model, board = forecaster(optimizer="sgd", loss="mse"), callbacks.TensorBoard(tmp_path, write_graph=False)
    model.fit(x, y, verbose=0, callbacks=board)
    model.fit(x, y, initial_epoch=1, epochs=2, verbose=0, callbacks=board)
    loss = model.evaluate(x, y, verbose=0, callbacks=board)
    assert [step for step, _ in scalars(read(tmp_path / "train"), "epoch_loss")] == [0, 1]
    assert scalars(read(tmp_path / "validation"), "evaluation_loss_vs_iterations") == [(2, near(loss))]
    assert len(list((tmp_path / "train").iterdir())) == 2


def test_checksums_are_those_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    for arguments, message in (
        ({"update_freq": 0}, r'update_freq \("epoch", "batch" or a number of batches\) must be at least 1, got 0'),
        ({"histogram_freq": -1}, "histogram_freq must be at least 0, got -1"),
        ({"write_images": True}, "TensorBoard: write_images=True is not supported yet; leave it out"),
        ({"profile_batch": 2}, "TensorBoard: profile_batch=2 is not supported"),
    ):
        with pytest.raises(ValueError, match=message):
            callbacks.TensorBoard(tmp_path, **arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="write_graph must be True or False, got str 'no'"):
        callbacks.TensorBoard(tmp_path, write_graph="no")  # type: ignore[arg-type]
    (tmp_path / "logs").write_text("")
    x, y = data()
    with pytest.raises(OSError, match="logs"):
        forecaster(optimizer="sgd", loss="mse").fit(x, y, verbose=0, callbacks=callbacks.TensorBoard(tmp_path / "logs"))
    says = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mood="good"))
    with pytest.raises(TypeError, match="'mood' in the logs must hold real numbers"):
        forecaster(optimizer="sgd", loss="mse").fit(
            x, y, verbose=0, callbacks=[says, callbacks.TensorBoard(tmp_path / "b")]
        )
