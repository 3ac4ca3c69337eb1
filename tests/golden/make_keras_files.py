"""Write the files of tests/interop: `python make_keras_files.py`, once with TensorFlow 2.15 and once with Keras 3.

Each run puts the files of its version, with inputs and outputs, in `keras_files.zip` and keeps those of the other.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from keras_models import MODELS, filled, fitted, listed, one_or_list

ARCHIVE = Path(__file__).with_name("keras_files.zip")
WEIGHTS_ALONE = ("nested", "attention")


def keras_at_hand() -> tuple[str, Any]:
    try:
        import tensorflow as tf

        return "2", tf.keras
    except ImportError:
        import keras

        return "3", keras


def arrays(values: dict[str, Any]) -> bytes:
    memory = io.BytesIO()
    np.savez_compressed(memory, **values)
    return memory.getvalue()


def saved(model: Any, folder: Path, name: str, *, weights: bool = False) -> bytes:
    path = folder / name
    (model.save_weights if weights else model.save)(str(path))
    return path.read_bytes()


def files(version: str, keras: Any, folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in MODELS:
        model, inputs = filled(keras, name)
        outputs = listed(model.predict(one_or_list(inputs), verbose=0))
        numbers: dict[str, Any] = {f"x{k}": x for k, x in enumerate(inputs)}
        numbers |= {f"y{k}": y for k, y in enumerate(outputs)}
        if version == "2" or name in ("attention", "nested", "operators"):
            ending = ".h5" if version == "2" else ".keras"
            found[name + ending] = saved(model, folder, name + ending)
        if version == "2" and name in WEIGHTS_ALONE:
            found[f"{name}.weights.h5"] = saved(model, folder, f"{name}.weights.h5", weights=True)
        if version == "2" and name == "nested":
            found[f"{name}_alone.h5"] = saved(model, folder, f"{name}_alone.h5", weights=True)
        if name == "states" or (version == "2" and name == "nested"):
            model.compile(keras.optimizers.Adam(0.01), "mse")
            fitted(model, inputs, outputs, 2)
            ending = ".keras" if version == "2" and name == "states" else ".h5"
            found[f"{name}_trained{ending}"] = saved(model, folder, f"{name}_trained{ending}")
            numbers["losses"] = np.array(fitted(model, inputs, outputs, 3))
        if any(entry.startswith((f"{name}.", f"{name}_")) for entry in found):
            found[f"{name}.npz"] = arrays(numbers)
    return found


def of_cudnn(keras: Any, folder: Path) -> dict[str, bytes]:
    """A file of the layers of cuDNN, which run on GPUs alone, with outputs of plain layers that Keras fills from it."""
    import tensorflow as tf

    old, k = tf.compat.v1.keras.layers, keras.layers
    rng = np.random.default_rng(3)
    model = keras.Sequential(
        [k.Input((6, 3)), k.Bidirectional(old.CuDNNLSTM(4, return_sequences=True)), old.CuDNNGRU(3)]
    )
    model.set_weights([0.4 * rng.normal(size=weight.shape) for weight in model.weights])
    found = {name: saved(model, folder, name) for name in ("cudnn.h5", "cudnn.keras")}
    found["cudnn.weights.h5"] = saved(model, folder, "cudnn.weights.h5", weights=True)
    saved(model, folder, "cudnn_alone.h5", weights=True)
    layers = [k.Input((6, 3)), k.Bidirectional(k.LSTM(4, return_sequences=True)), k.GRU(3)]
    plain = keras.Sequential(layers)
    plain.load_weights(str(folder / "cudnn_alone.h5"))
    x = rng.normal(size=(4, 6, 3)).astype(np.float32)
    return {**found, "cudnn.npz": arrays({"x0": x, "y0": plain.predict(x, verbose=0)})}


def main() -> None:
    version, keras = keras_at_hand()
    before: dict[str, bytes] = {}
    if ARCHIVE.exists():
        with zipfile.ZipFile(ARCHIVE) as archive:
            before = {name: archive.read(name) for name in archive.namelist() if not name.startswith(f"{version}/")}
    with tempfile.TemporaryDirectory() as folder:
        made = files(version, keras, Path(folder))
        if version == "2":
            made |= of_cudnn(keras, Path(folder))
    with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted({**before, **{f"{version}/{name}": data for name, data in made.items()}}.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    main()
