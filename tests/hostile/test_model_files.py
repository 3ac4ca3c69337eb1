"""Files that nobody saved: damaged, foreign and malicious ones end in a quick ValueError that says why."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from alone import run_alone

from rnncore import layers, models

# Within 1 GiB and a second, whatever a file claims.
LOAD = """
    import resource, sys, time
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    from rnncore import layers, models
    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    for load in (models.load_model, model.load_weights):
        before, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            load(sys.argv[1])
        except ValueError as error:
            print(type(error).__name__, error)
        else:
            print("loaded")
        assert time.process_time() - cpu < 1.0, time.process_time() - cpu
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
"""


def load(path: Path) -> str:
    """What loading the file prints, as a model and as weights."""
    return run_alone(LOAD, str(path), seconds=60)


def saved(path: Path, **changes: Any) -> Path:
    """A small model's file whose LSTM has other arguments than its weights."""
    model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    model.compile("adam", "mse")
    model.save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    config = json.loads(header["__metadata__"]["model"])
    config["config"]["layers"][1]["config"].update(changes)
    header["__metadata__"]["model"] = json.dumps(config)
    write(path, header, content[8 + length :])
    return path


def write(path: Path, header: Any, numbers: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)


METADATA = {"format": "rnncore", "version": "1"}


UNITS = [3000, 200_000, 10**9, 2**63, 10**30, 10**400]


@pytest.mark.parametrize("units", UNITS, ids=lambda units: str(len(str(units))))
def test_weights_are_compared_before_they_are_made(tmp_path: Path, units: int) -> None:
    assert "layers.0.0.kernel must have shape" in load(saved(tmp_path / "model.rnn", units=units))


@pytest.mark.parametrize("argument", ["layer", "batch"])
def test_sizes_without_weights_are_claims_too(tmp_path: Path, argument: str) -> None:
    path = tmp_path / "model.rnn"
    given = layers.Input(batch_shape=(2, None, 3))
    x = layers.GRU(2, stateful=True)(given) if argument == "batch" else layers.RepeatVector(2)(layers.LSTM(2)(given))
    models.Model(given, x).save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    config = json.loads(header["__metadata__"]["model"])
    if argument == "batch":
        config["config"]["layers"][0]["config"]["batch_shape"][0] = 10**12
    else:
        config["config"]["layers"][2]["config"]["n"] = 10**15
    header["__metadata__"]["model"] = json.dumps(config)
    write(path, header, content[8 + length :])
    first, _ = load(path).splitlines()
    assert first == "loaded" or first.startswith("ValueError")


def test_pipes_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.rnn")
    (tmp_path / "folder.rnn").mkdir()
    (tmp_path / "link.rnn").symlink_to("/dev/zero")
    assert load(tmp_path / "pipe.rnn").count("is a pipe or device, not a file") == 2
    assert load(tmp_path / "link.rnn").count("is a pipe or device, not a file") == 2
    assert load(tmp_path / "folder.rnn").count("is a folder; rnncore keeps a model in one file") == 2


def test_holes_of_gigabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.rnn"
    kernel = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
    bias = {"dtype": "F32", "shape": [2], "data_offsets": [2**40, 2**40 + 8]}
    write(path, {"__metadata__": METADATA, "layers.0.0.kernel": kernel, "layers.0.1.bias": bias})
    os.truncate(path, path.stat().st_size + 2**40 + 8)
    found = load(path)
    assert found.count("ValueError") == 2
    assert "layers.0.0.kernel must have shape (3, 2), got (274877906944,)" in found
    with open(path, "r+b") as file:
        file.write((2**40).to_bytes(8, "little"))  # as if the header filled the hole
    assert load(path).count("its header would be 1099511627776 bytes long") == 2


GIANT = """
    import json, time
    from rnncore import layers, models
    model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    for change in ({"units": 200_000}, {"units": 10**9}, {"units": 10**400}):
        described = json.loads(model.to_json())
        described["config"]["layers"][1]["config"].update(change)
        start = time.process_time()
        for make in (lambda: models.model_from_json(json.dumps(described)),
                     lambda: models.Sequential.from_config(described["config"])):
            try:
                make()
            except ValueError as error:
                print(error)
        assert time.process_time() - start < 1.0
    print("done")
"""


def test_descriptions_of_more_than_the_memory_are_refused() -> None:
    found = run_alone(GIANT)
    assert found.count("weights and their gradients need") == 6
    assert "config: 160003600002 weights and their gradients need 1192 GiB" in found
    assert found.endswith("done\n")


NESTED = "[" * 100_000 + "]" * 100_000


def tensor(**changes: Any) -> bytes:
    """A header that describes one tensor in four bytes."""
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}
    return json.dumps({"__metadata__": METADATA, "x": entry}).encode()


def model(text: str) -> bytes:
    """A header with a description of a model and nothing else."""
    return json.dumps({"__metadata__": {**METADATA, "model": text}}).encode()


BAD_JSON: dict[str, tuple[bytes, str]] = {
    "nested": (NESTED.encode(), "nested too deeply"),
    "nested model": (model(NESTED), "nested too deeply"),
    "twice": (b'{"a": {}, "a": {}}', "'a' twice"),
    "twice within": (b'{"__metadata__": {"format": "rnncore", "version": "1", "version": "1"}}', "'version' twice"),
    "nan": (model('{"dtype": NaN}'), "NaN is no number of JSON"),
    "number": (b'{"__metadata__": {"format": "rnncore", "version": "1", "model": 3}}', "its model is not text"),
    "digits": (b'{"x": ' + b"9" * 5000 + b"}", "4300"),
    "surrogates": (b'{"__metadata__": {"format": "rnncore", "version": "1", "\\ud800": "\\udfff"}}', "does not fit"),
    "text": (tensor(shape="3"), "x has shape"),
    "product": (tensor(shape=[10**4000] * 200), "x has shape"),
    "true": (tensor(shape=[True]), "x has shape"),
    "float": (tensor(shape=[1.0]), "x has shape"),
    "infinite": (tensor(shape=[1]).replace(b"[1]", b"[1e400]"), "x has shape"),
    "far": (tensor(data_offsets=[2**70, 2**70 + 4]), "x has shape"),
    "axes": (tensor(shape=[1] * 100), "x has shape"),
    "list": (tensor(dtype=["F32"]), "x is not described"),
    "half": (tensor(dtype="F16"), "x is not described"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_json_that_python_would_take_or_choke_on(tmp_path: Path, case: str) -> None:
    header, reason = BAD_JSON[case]
    write(tmp_path / "model.rnn", header, bytes(4 * header.count(b'"F32"')))
    found = load(tmp_path / "model.rnn")
    assert found.count("ValueError") == 2
    assert reason in found


MUTATED = """
    import json, os, random, sys, time, warnings
    sys.path.insert(0, sys.argv[3])
    from model_zoo import CASES
    from rnncore import models

    warnings.simplefilter("error")
    STRANGE = [True, None, -1, 0, 1.5, "x", "", [], {}, [[]], {"class_name": "X"}, 2**31, 2**63, 10**30, 10**400, 3000,
               10**9, "3", "\\ud800", "a\\0b", 1e308, [1, 2, 3], [None, 3], "LSTM", [10**9, 10**9]]
    RAW = ["NaN", "-Infinity", "1e400", '"\\\\ud800"', "[" * 3000 + "]" * 3000, "1" * 5000, "1" * 4000,
           '{"a": 1, "a": 2}']

    def places(node, at=()):
        if at:
            yield at
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            yield from places(node[key], (*at, key))

    def mutated(rng, text):
        node = json.loads(text)
        raw = []
        for _ in range(rng.randint(1, 3)):
            *above, last = rng.choice(list(places(node)))
            parent = node
            for key in above:
                parent = parent[key]
            kind = rng.random()
            if kind < 0.2:
                del parent[last]
            elif kind < 0.4:
                parent[last] = "<raw>"
                raw.append(rng.choice(RAW))
            elif kind < 0.5 and isinstance(parent, dict):
                parent[rng.choice(["x", "units", "name", "self", "config", "layer"])] = rng.choice(STRANGE)
            else:
                parent[last] = rng.choice(STRANGE)
        text = json.dumps(node)
        for each in raw:
            text = text.replace('"<raw>"', each, 1)
        return text

    path, rng = sys.argv[1], random.Random(int(sys.argv[2]))
    for name in ("recurrent", "transformer", "encoder_decoder", "stateful"):
        case = CASES[name]()
        case.model.compile(case.optimizer, case.loss)
        case.model.fit(case.x, case.y, batch_size=case.batch_size, verbose=0, **case.fit)
        case.model.save(path)
        whole = open(path, "rb").read()
        length = int.from_bytes(whole[:8], "little")
        text, numbers = whole[8 : 8 + length], whole[8 + length :]
        for number in range(60):
            kind = number % 4
            if kind == 0:
                damaged = bytearray(whole)
                for _ in range(rng.randint(1, 4)):
                    damaged[rng.randrange(8 + length)] ^= 1 << rng.randrange(8)
                damaged = bytes(damaged)
            else:
                header = json.loads(text)
                if kind > 1:
                    header["__metadata__"]["model"] = mutated(rng, header["__metadata__"]["model"])
                    new = json.dumps(header).encode()
                else:
                    new = mutated(rng, text).encode()
                damaged = len(new).to_bytes(8, "little") + new + numbers
            if rng.random() < 0.1:
                damaged = damaged[: rng.randrange(len(damaged))]
            with open(path, "wb") as file:
                file.write(damaged)
            start = time.process_time()
            try:
                models.load_model(path).summary(print_fn=lambda text: text.encode())
            except ValueError as error:
                assert path in str(error), error
            assert time.process_time() - start < 1.0, (name, number)
    print("done")
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_files_are_refused_or_loaded(tmp_path: Path, seed: int) -> None:
    helpers = str(Path(__file__).parents[1] / "helpers")
    assert run_alone(MUTATED, str(tmp_path / "model.rnn"), str(seed), helpers, seconds=120) == "done\n"
