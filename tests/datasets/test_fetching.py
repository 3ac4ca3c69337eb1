"""Files are fetched once, whole and as they should be, or not at all."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnncore import datasets
from rnncore.datasets import fetching

DATA = bytes(range(256)) * 1000
SUM = hashlib.sha256(DATA).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 - shared by the requests of a server

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path != "/half":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA[:1000])

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server that has the file `data`."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "data").write_bytes(DATA)
    Handler.asked.clear()
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(served)))
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    thread.join()
    found.server_close()


def test_a_file_is_downloaded_once(server: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "kept"
    for _ in range(2):
        assert datasets.fetch_file(f"{server}/data", SUM.upper(), path) == path
        assert path.read_bytes() == DATA
    assert Handler.asked == ["/data"]


def test_a_damaged_copy_is_downloaded_again(server: str, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(DATA[:-1])
    assert datasets.fetch_file(f"{server}/data", SUM, path).read_bytes() == DATA


def test_a_file_beside_needs_no_server(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    assert datasets.fetch_file(source.as_uri(), SUM, tmp_path / "kept").read_bytes() == DATA


@pytest.mark.parametrize("old", [None, b"old"])
def test_another_sum_is_refused_and_leaves_nothing(server: str, tmp_path: Path, old: bytes | None) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if old is not None:
        (folder / "kept").write_bytes(old)
    with pytest.raises(ValueError, match=f"/data must have the SHA-256 sum {'0' * 64}, got {SUM}"):
        datasets.fetch_file(f"{server}/data", "0" * 64, folder / "kept")
    assert [path.read_bytes() for path in folder.iterdir()] == ([] if old is None else [old])


@pytest.mark.parametrize(("name", "reason"), [("none", "HTTP Error 404"), ("half", "IncompleteRead|sum")])
def test_what_does_not_come_whole_leaves_nothing(server: str, tmp_path: Path, name: str, reason: str) -> None:
    folder = tmp_path / "folder"
    with pytest.raises((ConnectionError, ValueError), match=reason):
        datasets.fetch_file(f"{server}/{name}", SUM, folder / "kept")
    assert list(folder.iterdir()) == []


def test_without_a_connection_the_text_says_what_to_do(server: str, tmp_path: Path) -> None:
    nobody = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    nobody.server_close()  # its port is free again, and nobody listens
    path = tmp_path / "kept"
    with pytest.raises(ConnectionError, match=f"could not be downloaded: .*put a copy of the file at {path}"):
        datasets.fetch_file(f"http://127.0.0.1:{nobody.server_port}/data", SUM, path)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("ftp://host/data", SUM), ValueError, "address must begin with https:, http: or file:, got 'ftp://host/data'"),
        ((Path("data"), SUM), TypeError, "address must be a string"),
        (("https://host/data", "12"), ValueError, "sha256 must be 64 hexadecimal digits, got '12'"),
        (("https://host/data", SUM, "x", 5), TypeError, "positional"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        datasets.fetch_file(*arguments, *([tmp_path / "kept"] if len(arguments) == 2 else []))


@pytest.mark.parametrize("name", sorted(fetching.SOURCES))
def test_data_sets_come_from_their_sources(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(fetching, "fetch_file", lambda *arguments: asked.append(arguments))
    fetch = getattr(datasets, f"fetch_{name.replace('-', '_')}")
    assert fetch(tmp_path) == tmp_path / name
    for address, sha256, path in asked:
        assert address.startswith("https://raw.githubusercontent.com/")
        assert len(bytes.fromhex(sha256)) == 32
        assert path == tmp_path / name / address.rpartition("/")[2]
    assert len({sha256 for _, sha256, _ in asked}) == len(asked) > 0


def test_the_cache_is_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for system, variable, folder in (("linux", "XDG_CACHE_HOME", "a"), ("win32", "LOCALAPPDATA", "b")):
        monkeypatch.setattr("sys.platform", system)
        monkeypatch.setenv(variable, str(tmp_path / folder))
        assert datasets.cache_folder() == tmp_path / folder / "rnncore"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "darwin")
    assert datasets.cache_folder() == tmp_path / "Library" / "Caches" / "rnncore"
    monkeypatch.setenv("RNNCORE_CACHE", str(tmp_path / "own"))
    assert datasets.cache_folder() == tmp_path / "own"
