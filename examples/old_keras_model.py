"""Tell made-up domain names from real ones with a network that an old Keras trained and the present one cannot load.

The network is that of dgaintel 2.3 (MIT licence): its file was written in 2019 by tf.keras 2.2.4. Malware asks for
domains that nobody thought up, such as ``xjwqbvkzr.com``; an LSTM over the letters sees that. The package, which
``pip download --no-deps dgaintel==2.3`` fetches, is read and never imported.

Where Keras is installed the same network runs there too, from a file that rnncore has written, and both are compared:
seconds from the start of Python to the first answer, and bytes that are installed.

Run it with ``python examples/old_keras_model.py --package dgaintel-2.3.tar.gz``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore.keras import load_model, save_model

Array = npt.NDArray[Any]

LETTERS = "-.0123456789_abcdefghijklmnopqrstuvwxyz"
LONGEST = 82  # letters
UNKNOWN = 1
DOMAINS = ("wikipedia.org", "python.org", "weather.com", "xjwqbvkzr.com", "qhd7f3kx9zwp2.net", "pjrtuvxkqgbmw.biz")


def member(package: Path, ending: str, folder: Path) -> Path:
    """The file of a wheel or source archive whose name ends so, copied to a folder."""
    if zipfile.is_zipfile(package):
        with zipfile.ZipFile(package) as wheel:
            found = {name: wheel.read(name) for name in wheel.namelist() if name.endswith(ending)}
    else:
        with tarfile.open(package) as archive:
            files = {entry.name: archive.extractfile(entry) for entry in archive if entry.name.endswith(ending)}
            found = {name: file.read() for name, file in files.items() if file is not None}
    if len(found) != 1:
        raise SystemExit(f"{package} must hold one file {ending}, it has {len(found)}")
    path = folder / Path(ending).name
    path.write_bytes(*found.values())
    return path


def encode(domains: Sequence[str]) -> Array:
    """Letters as numbers (N, 82), zeros behind the end."""
    ids = np.zeros((len(domains), LONGEST), np.int32)
    for row, domain in zip(ids, domains, strict=True):
        numbers = [LETTERS.index(letter) if letter in LETTERS else UNKNOWN for letter in domain.lower()[:LONGEST]]
        row[: len(numbers)] = numbers
    return ids


def seconds(code: str, *arguments: str) -> tuple[float, str]:
    """How long a Python of its own takes, and the last line that it printed or raised."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return time.perf_counter() - start, lines[-1] if lines else ""


def installed(*packages: str) -> float:
    """Megabytes of the files of packages, as far as these are installed."""
    total = 0
    for package in packages:
        try:
            files = importlib.metadata.distribution(package).files or []
            paths = [Path(str(file.locate())) for file in files]
        except importlib.metadata.PackageNotFoundError:
            found = importlib.util.find_spec(package)
            paths = [] if found is None or found.origin is None else [*Path(found.origin).parent.rglob("*.*")]
        total += sum(path.stat().st_size for path in paths if path.is_file())
    return total / 1e6


OURS = """
import json, sys, numpy as np
from rnncore.keras import load_model
print(json.dumps(load_model(sys.argv[1], compile=False).predict(np.load(sys.argv[2]), verbose=0).tolist()))
"""
THEIRS = """
import json, sys, numpy as np
from keras.models import load_model
print(json.dumps(load_model(sys.argv[1], compile=False).predict(np.load(sys.argv[2]), verbose=0).tolist()))
"""


def compare(file: Path, ids: Array, folder: Path) -> dict[str, float]:
    """Both ways beside each other: seconds, megabytes, and how far the answers are apart."""
    np.save(folder / "ids.npy", ids)
    found: dict[str, float] = {}
    found["seconds"], ours = seconds(OURS, str(file), str(folder / "ids.npy"))
    found["megabytes"] = installed("rnncore", "numpy", "h5py")
    print(f"rnncore: {found['seconds']:.1f} s to the first answer, {found['megabytes']:.0f} MB with NumPy and h5py")
    if importlib.util.find_spec("keras") is None:
        print("Keras is not installed, so that there is nothing to compare with.")
        return found
    _, error = seconds(THEIRS, str(file), str(folder / "ids.npy"))
    print(f"Keras, from the old file: {error[:100]}")
    save_model(load_model(file, compile=False), folder / "domains.keras")
    found["seconds of Keras"], theirs = seconds(THEIRS, str(folder / "domains.keras"), str(folder / "ids.npy"))
    backends = [name for name in ("tensorflow", "torch", "jax", "jaxlib") if importlib.util.find_spec(name) is not None]
    found["megabytes of Keras"] = installed("keras", "numpy", "h5py", *backends)
    if not theirs.startswith("["):
        print(f"Keras, from a file of rnncore: {theirs[:100]}")
        return found
    found["difference"] = float(np.abs(np.subtract(json.loads(ours), json.loads(theirs))).max())
    print(
        f"Keras, from a file of rnncore: {found['seconds of Keras']:.1f} s, {found['megabytes of Keras']:.0f} MB with"
        f" {', '.join(backends)}; answers differ by at most {found['difference']:.0e}"
    )
    return found


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Run the example on the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--package", type=Path, required=True, metavar="FILE", help="dgaintel 2.3 as pip downloads it")
    parser.add_argument("--quick", action="store_true", help="without the comparison with Keras")
    options = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = member(options.package, "dgaintel/domain_classifier_model.h5", folder)
        model = load_model(file)
        ids = encode(DOMAINS)
        chances = model.predict(ids, verbose=0)[:, 0]
        for domain, chance in zip(DOMAINS, chances, strict=True):
            print(f"{domain:20} made up with probability {chance:.3f}")
        found = {"real": float(chances[:3].max()), "made up": float(chances[3:].min())}
        return found if options.quick else found | compare(file, ids, folder)


if __name__ == "__main__":
    main()
