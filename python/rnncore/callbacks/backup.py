"""Training that goes on after an interruption."""

from __future__ import annotations

import os
from pathlib import Path

from rnncore import _validation as check
from rnncore import saving
from rnncore.callbacks.base import Callback, Logs

ENDING = ".backup"


class BackupAndRestore(Callback):
    """Save how far training is, and go on from there when the same script is started again.

    When `fit` begins and the directory has a backup, its weights, state of the optimizer and learning rate take the
    place of the model's, and the epochs before it are passed over. The samples of arrays come in the order in which
    they would have come without the interruption. The files appear whole or not at all.

    Parameters
    ----------
    backup_dir : str or path
        A directory for this training alone; made if it is missing.
    save_freq : "epoch" or int, default "epoch"
        After each epoch, or after every so many batches; an epoch that was interrupted begins anew.
    double_checkpoint : bool, default False
        Kept for compatibility: a backup goes only when the next one is there.
    delete_checkpoint : bool, default True
        Whether the backup is deleted once training is done.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or a backup of a model with other layers.

    Notes
    -----
    Other callbacks, `EarlyStopping` for instance, begin anew.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from rnncore import callbacks, layers, models
    >>> model = models.Sequential([layers.Input((5, 3)), layers.GRU(2)])
    >>> model.compile("adam", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     backup = callbacks.BackupAndRestore(folder, delete_checkpoint=False)
    ...     history = model.fit(np.ones((4, 5, 3)), np.ones((4, 2)), epochs=2, callbacks=[backup], verbose=0)
    ...     history = model.fit(np.ones((4, 5, 3)), np.ones((4, 2)), epochs=5, callbacks=[backup], verbose=0)
    >>> history.epoch
    [2, 3, 4]
    """

    writes = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ValueError("backup_dir must name a directory, got ''")
        self.save_freq = save_freq
        if save_freq != "epoch":
            self.save_freq = check.positive_int('save_freq ("epoch" or a number of batches)', save_freq)
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]
        self.double_checkpoint = check.boolean("double_checkpoint", double_checkpoint)
        self.delete_checkpoint = check.boolean("delete_checkpoint", delete_checkpoint)
        self._epoch = self._batches = 0

    def _files(self) -> list[Path]:
        """The backups, the newest last."""
        return sorted(Path(self.backup_dir).glob(f"*{ENDING}"), key=lambda path: path.stem)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        files = self._files()
        if not files:
            return
        optimizer = self.model.optimizer
        progress = saving.load_progress(files[-1], self.model.layers, optimizer)
        optimizer.iterations = progress["iterations"]
        if not optimizer.is_scheduled:
            optimizer.learning_rate = progress["learning_rate"]
        if self.model.draws is not None and "draws" in progress:
            self.model.draws.begin(progress["draws"])
        self.model.first_epoch = max(self.model.first_epoch, progress["epochs"])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1)

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            self._save(self._epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            for path in self._files():
                path.unlink()

    def _save(self, epochs: int) -> None:
        """Write a backup of a model that has done so many epochs, and delete those before it."""
        optimizer = self.model.optimizer
        progress = {
            "epochs": epochs,
            "iterations": optimizer.iterations,
            "learning_rate": float(optimizer.learning_rate),
            "draws": 0 if self.model.draws is None else self.model.draws.start,
        }
        path = Path(self.backup_dir) / f"{optimizer.iterations:012d}{ENDING}"
        saving.save_progress(path, self.model.layers, optimizer, progress)
        for other in self._files():
            if other != path:
                other.unlink()
