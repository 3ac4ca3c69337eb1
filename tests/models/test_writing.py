"""Files that appear whole or not at all: links, modes, long names, leftovers, crashes and savers at the same time."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from small_models import forecaster, same

from rnncore import models, writing
from rnncore.writing import write_whole


@pytest.fixture(params=["anonymous", "named"])
def scheme(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to write: with files without a name, and as on file systems that have none."""
    if request.param == "named":
        monkeypatch.setattr(writing, "ANONYMOUS", None)
    elif writing.ANONYMOUS is None:
        pytest.skip("this system has no files without names")
    return str(request.param)


def put(path: Path, content: bytes, **options: Any) -> None:
    write_whole(path, lambda file: file.write(content), **options)


@pytest.mark.usefixtures("scheme")
def test_a_link_is_followed_to_its_target(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link, chain = tmp_path / "real" / "file", tmp_path / "link", tmp_path / "chain"
    target.write_bytes(b"old")
    link.symlink_to(Path("real") / "file")
    chain.symlink_to(link)
    for path in (link, chain):
        put(path, b"new by " + path.name.encode())
        assert link.is_symlink()
        assert target.read_bytes() == b"new by " + path.name.encode()
    target.unlink()
    put(chain, b"made")  # through links that lead to nothing yet
    assert target.read_bytes() == b"made"
    target.unlink()
    target.symlink_to(chain)
    with pytest.raises(OSError, match="the link leads to itself"):
        put(chain, b"never")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["chain", "file", "link", "real"]


@pytest.mark.usefixtures("scheme")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_modes_are_kept_and_new_ones_follow_the_umask(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "file"
    before = os.umask(mask)
    try:
        put(path, b"new")
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
        for mode in (0o600, 0o640, 0o664, 0o755):
            path.chmod(mode)
            put(path, b"again")
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)


@pytest.mark.usefixtures("scheme")
@pytest.mark.parametrize("length", [243, 247, 255])
def test_names_may_be_as_long_as_the_system_lets_them(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("é" * 60 + "x" * (length - 124) + ".rnn")
    forecaster().save(path)
    assert models.load_model(path).built
    with pytest.raises(OSError, match="name too long"):
        put(tmp_path / ("x" * 256), b"never")


@pytest.mark.usefixtures("scheme")
def test_file_and_folder_reach_the_disk_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = [], os.fsync

    def watched(handle: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), (tmp_path / "file").exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    put(tmp_path / "file", b"new")
    assert synced == [(False, False), (True, True)]


@pytest.mark.usefixtures("scheme")
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_file_and_no_other(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def content(file: Any) -> None:
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_whole(path, content)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_pipes_folders_and_read_only_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(OSError, match="a pipe or device, not a file"):
        put(tmp_path / "pipe", b"never")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        put(tmp_path / "folder", b"never")
    with pytest.raises(FileNotFoundError, match="no directory"):
        put(tmp_path / "file" / "inside", b"never")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        put(tmp_path / "file", b"never", overwrite=False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for an ordinary user; the superuser may write all
    with pytest.raises(PermissionError, match="the file is read-only"):
        put(tmp_path / "file", b"never")
    assert (tmp_path / "file").read_bytes() == b"kept"


KILLED = """
import os, signal, sys, time
from rnncore import writing
if sys.argv[2] == "named":
    writing.ANONYMOUS = None
def content(file):
    file.write(b"half" * 100000)
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
writing.write_whole(sys.argv[1], content)
"""


def test_a_killed_process_leaves_nothing_that_the_next_save_does_not_remove(tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path), scheme], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"writing\n"
        during = set(os.listdir(tmp_path))
        put(tmp_path / "other", b"new")  # leaves alone what a living process writes
        assert set(os.listdir(tmp_path)) == during | {"other"}
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert path.read_bytes() == b"old"
    if scheme == "anonymous":
        assert set(os.listdir(tmp_path)) == {"file", "other"}
    put(tmp_path / "other", b"newer")
    assert set(os.listdir(tmp_path)) == {"file", "other"}


def test_leftovers_are_told_by_their_locks(tmp_path: Path) -> None:
    dead, living = tmp_path / ".rnncore-dead.tmp", tmp_path / ".rnncore-living.tmp"
    dead.write_bytes(b"")
    (tmp_path / "rnncore-mine.tmp").write_bytes(b"")
    with open(living, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        put(tmp_path / "file", b"new")
        assert sorted(os.listdir(tmp_path)) == [living.name, "file", "rnncore-mine.tmp"]


@pytest.mark.usefixtures("scheme")
def test_savers_at_the_same_time_each_write_a_whole_file(tmp_path: Path) -> None:
    path, wrong = tmp_path / "model.rnn", []
    savers = [forecaster() for _ in range(4)]
    done = threading.Event()

    def save(model: models.Model) -> None:
        try:
            for _ in range(15):
                model.save(path)
        except BaseException as error:
            wrong.append(error)

    def read() -> None:
        while not done.is_set():
            try:
                found = models.load_model(path).get_weights()
                assert any(same(found, model.get_weights()) for model in savers)
            except BaseException as error:
                wrong.append(error)

    savers[0].save(path)
    threads = [threading.Thread(target=save, args=(model,)) for model in savers]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reader.join()
    assert not wrong
    assert os.listdir(tmp_path) == ["model.rnn"]
