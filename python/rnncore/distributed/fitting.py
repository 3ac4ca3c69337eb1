"""`fit` on several processes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore import runtime, seeds
from rnncore.callbacks import Callback, History
from rnncore.callbacks.base import CallbackList, Logs
from rnncore.distributed.trainer import ParallelTrainer
from rnncore.distributed.world import World
from rnncore.models import Model
from rnncore.training.engine import Engine
from rnncore.training.feed import is_stream


def fit(
    model: Model,
    x: Any,
    y: Any,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Callback | Sequence[Callback] | None = None,
    *,
    comm: Any = None,
    compression: str | None = None,
    **options: Any,
) -> History:
    """Train a model as `model.fit` does, on all processes of an MPI communicator.

    Every process calls it with the same data and arguments: `mpiexec -n 4 python train.py` runs a script on four. Each
    computes the gradients of its rows of every batch; then all add these up and do the same update. Losses, weights
    and logs are those of one process with the same batches but for rounding, and the same bits on all processes.

    Parameters
    ----------
    model : Model
        Compiled. All processes begin with the weights, the state of the optimizer and the seed that rank 0 has.
    x, y
        Arrays as for `Model.fit`, whole, on each process; those that are mapped from a file take memory for the rows
        that are read only. No iterables.
    batch_size : int, default 32
        Rows of a batch on all processes together.
    epochs, verbose, callbacks
        As for `Model.fit`. Every process calls the callbacks, with the same logs; rank 0 alone calls those whose class
        has `writes = True`, as `ModelCheckpoint`, `BackupAndRestore`, `CSVLogger` and `TensorBoard`, and draws the bar.
        If one raises an error, all processes raise one. If one ends training, all do; the learning rate is rank 0's.
    comm : mpi4py.MPI.Intracomm, default MPI.COMM_WORLD
    compression : {"bfloat16"}, optional
        Send gradients with 8 bits of mantissa, in half of the bytes; for models in float32.
    **options
        Other arguments of `Model.fit`, but for `truncate`.

    Returns
    -------
    History
        The same on all processes.

    Raises
    ------
    ImportError
        Without mpi4py.
    TypeError, ValueError
        As `Model.fit`. If data or arguments differ between processes, on all of them, with the rank and what it got;
        for models with stateful layers.
    RuntimeError
        On the others, if one process has an error; if their weights have become different ones.

    Notes
    -----
    An error that only one process can know of, as Ctrl-C, ends all processes; if one is killed, `mpiexec` ends the
    others. Each process draws its own dropout and noise. `BatchNormalization` normalizes with the statistics of the
    rows that a process has, as is usual; its moving averages are the means over all processes. A loss that is a
    function must be a mean over rows. With `gradient_accumulation_steps` in the optimizer, gradients travel once for
    each update. The processes on one machine share its processors.

    Examples
    --------
    In a script, where it trains on one process too:

    >>> import numpy as np
    >>> from rnncore import distributed, layers, models
    >>> model = models.Sequential([layers.Input((10, 3)), layers.GRU(8), layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = np.random.default_rng(1).normal(size=(64, 10, 3))
    >>> history = distributed.fit(model, x, x.sum(axis=(1, 2)), epochs=2, verbose=0)  # doctest: +SKIP
    """
    world = World(comm)
    together = Together(world, compression, options.get("augment") is not None)
    try:
        with _own_threads(world):
            arguments = {"x": x, "y": y, "epochs": epochs, "batch_size": batch_size, "compression": compression}
            together.begin(model, callbacks, arguments | options)
            if compression is not None:
                check.lookup("compression", compression, {"bfloat16": None})
            if is_stream(x) or is_stream(options.get("validation_data")):
                raise ValueError("distributed.fit needs arrays, got an iterable of batches")
            if options.get("truncate") is not None:
                raise ValueError("distributed.fit takes no truncate: states do not go from window to window there")
            with seeds.drawn_from(world.share(seeds.generator())):
                shown = verbose if world.rank == 0 else 0
                return model.fit(x, y, batch_size, epochs, shown, [together], **options)
    except BaseException as error:
        if error is not world.agreed and not together.begun:
            world.agree(error)
        if error is not world.agreed:
            world.abort(error)
        raise
    finally:
        together.release()
        world.close()


class Together(Callback):
    """The callbacks of a run, which all ranks call at the same time; what they decide holds for all."""

    def __init__(self, world: World, compression: str | None, augmented: bool) -> None:
        self.begun = False
        self._world, self._compression, self._augmented = world, compression, augmented
        self._callbacks: list[Callback] = []
        self._trained: tuple[Engine, ParallelTrainer] | None = None

    def begin(self, model: Model, callbacks: Any, arguments: Mapping[str, Any]) -> None:
        """Take the callbacks; an error on all ranks if these or the arguments are not the same on all."""
        error: BaseException | None = None
        try:
            hooks = CallbackList.of(model, callbacks, {})
            described = _described(arguments)
        except BaseException as caught:
            error = caught
        self._world.agree(error)
        self._callbacks = hooks.callbacks
        self._world.require_same(described | {"callbacks": [type(callback).__name__ for callback in self._callbacks]})
        names = ["on_epoch_begin", "on_train_end", "on_test_begin", "on_test_end"] if hooks.callbacks else []
        for mode in ("train", "test"):
            if hooks.wants_batches(mode):  # those that rank 0 alone calls count here too
                names += [f"on_{mode}_batch_begin", f"on_{mode}_batch_end"]
        for name in names:
            setattr(self, name, partial(self._tell, name))

    def set_model(self, model: Model) -> None:
        self.model = model
        for callback in self._callbacks:
            callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        for callback in self._callbacks:
            callback.set_params(params)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Tell the callbacks, then begin with what rank 0 has."""
        world, model = self._world, self.model
        self.begun = True
        world.agree(None)
        engine, optimizer = model._session.engine(model), model.optimizer
        if engine.states is not None:
            world.fail(ValueError("distributed.fit takes no model with stateful layers: a state belongs to a row"))
        if self._compression is not None and engine.dtype != np.float32:
            world.fail(ValueError(f"compression needs a model in float32, got {engine.dtype}"))
        slots = optimizer.build(engine.store.size, engine.dtype)
        model_text = zlib.crc32(f"{engine.program}{optimizer.describe()}".encode())
        world.require_same({"the model and its optimizer (as a checksum)": model_text, "the weights": slots.shape})
        self._tell("on_train_begin", logs)
        world.copy(engine.store.vector)
        engine.store.memory.note_writing()
        world.copy(slots)
        rate = None if optimizer.is_scheduled else float(optimizer.learning_rate)
        assert model.draws is not None
        begin = world.share((optimizer.iterations, rate, model.first_epoch, model.draws.start))
        optimizer.iterations, rate, model.first_epoch, start = begin
        if rate is not None:
            optimizer.learning_rate = rate
        if start != model.draws.start:
            model.draws.begin(start)
        if world.size > 1:
            compilation = model._session.compiled("training")
            rounded = self._compression is not None
            trainer = ParallelTrainer(world, engine, compilation, rounded=rounded, augmented=self._augmented)
            self._trained, engine.trainer = (engine, trainer), trainer

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Tell the callbacks, then decide what to do next."""
        self._tell("on_epoch_end", epoch, logs)
        model, optimizer = self.model, self.model.optimizer
        weights = zlib.crc32(model._session.engine(model).store.vector.view(np.uint8).data)
        stops, rates, sums = self._world.gather(model.stop_training, optimizer.learning_rate, weights).T
        model.stop_training = bool(stops.any())
        if not optimizer.is_scheduled:
            optimizer.learning_rate = float(rates[0])
        (apart,) = np.nonzero(sums != sums[0])
        if len(apart):
            text = f"the weights of rank {apart[0]} are not those of rank 0 after epoch {epoch}"
            self._world.fail(RuntimeError(text))

    def _tell(self, hook: str, *arguments: Any) -> None:
        """Call a hook of all callbacks; an error of one rank is one of all."""
        if not self._callbacks:
            return
        error: BaseException | None = None
        self._set_alone(True)
        try:
            for callback in self._callbacks:
                if self._world.rank == 0 or not callback.writes:
                    getattr(callback, hook)(*arguments)
        except BaseException as caught:
            error = caught
        self._set_alone(False)
        self._world.agree(error)

    def _set_alone(self, alone: bool) -> None:
        if self._trained is not None:
            self._trained[1].alone = alone

    def release(self) -> None:
        """Let the model train by itself again."""
        if self._trained is not None:
            engine, trainer = self._trained
            engine.trainer = trainer.own


@contextmanager
def _own_threads(world: World) -> Iterator[None]:
    """Let the ranks of a machine share its processors."""
    before = runtime.get_num_threads()
    runtime.set_num_threads(min(before, world.threads()))
    try:
        yield
    finally:
        runtime.set_num_threads(before)


def _described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as far as they must be the same: the shapes of arrays, and plain values."""
    return {_named(name, value): _description(value) for name, value in arguments.items()}


def _named(name: str, value: Any) -> str:
    return name if _is_plain(value) else f"the shape of {name}"


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _description(value: Any) -> Any:
    if _is_plain(value):
        return value
    if isinstance(value, Mapping):
        return {str(key): _description(entry) for key, entry in value.items()}
    shape = getattr(value, "shape", None)
    if shape is not None:
        return tuple(int(size) for size in shape)
    if isinstance(value, tuple):
        return [_description(entry) for entry in value]
    if isinstance(value, list):
        try:
            return np.shape(value)
        except ValueError:
            return [_description(entry) for entry in value]
    return type(value).__name__
