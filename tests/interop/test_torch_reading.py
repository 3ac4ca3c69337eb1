"""Files that PyTorch wrote are read without it; others raise an error that names file and entry, and run nothing."""

from __future__ import annotations

import io
import os
import pickle
import random
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncore.torch import read_state_dict


class Called:
    """Pickles as a call of a function on arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Global:
    """A function or class of PyTorch, where it is not installed."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Pickler(pickle._Pickler):  # type: ignore[misc]
    """Writes what PyTorch writes: storages as references."""

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, Global):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Tensor):
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.write(b"(")
            self.save(("storage", Global("torch", value.kind), value.key, "cpu", value.count))
            self.write(b"Q")
            for part in (value.offset, value.shape, value.strides, False, OrderedDict()):
                self.save(part)
            self.write(b"tR")
        else:
            super().save(value, save_persistent_id)


class Tensor:
    def __init__(
        self,
        shape: Any = (2, 3),
        strides: Any = (3, 1),
        offset: Any = 0,
        kind: str = "FloatStorage",
        key: Any = "0",
        count: Any = 6,
    ) -> None:
        self.shape, self.strides, self.offset = shape, strides, offset
        self.kind, self.key, self.count = kind, key, count


NUMBERS = np.arange(6, dtype="<f4").tobytes()


def write(path: Path, value: Any, storages: dict[str, bytes] | None = None, **entries: bytes) -> Path:
    """A file like those of `torch.save`, by hand."""
    data = io.BytesIO()
    Pickler(data, protocol=2).dump(value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", data.getvalue())
        for name, content in entries.items():
            archive.writestr(f"w/{name}", content)
        for key, content in ({"0": NUMBERS} if storages is None else storages).items():
            archive.writestr(f"w/data/{key}", content)
    return path


def test_tensors_in_containers(tmp_path: Path) -> None:
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = {
        "state": OrderedDict(a=Tensor(), b=Tensor((3, 2), (1, 3)), c=Tensor((2,), (2,), 1), d=Tensor((), (), 5)),
        "rest": [1, 2.5, None, True, ("x", "y"), 2**70, {1, 2}, Tensor((0, 4), (4, 1))],
    }
    found = read_state_dict(write(tmp_path / "w.pt", value, byteorder=b"little"))
    state = found["state"]
    for name, array in {"a": expected, "b": expected.T, "c": expected.ravel()[[1, 3]], "d": np.float32(5)}.items():
        np.testing.assert_array_equal(state[name], array)
        assert state[name].dtype == np.float32
    assert np.shares_memory(state["a"], state["b"])
    assert found["rest"][:7] == value["rest"][:7]
    assert found["rest"][7].shape == (0, 4)
    state["a"][...] = 1  # may be written to


@pytest.mark.parametrize(
    ("kind", "stored", "expected"),
    [
        ("DoubleStorage", np.array([1.5, -2], "<f8"), np.array([1.5, -2])),
        ("HalfStorage", np.array([1.5, -2], "<f2"), np.array([1.5, -2], np.float16)),
        ("BFloat16Storage", np.array([0x3FC0, 0xC000], "<u2"), np.array([1.5, -2], np.float32)),
        ("LongStorage", np.array([-1, 2**40], "<i8"), np.array([-1, 2**40])),
        ("BoolStorage", np.array([0, 2], "u1"), np.array([False, True])),
        ("ComplexFloatStorage", np.array([1j, 2], "<c8"), np.array([1j, 2], np.complex64)),
    ],
)
def test_dtypes(tmp_path: Path, kind: str, stored: Any, expected: Any) -> None:
    tensor = Tensor((2,), (1,), kind=kind, count=2)
    found = read_state_dict(write(tmp_path / "w.pt", {"x": tensor}, {"0": stored.tobytes()}))["x"]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


HOSTILE: dict[str, tuple[Any, str]] = {
    "system": ({"x": Called(os.system, "touch ran")}, "it would call 'posix.system'"),
    "eval": ({"x": Called(eval, "open('ran', 'w')")}, "it would call .*eval'"),
    "module": ({"x": Called(Path, "ran")}, "it would call 'pathlib"),
    "class": ({"x": Global("torch", "float32")}, "it holds torch.float32; only tensors and containers"),
    "list": ([Tensor()], "expected a dict, got list"),
    "beyond": ({"x": Tensor((2, 4), (4, 1))}, r"data/0 with shape \(2, 4\), .* runs beyond its 6 numbers"),
    "offset": ({"x": Tensor(offset=1)}, "runs beyond its 6 numbers"),
    "expanded": ({"x": Tensor((10**12,), (0,))}, "has elements that overlap"),
    "overlapping": ({"x": Tensor((2, 3), (2, 1))}, "has elements that overlap"),
    "negative": ({"x": Tensor(strides=(-3, 1), offset=3)}, "has no sizes and places"),
    "texts": ({"x": Tensor(shape=("2", 3))}, "has no sizes and places"),
    "axes": ({"x": Tensor((1,) * 40, (1,) * 40)}, "has no sizes and places"),
    "count": ({"x": Tensor(count=7)}, "w/data/0 has 6 numbers, expected 7"),
    "counts": ({"x": Tensor(), "y": Tensor(count=10**18)}, "w/data/0 has 6 numbers"),
    "missing": ({"x": Tensor(key="1")}, "entry 'w/data/1' is missing"),
    "above": ({"x": Tensor(key="../data.pkl")}, "entry 'w/data/../data.pkl' is missing"),
    "bytes": ({"x": Tensor(kind="DoubleStorage", key="1")}, "w/data/1 has 9 bytes, expected numbers of 8"),
    "quantized": ({"x": Tensor(kind="QInt8Storage")}, "numbers of torch.QInt8Storage, which are not supported"),
    "key": ({(1, (2,)): 1}, "in a wrong place"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_run_nothing(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    value, text = HOSTILE[case]
    file = write(tmp_path / "bad.pt", value, {"0": NUMBERS, **({"1": b"123456789"} if case == "bytes" else {})})
    with pytest.raises(ValueError, match=rf"bad.pt cannot be read as weights of PyTorch: entry 'w/data.pkl': .*{text}"):
        read_state_dict(file)
    assert not (tmp_path / "ran").exists()


def twice(file: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("w/data.pkl", b"")


def packed(file: Path) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data/1", b"0" * 10**6)


def overlap(file: Path) -> None:
    """Let two entries of the directory name the same bytes."""
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("w/data/1", NUMBERS)
        archive.filelist[-1].header_offset = archive.filelist[-2].header_offset
        archive._didModify = True


def flip(file: Path) -> None:
    data = file.read_bytes()
    place = data.index(NUMBERS)
    file.write_bytes(data[:place] + b"\x01" + data[place + 1 :])


def add(name: str, content: bytes) -> Callable[[Path], None]:
    def added(file: Path) -> None:
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(name, content)

    return added


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (add("w/byteorder", b"big"), "entry 'w/byteorder': expected little, got b'big'"),
        (add("w/constants.pkl", b""), "a program of torch.jit"),
        (add("v/data.pkl", b""), "2 entries data.pkl"),
        (twice, "two entries have the same name"),
        (packed, "entry 'w/data/1' is compressed"),
        (overlap, "entry 'w/data/1' overlaps with 'w/data/0'|Overlapped entries"),
        (flip, "entry 'w/data/0': Bad CRC-32"),
        (lambda file: file.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.more"), "before 1.6"),
        (lambda file: file.write_bytes(b"\x89HDF"), "no zip archive"),
        (lambda file: file.write_bytes(b""), "no zip archive"),
    ],
)
def test_broken_archives_are_named(tmp_path: Path, change: Callable[[Path], Any], text: str) -> None:
    file = write(tmp_path / "bad.pt", {"x": Tensor()})
    change(file)
    with pytest.raises(ValueError, match=rf"bad.pt cannot be read as weights of PyTorch: .*({text})"):
        read_state_dict(file)


def test_every_cut_and_many_changes_of_a_file_are_values_or_errors(tmp_path: Path) -> None:
    whole = write(tmp_path / "w.pt", {"x": Tensor(), "y": [Tensor((3,), (2,)), {"z": 1.5}]}).read_bytes()
    file, rng = tmp_path / "bad.pt", random.Random(0)
    for size in range(0, len(whole), 7):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="bad.pt"):
            read_state_dict(file)
    data = io.BytesIO()
    Pickler(data, protocol=2).dump({"x": Tensor(), "y": [Tensor((3,), (2,)), {"z": 1.5}]})
    for _ in range(600):  # of the pickle alone, with a checksum that fits
        changed = bytearray(data.getvalue())
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("w/data.pkl", bytes(changed))
            archive.writestr("w/data/0", NUMBERS)
        try:
            found = read_state_dict(file)
        except ValueError:
            continue
        assert isinstance(found, dict)


def test_no_file_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="is not a file"):
        read_state_dict(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a file"):
        read_state_dict(tmp_path / "pipe")


def test_files_are_read_without_pytorch(tmp_path: Path) -> None:
    file = write(tmp_path / "w.pt", {"x": Tensor()})
    code = f"import sys; from rnncore.torch import read_state_dict; read_state_dict({str(file)!r})"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_needs_pytorch_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from rnncore.torch import LSTM"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "ImportError: rnncore.torch.LSTM needs PyTorch: pip install 'rnncore[torch]'" in done.stderr


def test_files_of_pytorch_itself(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.LSTM(4, 5, 2)).bfloat16()
    optimizer = torch.optim.Adam(model.parameters())
    model[0](torch.ones(2, 3).bfloat16()).sum().backward()
    optimizer.step()
    for file, options in (("new.pt", {}), ("protocol.pth", {"pickle_protocol": 4})):
        checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "name": "net"}
        torch.save(checkpoint, tmp_path / file, **options)
        found = read_state_dict(tmp_path / file)
        assert list(found["model"]) == list(model.state_dict())
        for name, tensor in model.state_dict().items():
            np.testing.assert_array_equal(
                found["model"][name], tensor.float() if tensor.is_floating_point() else tensor
            )
        np.testing.assert_array_equal(
            found["optimizer"]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"].float()
        )
        assert (found["epoch"], found["name"]) == (3, "net")
    x, z, w = torch.randn(2, 3), *(torch.randn(2, dtype=torch.complex64).conj() for _ in range(2))
    views = {"expanded": x[:, :1].expand(4, 2, 3), "turned": x.T[::2], "conjugated": z, "negated": w.imag}
    torch.save(views, tmp_path / "views.pt")
    for name, array in read_state_dict(tmp_path / "views.pt").items():
        np.testing.assert_array_equal(array, views[name].resolve_conj().resolve_neg())
    torch.save(model, tmp_path / "module.pt")
    with pytest.raises(ValueError, match=r"only tensors.*torch\.save\(module\.state_dict\(\), path\)"):
        read_state_dict(tmp_path / "module.pt")
    torch.save(model.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"before 1\.6"):
        read_state_dict(tmp_path / "old.pt")
