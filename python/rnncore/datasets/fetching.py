"""Public data that are too large for the package: where they are, and that they came as they were."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rnncore import _validation as check
from rnncore.writing import write_whole

__all__ = [
    "cache_folder",
    "fetch_ett",
    "fetch_file",
    "fetch_names",
    "fetch_rt_polarity",
    "fetch_tinyshakespeare",
]

FolderPath = str | os.PathLike[str]

# The commit whose files have the sums below.
SOURCES = {
    "ett": "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small",
    "names": "https://raw.githubusercontent.com/spro/practical-pytorch/c520c52e68e945d88fff563dba1c028b6ec0197b/data/names",
    "rt-polarity": "https://raw.githubusercontent.com/yoonkim/CNN_sentence/23e0e1f7355705bb083043fda05c031b15acb38c",
    "tinyshakespeare": "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare",
}
SHA256 = {
    "ett": {
        "ETTh1.csv": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
        "ETTh2.csv": "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
    },
    "names": {
        "Arabic.txt": "6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc",
        "Chinese.txt": "09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465",
        "Czech.txt": "e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7",
        "Dutch.txt": "924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3",
        "English.txt": "9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2",
        "French.txt": "81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95",
        "German.txt": "7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db",
        "Greek.txt": "3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6",
        "Irish.txt": "cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058",
        "Italian.txt": "f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4",
        "Japanese.txt": "e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f",
        "Korean.txt": "cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136",
        "Polish.txt": "45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826",
        "Portuguese.txt": "50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53",
        "Russian.txt": "0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c",
        "Scottish.txt": "78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd",
        "Spanish.txt": "1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7",
        "Vietnamese.txt": "f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d",
    },
    "rt-polarity": {
        "rt-polarity.neg": "4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca",
        "rt-polarity.pos": "2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0",
    },
    "tinyshakespeare": {"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
}


def cache_folder() -> Path:
    """Where fetched data are kept, unless the functions are given a folder.

    Returns
    -------
    Path
        The environment variable `RNNCORE_CACHE`, else `rnncore` in the folder that the system has for caches.

    Examples
    --------
    >>> from rnncore.datasets import cache_folder
    >>> cache_folder().is_absolute()
    True
    """
    if named := os.environ.get("RNNCORE_CACHE"):
        return Path(named).absolute()
    if sys.platform == "win32":
        caches = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        caches = "~/Library/Caches"
    else:
        caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser().absolute() / "rnncore"


def fetch_file(address: str, sha256: str, to_file: FolderPath, *, timeout: float = 30.0) -> Path:
    """Download a file once, and make sure that it is the right one.

    A file that is there already and has the sum is not downloaded again. A new one gets its name when it is complete
    and has the sum; whatever goes wrong before leaves nothing behind.

    Parameters
    ----------
    address : str
        With `https:`, `http:` or `file:`.
    sha256 : str
        The SHA-256 sum of its bytes, as 64 hexadecimal digits.
    to_file : path
        Where to keep it; folders are made.
    timeout : float, default 30
        Seconds to wait for an answer.

    Returns
    -------
    Path

    Raises
    ------
    ConnectionError
        If it cannot be downloaded; the text says where to put a file that was got in another way.
    ValueError
        If what came has another sum, or an argument is wrong.

    Examples
    --------
    >>> import hashlib, pathlib
    >>> from rnncore.datasets import fetch_file
    >>> source = pathlib.Path("source.txt").absolute()
    >>> _ = source.write_text("some data")
    >>> fetch_file(source.as_uri(), hashlib.sha256(b"some data").hexdigest(), "kept/data.txt").read_text()
    'some data'
    """
    if not re.match("(?:https?|file):", check.name("address", address)):
        raise ValueError(f"address must begin with https:, http: or file:, got {address!r}")
    wanted = check.name("sha256", sha256).lower()
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise ValueError(f"sha256 must be 64 hexadecimal digits, got {sha256!r}")
    timeout = check.number("timeout", timeout, low=0)
    path = Path(os.fsdecode(to_file))
    if _has_sum(path, wanted):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)

    def content(file: BinaryIO) -> None:
        found = hashlib.sha256()
        for part in _download(address, path, timeout):
            found.update(part)
            file.write(part)
        if found.hexdigest() != wanted:
            raise ValueError(f"{address} must have the SHA-256 sum {wanted}, got {found.hexdigest()}; it was not kept")

    write_whole(path, content)
    return path


def _parts(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(1 << 16):
        yield part


def _has_sum(path: Path, wanted: str) -> bool:
    if not path.is_file():
        return False
    found = hashlib.sha256()
    with path.open("rb") as file:
        for part in _parts(file):
            found.update(part)
    return found.hexdigest() == wanted


def _download(address: str, path: Path, timeout: float) -> Iterator[bytes]:
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(address, timeout=timeout) as answer:
            yield from _parts(answer)
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"{address} could not be downloaded: {error}; without a connection, put a copy of the file at {path}"
        ) from error


def _fetch(name: str, folder: FolderPath | None) -> Path:
    """Fetch all files of a data set; the folder they are in."""
    to = (cache_folder() if folder is None else Path(os.fsdecode(folder))) / name
    for file, sha256 in SHA256[name].items():
        fetch_file(f"{SOURCES[name]}/{file}", sha256, to / file)
    return to


def fetch_ett(folder: FolderPath | None = None) -> Path:
    """Fetch two years of hourly load and oil temperature of two power transformers (5 MB).

    Parameters
    ----------
    folder : path, optional
        Where to keep a folder `ett`; by default `cache_folder()`.

    Returns
    -------
    Path
        The folder with `ETTh1.csv` and `ETTh2.csv`: 17,420 rows of a date and seven numbers.

    Raises
    ------
    ConnectionError
        Without a connection, unless the files are there.
    ValueError
        If a file is not the one that it should be.

    References
    ----------
    H. Zhou et al., "Informer", AAAI (2021); repository zhouhaoyi/ETDataset on GitHub, licence CC BY-ND 4.0.

    Examples
    --------
    >>> from rnncore.datasets import fetch_ett
    >>> table = fetch_ett() / "ETTh1.csv"  # doctest: +SKIP
    """
    return _fetch("ett", folder)


def fetch_names(folder: FolderPath | None = None) -> Path:
    """Fetch some 20,000 surnames of 18 languages (0.2 MB).

    Parameters
    ----------
    folder : path, optional
        Where to keep a folder `names`; by default `cache_folder()`.

    Returns
    -------
    Path
        The folder with a file for each language, one name a line, UTF-8.

    Raises
    ------
    ConnectionError
        Without a connection, unless the files are there.
    ValueError
        If a file is not the one that it should be.

    References
    ----------
    S. Robertson, repository spro/practical-pytorch on GitHub, MIT licence.

    Examples
    --------
    >>> from rnncore.datasets import fetch_names
    >>> files = sorted(fetch_names().glob("*.txt"))  # doctest: +SKIP
    """
    return _fetch("names", folder)


def fetch_rt_polarity(folder: FolderPath | None = None) -> Path:
    """Fetch 10,662 sentences of film reviews, half of them praise and half blame (1.2 MB).

    Parameters
    ----------
    folder : path, optional
        Where to keep a folder `rt-polarity`; by default `cache_folder()`.

    Returns
    -------
    Path
        The folder with `rt-polarity.pos` and `rt-polarity.neg`, one sentence a line, Latin-1.

    Raises
    ------
    ConnectionError
        Without a connection, unless the files are there.
    ValueError
        If a file is not the one that it should be.

    References
    ----------
    B. Pang, L. Lee, "Seeing stars", ACL (2005), in the copy of the repository yoonkim/CNN_sentence on GitHub. It names
    no licence; the authors gave the sentences out for research.

    Examples
    --------
    >>> from rnncore.datasets import fetch_rt_polarity
    >>> praise = fetch_rt_polarity() / "rt-polarity.pos"  # doctest: +SKIP
    """
    return _fetch("rt-polarity", folder)


def fetch_tinyshakespeare(folder: FolderPath | None = None) -> Path:
    """Fetch a million characters of Shakespeare's plays (1.1 MB).

    Parameters
    ----------
    folder : path, optional
        Where to keep a folder `tinyshakespeare`; by default `cache_folder()`.

    Returns
    -------
    Path
        The folder with `input.txt`, ASCII.

    Raises
    ------
    ConnectionError
        Without a connection, unless the file is there.
    ValueError
        If the file is not the one that it should be.

    References
    ----------
    A. Karpathy, repository karpathy/char-rnn on GitHub. Shakespeare's text is in the public domain.

    Examples
    --------
    >>> from rnncore.datasets import fetch_tinyshakespeare
    >>> text = (fetch_tinyshakespeare() / "input.txt").read_text()  # doctest: +SKIP
    """
    return _fetch("tinyshakespeare", folder)
