"""What TensorBoard shows of a training run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from rnncore import _validation as check
from rnncore._data import Array
from rnncore.callbacks.base import Callback, Logs
from rnncore.callbacks.events import EventFile


class TensorBoard(Callback):
    """Write event files for TensorBoard: `tensorboard --logdir logs` shows them, also while the model trains.

    Nothing else has to be installed to write them. Names, steps and folders are those of Keras: in `log_dir/train` and
    `log_dir/validation` the scalars `epoch_loss`, `epoch_...` of each metric and `epoch_learning_rate` by epoch,
    `batch_...` by batch, `evaluation_..._vs_iterations` by the steps of the optimizer. A metric with a value for each
    output is written as `epoch_.../0`, `epoch_.../1` and so on.

    Parameters
    ----------
    log_dir : str or path, default "logs"
        A folder for each run, as `logs/first`, makes runs comparable. Missing ones are made.
    histogram_freq : int, default 0
        Write histograms of the weights after every so many epochs, from the first; 0 writes none. Numbers that are not
        finite are left out.
    write_graph : bool, default True
        Whether the layers and their connections are written.
    write_images : bool, default False
        Not supported.
    write_steps_per_second : bool, default False
        Whether to log the speed.
    update_freq : "epoch", "batch" or int, default "epoch"
        Write the running means of the epoch after every so many batches too; "batch" is 1.
    profile_batch, embeddings_freq, embeddings_metadata
        Not supported.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or a log is no number.
    OSError
        In training, if a file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from rnncore import callbacks, layers, models
    >>> model = models.Sequential([layers.Input((5, 3)), layers.GRU(2)])
    >>> model.compile("adam", "mse")
    >>> x, y = np.ones((4, 5, 3)), np.ones((4, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     board = callbacks.TensorBoard(folder, histogram_freq=1)
    ...     history = model.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[board], verbose=0)
    ...     sorted(os.listdir(folder))
    ['train', 'validation']
    """

    writes = True

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = check.integer("histogram_freq", histogram_freq, low=0)
        self.write_graph = check.boolean("write_graph", write_graph)
        self.write_steps_per_second = check.boolean("write_steps_per_second", write_steps_per_second)
        check.unsupported(
            "TensorBoard",
            write_images=write_images,
            profile_batch=profile_batch,
            embeddings_freq=embeddings_freq,
            embeddings_metadata=embeddings_metadata,
        )
        self.update_freq: str | int = "epoch"
        if update_freq != "epoch":
            every = 1 if update_freq == "batch" else update_freq
            self.update_freq = check.positive_int('update_freq ("epoch", "batch" or a number of batches)', every)
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._train = EventFile(os.path.join(self.log_dir, "train"))
        self._validation = EventFile(os.path.join(self.log_dir, "validation"))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches, self._last_batch = 0, time.perf_counter()
        if self.write_graph:
            self._train.graph(_nodes(self.model))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._begun, self._before = time.perf_counter(), self.model.optimizer.iterations

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        trained = {key: value for key, value in (logs or {}).items() if not key.startswith("val_")}
        measured = {key[4:]: value for key, value in (logs or {}).items() if key.startswith("val_")}
        trained["learning_rate"] = optimizer.learning_rate
        if self.write_steps_per_second:
            steps = optimizer.iterations - self._before
            trained["steps_per_second"] = steps / (time.perf_counter() - self._begun)
        self._train.scalars(_scalars("epoch_{}", trained), epoch)
        if measured:
            self._validation.scalars(_scalars("epoch_{}", measured), epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._train.histograms(_weights(self.model), epoch)

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        assert isinstance(self.update_freq, int)
        if self._batches % self.update_freq:
            return
        found = dict(logs or {})
        if self.write_steps_per_second:
            now = time.perf_counter()
            found["steps_per_second"] = self.update_freq / (now - self._last_batch)
            self._last_batch = now
        self._train.scalars(_scalars("batch_{}", found), self._batches)

    def on_test_end(self, logs: Logs | None = None) -> None:
        found = _scalars("evaluation_{}_vs_iterations", logs or {})
        self._validation.scalars(found, self.model.optimizer.iterations)


def _scalars(tag: str, logs: Logs) -> dict[str, float]:
    """One number for each tag."""
    found = {}
    for key, value in logs.items():
        array = check.real_array(f"{key!r} in the logs", value)
        if array.ndim == 0:
            found[tag.format(key)] = float(array)
        else:
            found |= {f"{tag.format(key)}/{k}": float(number) for k, number in enumerate(array.ravel())}
    return found


def _weights(model: Any) -> dict[str, Array]:
    found = {}
    for layer in model.layers:
        for weight in layer.weights:
            path = weight.path if weight.path.startswith(f"{layer.name}/") else f"{layer.name}/{weight.path}"
            found[f"{path}/histogram"] = weight.value
    return found


def _nodes(model: Any) -> Iterator[tuple[str, str, list[str], list[Any]]]:
    """The calls of layers, as nodes of a graph."""
    calls = model._calls()
    read = {call: [*call.inputs, *call.of_steps.values()] for call in calls}
    shapes: dict[Any, dict[int, Any]] = {call: {} for call in calls}
    for value in (*model.outputs, *(value for values in read.values() for value in values)):
        shapes[value.call][value.index] = value.shape
    names: dict[Any, str] = {}
    for call in calls:
        before = sum(other.layer is call.layer for other in names)
        names[call] = call.layer.name + (f".{before}" if before else "")
    for call, name in names.items():
        inputs = [names[value.call] + (f":{value.index}" if value.index else "") for value in read[call]]
        known = [shapes[call].get(index, ()) for index in range(max(shapes[call], default=-1) + 1)]
        yield name, type(call.layer).__name__, inputs, known
