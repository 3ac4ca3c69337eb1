"""Files of Keras: a .keras archive, or HDF5 with or without a description of a model."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from rnncore.keras.hdf5 import LONGEST_TEXT, PACKED, Node, h5py_module, open_root
from rnncore.tensor_file import parse_json
from rnncore.writing import FilePath

__all__ = ["KerasFile", "opened", "version_of", "version_of_description"]

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass
class KerasFile:
    """What a file holds.

    Attributes
    ----------
    model : dict or None
        The description of the model; None in a file of weights alone.
    training : dict or None
        What `compile` was given, as files of this kind have it.
    version : tuple of int
        Of the Keras that wrote the file; (1, 0) where it does not say.
    root : Node
        Of the HDF5 part.
    is_archive : bool
        Whether weights lie as in .keras files, by the places of layers, and not by their names.
    theano : bool
        Whether convolutions are stored in reverse, as Theano had them.
    hard_gates : bool
        Whether the gates of a layer that said nothing else were the hard_sigmoid of the time.
    """

    model: Any
    training: Any
    version: tuple[int, ...]
    root: Node
    is_archive: bool
    theano: bool = False
    hard_gates: bool = False


@contextlib.contextmanager
def opened(filepath: FilePath) -> Iterator[KerasFile]:
    """A file of Keras, of whatever kind; ValueError for others, FileNotFoundError if there is none."""
    h5py_module()
    path = os.fsdecode(filepath)
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("it is a folder; save the model as one .keras or .h5 file, SavedModel folders are not read")
    if not stat.S_ISREG(mode):
        raise ValueError("it is a pipe or device, not a file")
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))
        try:
            found = _found(file)
            stack.callback(found.root.close)
            yield found
        except OSError as error:  # of HDF5
            raise ValueError(f"it is damaged: {error}") from error


def _found(file: BinaryIO) -> KerasFile:
    first = file.read(8)
    file.seek(0)
    if first == HDF5:
        return _of_hdf5(file)
    if first.startswith(b"PK"):
        return _of_archive(file)
    raise ValueError("it is neither HDF5 nor a .keras archive")


def version_of_description(description: Any) -> tuple[int, ...]:
    """The version of the Keras that described a model as text: 1 did not name it, and 3 names modules instead."""
    written = description.get("keras_version")
    return version_of(written if isinstance(written, str) else "3.0" if "module" in description else None)


def version_of(text: str | None) -> tuple[int, ...]:
    """The numbers a version begins with: (2, 2) of "2.2.4-tf"."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", text or "")
    return tuple(map(int, found.groups())) if found else (1, 0)


def _of_hdf5(file: BinaryIO) -> KerasFile:
    root = open_root(file)
    weights = root.group("model_weights")
    of_weights = root if weights is None else weights
    text = next((node.text("keras_version") for node in (root, of_weights) if node.has_text("keras_version")), None)
    backend = next((node.text("backend") for node in (root, of_weights) if node.has_text("backend")), "")
    model, training = (
        parse_json(root.text(name)) if root.has_text(name) else None for name in ("model_config", "training_config")
    )
    is_archive = model is None and not _has_names(of_weights)
    hard_gates = not is_archive and version_of(text) < (2, 3) and "tf" not in (text or "")
    version = (3, 0) if is_archive else version_of(text)
    return KerasFile(model, training, version, root, is_archive, backend == "theano", hard_gates)


def _has_names(node: Node) -> bool:
    return node.has_text("layer_names") or node.has_text("layer_names0")


def _of_archive(file: BinaryIO) -> KerasFile:
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise ValueError(f"it is no whole zip archive: {error}") from error
    names = [entry.filename for entry in entries]
    for name in names:
        if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
            raise ValueError(f"it has an entry {name!r}, which leads out of the archive")
        if names.count(name) > 1 and name in (CONFIG, METADATA, WEIGHTS):
            raise ValueError(f"it has {name!r} twice")
    metadata = parse_json(_content(archive, METADATA, LONGEST_TEXT)) if METADATA in names else {}
    config = parse_json(_content(archive, CONFIG, LONGEST_TEXT))
    if not isinstance(metadata, dict) or not isinstance(config, dict):
        raise ValueError(f"{CONFIG} and {METADATA} must be objects")
    version = metadata.get("keras_version")
    root = open_root(io.BytesIO(_content(archive, WEIGHTS, None)))
    training = config.get("compile_config") or None
    return KerasFile(config, training, version_of(version if isinstance(version, str) else "3.0"), root, True)


def _content(archive: zipfile.ZipFile, name: str, most: int | None) -> bytes:
    """The bytes of an entry, unless it claims more than it can hold."""
    if name not in archive.namelist():
        raise ValueError(f"it has no {name!r}" + ("; weights as .npz are not read" if name == WEIGHTS else ""))
    entry = archive.getinfo(name)
    most = PACKED * entry.compress_size + 2**16 if most is None else most
    if entry.file_size > most:
        raise ValueError(f"{name!r} claims {entry.file_size} bytes, more than it can hold")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is packed in a way that Keras does not use")
    try:
        with archive.open(entry) as file:
            content = file.read(most + 1)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, zlib.error) as error:
        raise ValueError(f"{name!r} cannot be read: {error}") from error
    if len(content) > most:
        raise ValueError(f"{name!r} holds more than {most} bytes")
    return content
