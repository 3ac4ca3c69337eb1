"""Files of Keras that nobody vouches for: damaged and malicious ones end in a quick ValueError that says why."""

from __future__ import annotations

import base64
import json
import marshal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alone import run_alone
from old_keras import entry, write

from rnncore import keras, layers, models

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

# Within little memory and time, whatever a file claims.
LOAD = """
    import resource, sys, time
    from rnncore import keras, layers, models
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="d")])
    before = model.get_weights()
    keras.load_weights(model, sys.argv[1])  # so that h5py is there
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    for path in sys.argv[2:]:
        for load in (keras.load_model, lambda path: keras.load_weights(model, path)):
            before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
            kept = model.get_weights()
            try:
                load(path)
            except ValueError as error:
                print(type(error).__name__, error)
            else:
                print("loaded")
            assert all((a == b).all() for a, b in zip(kept, model.get_weights()))
            assert time.process_time() - start < 2.0, time.process_time() - start
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
"""


def dense(units: Any = 2) -> dict[str, Any]:
    first = entry("InputLayer", "input", batch_input_shape=[None, 3], dtype="float32")
    layers = [first, entry("Dense", "d", units=units)]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}


def good(path: Path) -> Path:
    return write(path, dense(), {"d": [np.ones((3, 2), "f"), np.ones(2, "f")]}, "2.4.0")


def kernel(make: Callable[[Any, str], None], units: Any = 2) -> Callable[[Path], Path]:
    """A file whose kernel `make` puts in its place."""

    def made(path: Path) -> Path:
        write(path, dense(units), {"d": [np.ones((3, 2), "f"), np.ones(2, "f")]}, "2.4.0")
        with h5py.File(path, "a") as file:
            group = file["model_weights/d"]
            del group["d_0"], group["d_1"]
            make(group, "d_0")
            group.create_dataset("d_1", (units,), "f")
        return path

    return made


def gzipped(group: Any, name: str) -> None:
    group.create_dataset(name, data=np.zeros((3, 2_000_000), "f"), chunks=(3, 2_000_000), compression="gzip")


def big_chunk(group: Any, name: str) -> None:
    group.create_dataset(name, (3, 2), "f", chunks=(20_000, 20_000), maxshape=(None, None), compression="gzip")


def virtual(group: Any, name: str) -> None:
    layout = h5py.VirtualLayout((3, 2), "f")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(3, 2))
    group.create_virtual_dataset(name, layout)


def references(group: Any, name: str) -> None:
    group.create_dataset(name, data=np.array([[group.ref] * 2] * 3, h5py.ref_dtype), dtype=h5py.ref_dtype)


def linked(link: Any) -> Callable[[Any, str], None]:
    def make(group: Any, name: str) -> None:
        group[name] = link

    return make


def other_names(path: Path) -> Path:
    good(path)
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["layer_names"] = [file["model_weights"].ref]
    return path


def texts(name: str, text: str) -> Callable[[Path], Path]:
    def made(path: Path) -> Path:
        good(path)
        with h5py.File(path, "a") as file:
            file.attrs[name] = text
        return path

    return made


def nested_models(levels: int) -> str:
    inside = json.dumps(entry("Dense", "d", units=2))
    begin, end = '{"class_name": "Sequential", "config": {"layers": [', "]}}"
    return begin * levels + inside + end * levels


def archive(**entries: bytes) -> Callable[[Path], Path]:
    """A .keras file of a good model with these entries besides, or in place of its own."""

    def made(path: Path) -> Path:
        model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="d")])
        keras.save_model(model, path.with_suffix(".keras"))
        with zipfile.ZipFile(path.with_suffix(".keras")) as file:
            content = {name: file.read(name) for name in file.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in {
                **content,
                **{key.replace("__", "/").replace("_", "."): v for key, v in entries.items()},
            }.items():
                file.writestr(name, data)
        return path

    return made


def repeated(path: Path) -> Path:
    archive()(path)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("config.json", b"{}")
    return path


def cut(make: Callable[[Path], Path], share: float) -> Callable[[Path], Path]:
    def made(path: Path) -> Path:
        content = make(path).read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        return path

    return made


def written(content: bytes) -> Callable[[Path], Path]:
    def made(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return made


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no numbers": (
        kernel(lambda g, n: g.create_dataset(n, (3, 10**9), "f"), 10**9),
        "claims 12000000000 bytes, but 0 are stored",
    ),
    "other shape": (kernel(lambda g, n: g.create_dataset(n, (3, 10**12), "f")), "has weights of shapes [(3, 2)"),
    "large claim": (lambda path: write(path, dense(10**15), {"d": []}, "2.4.0"), "'d'"),
    "gzip bomb": (kernel(gzipped, 2_000_000), "claims 24000000 bytes"),
    "large chunk": (kernel(big_chunk), "are stored: the file is damaged or hostile"),
    "outside numbers": (
        kernel(lambda g, n: g.create_dataset(n, (3, 2), "f", external=[("/etc/passwd", 0, 24)])),
        "has its numbers in other files",
    ),
    "virtual": (kernel(virtual), "has its numbers in other files"),
    "external link": (kernel(linked(h5py.ExternalLink("/etc/passwd", "/x"))), "a link that leads away"),
    "soft link": (kernel(linked(h5py.SoftLink("/model_weights/d/d_1"))), "a link that leads away"),
    "references": (kernel(references), "must hold numbers, got object"),
    "text for numbers": (
        kernel(lambda g, n: g.create_dataset(n, data=[["a", "b"]] * 3)),
        "must hold numbers, got object",
    ),
    "group for numbers": (kernel(lambda g, n: g.create_group(n)), "has no dataset 'd_0'"),
    "references for names": (other_names, "must be text"),
    "deep text": (texts("model_config", "[" * 200_000 + "]" * 200_000), "nested too deeply"),
    "deep models": (texts("model_config", nested_models(2000)), "nested too deeply"),
    "twice a key": (texts("model_config", '{"class_name": "Sequential", "class_name": "Model"}'), "twice"),
    "no model": (texts("model_config", "[]"), "must be described by class_name and config"),
    "code": (
        texts("model_config", json.dumps({"module": "os", "class_name": "system", "config": {"name": "ls"}})),
        "no equal",
    ),
    "traversal": (archive(**{".___.___x": b"x"}), "leads out of the archive"),
    "json bomb": (archive(config_json=b" " * 80_000_000), "claims 80000000 bytes"),
    "weights bomb": (archive(model_weights_h5=b"\0" * 20_000_000), "claims 20000000 bytes"),
    "entry twice": (repeated, "'config.json' twice"),
    "half an archive": (cut(archive(), 0.5), "no whole zip archive"),
    "half a file": (cut(good, 0.5), "no whole HDF5 file"),
    "pickle": (written(b"\x80\x04."), "neither HDF5 nor a .keras archive"),
    "nothing": (written(b""), "neither HDF5 nor a .keras archive"),
}

OF_MODEL = ("deep text", "deep models", "twice a key", "no model", "code")  # their weights alone are good


def test_bad_files_end_in_an_error_that_says_why(tmp_path: Path) -> None:
    paths = [make(tmp_path / f"{number}.file") for number, (make, _) in enumerate(BAD.values())]
    printed = run_alone(LOAD, str(good(tmp_path / "good.h5")), *map(str, paths), seconds=120).splitlines()
    assert len(printed) == 2 * len(BAD)
    for number, (name, (_, message)) in enumerate(BAD.items()):
        of_model, of_weights = printed[2 * number : 2 * number + 2]
        assert f"{number}.file does not fit" in of_model, (name, of_model)
        assert message in of_model, (name, of_model)
        assert of_weights != "loaded" or name in OF_MODEL, (name, of_weights)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = marshal.dumps(compile(f"open({str(ran)!r}, 'w')", "x", "eval"))
    function = [base64.b64encode(code).decode(), None, None]
    first = entry("InputLayer", "input", batch_input_shape=[None, 3], dtype="float32")
    config = {"name": "s", "layers": [first, entry("Lambda", "own", function=function, function_type="lambda")]}
    path = write(tmp_path / "a.h5", {"class_name": "Sequential", "config": config}, {"own": []}, "2.4.0")
    with pytest.raises(ValueError, match=r"layer 'own' \(Lambda\): this layer is Python code, which is not run"):
        keras.load_model(path)
    assert not ran.exists()


FUZZ = """
    import sys, random, warnings
    from pathlib import Path
    from rnncore import keras, layers, models
    warnings.simplefilter("ignore")
    for name in sys.argv[1:]:
        content, path = Path(name).read_bytes(), Path(name + ".changed")
        for seed in range(20):
            draw = random.Random(seed)
            changed = bytearray(content)
            for _ in range(draw.choice((1, 4, 30))):
                changed[draw.randrange(len(changed))] = draw.choice((0, 1, 127, 255, draw.randrange(256)))
            path.write_bytes(changed)
            model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="d")])
            for load in (keras.load_model, lambda path: keras.load_weights(model, path)):
                try:
                    load(path)
                except ValueError:
                    pass
    print("whole")
"""


def test_changed_bytes_end_in_an_error_or_another_model(tmp_path: Path) -> None:
    paths = [good(tmp_path / "a.h5"), archive()(tmp_path / "a.file")]
    assert run_alone(FUZZ, *map(str, paths), seconds=120) == "whole\n"
