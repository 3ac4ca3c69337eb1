"""Writing files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

FilePath = str | os.PathLike[str]
Content = Callable[[BinaryIO], object]

PREFIX, ENDING = ".rnncore-", ".tmp"  # of files that are not complete, or not yet under their name
ANONYMOUS: int | None = getattr(os, "O_TMPFILE", None)


def write_whole(filepath: FilePath, content: Content, *, overwrite: bool = True) -> None:
    """Let `content` write a file; it takes its place when it is complete and on the disk.

    Whatever happens before leaves the old file as it is and no other behind: the new one has no name as long as it
    is written, where the file system can do that; otherwise the next file that is written to the folder removes what
    a killed process left. A link is followed. A file that is replaced hands on its mode and, if that is allowed, its
    owner; a new one has what the umask leaves.

    Raises
    ------
    OSError
        If it cannot be written: FileExistsError unless `overwrite`.
    """
    path = os.fsdecode(filepath)
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{path} cannot be written: there is no directory {folder}")
    before = _replaced(path, target)
    if before is not None and not overwrite:
        raise FileExistsError(f"{path} exists; give overwrite=True to replace it")
    _remove_leftovers(folder)
    with _complete(folder, content, before) as temporary:
        os.replace(temporary, target)
    _sync_folder(folder)


def _replaced(path: str, target: str) -> os.stat_result | None:
    """What is known of the file that a new one replaces; None if there is none."""
    try:
        found = os.stat(target, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "cannot be written: the link leads to itself", path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "cannot be written: it is a folder", path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "cannot be written: it is a pipe or device, not a file", path)
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "cannot be written: the file is read-only", path)
    return found


@contextlib.contextmanager
def _complete(folder: str, content: Content, before: os.stat_result | None) -> Iterator[str]:
    """The name of a file in `folder` with the content, on the disk; it is gone at the end unless it was renamed."""
    mode = 0o666 if before is None else stat.S_IMODE(before.st_mode)
    handle, temporary = _new_file(folder, mode)
    try:
        with os.fdopen(handle, "wb") as file:  # open to the end: its lock tells that it is in use
            content(file)
            file.flush()
            if before is not None:
                _take_after(handle, before)
            os.fsync(handle)
            if temporary is None:
                temporary = _temporary_name(folder)
                os.link(f"/proc/self/fd/{handle}", temporary, src_dir_fd=handle, follow_symlinks=True)
            yield temporary
    except BaseException:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        raise


def _temporary_name(folder: str) -> str:
    return os.path.join(folder, f"{PREFIX}{secrets.token_hex(8)}{ENDING}")


def _new_file(folder: str, mode: int) -> tuple[int, str | None]:
    """A locked file to write to, and its name; without one where the file system has files without names."""
    if ANONYMOUS is not None:
        with contextlib.suppress(OSError):  # NFS, for instance, has none
            handle = os.open(folder, os.O_RDWR | os.O_CLOEXEC | ANONYMOUS, mode)
            if os.path.exists(f"/proc/self/fd/{handle}"):  # the way to a name
                _lock(handle)
                return handle, None
            os.close(handle)
    while True:
        name = _temporary_name(folder)
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        if _lock(handle) and os.fstat(handle).st_nlink:
            return handle, name
        os.close(handle)  # taken for a leftover before it was locked


def _lock(handle: int) -> bool:
    """Mark an open file as in use by a living process; False if another has marked it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: then nothing is ever taken for a leftover
        pass
    return True


def _remove_leftovers(folder: str) -> None:
    """Delete the files that killed processes were writing."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # a folder may be written to but not read
        names = [entry.path for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(ENDING)]
        for name in names:
            with contextlib.suppress(OSError):  # gone by now, in use, or another user's
                handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name)
                finally:
                    os.close(handle)


def _take_after(handle: int, before: os.stat_result) -> None:
    """Give an open file the owner, if allowed, and the mode of the one before."""
    made = os.fstat(handle)
    if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _sync_folder(folder: str) -> None:
    """Let the names in a folder reach the disk."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # a folder may be written to but not read
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that know no such thing
            raise
    finally:
        os.close(handle)
