"""Data sets that read their samples from files."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from given_kinds import need
from small_models import Array, same

from rnncore import data, layers, models, utils

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6, 2)).astype(np.float32)
Y = X.sum(axis=(1, 2))
WEIGHT = np.linspace(0.5, 2, 50)
LENGTHS = RNG.integers(1, 7, 50)


def model() -> models.Sequential:
    utils.set_random_seed(1)
    made = models.Sequential([layers.Input((None, 2)), layers.GRU(4), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def trained(*data: Any, **arguments: Any) -> list[Array]:
    made = model()
    made.fit(*data, epochs=3, verbose=0, **arguments)
    return made.get_weights()


def written(folder: Path, **arrays: Array) -> list[Path]:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return [folder / f"{name}.npy" for name in arrays]


@pytest.mark.parametrize("workers", [1, 2])
def test_mapped_files_train_as_arrays_do(tmp_path: Path, workers: int) -> None:
    files = written(tmp_path, x=X, y=Y, weight=WEIGHT, lengths=LENGTHS)
    batches = data.ArrayDataset(*files, batch_size=8, workers=workers)
    expected = trained(X, Y, batch_size=8, sample_weight=WEIGHT, lengths=LENGTHS)
    assert same(trained(batches), expected)
    assert np.array_equal(model().predict(data.ArrayDataset(str(files[0])), verbose=0), model().predict(X, verbose=0))


def test_only_the_samples_of_a_batch_are_read(tmp_path: Path) -> None:
    (file,) = written(tmp_path, x=np.zeros((4000, 50, 20), np.float32))  # 16 MB
    tracemalloc.start()
    for x in data.ArrayDataset(file, batch_size=16).shuffled(np.random.default_rng(0)):
        assert x.shape[1:] == (50, 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_windows_of_a_mapped_table_scale_batch_by_batch(tmp_path: Path) -> None:
    table = np.cumsum(RNG.normal(size=(3000, 2)), axis=0)
    (file,) = written(tmp_path, table=table)
    mapped = np.load(file, mmap_mode="r")
    options: dict[str, Any] = {"past": 20, "future": 5, "scale": "standard"}
    train, whole = (data.windows(frame, 0, **options).split(2000)[0] for frame in (mapped, table))
    for index in (0, 7):
        assert same(list(train[index]), list(whole[index]))


def test_several_inputs_and_what_does_not_fit(tmp_path: Path) -> None:
    files = written(tmp_path, x=X, y=Y[:40], text=np.array(["a"]))
    (a, b), y = data.ArrayDataset([X, X[:, 0]], Y, batch_size=20)[2]
    assert (a.shape, b.shape, y.shape) == ((10, 6, 2), (10, 2), (10,))
    with pytest.raises(ValueError, match="the same number of rows: x has 50, y has 40"):
        data.ArrayDataset(*files[:2])
    with pytest.raises(TypeError, match="x must hold real numbers, got dtype <U1"):
        data.ArrayDataset(files[2])
    with pytest.raises(ValueError, match=r"x must be an array or the name of a \.npy file, got 'x\.csv'"):
        data.ArrayDataset("x.csv")
    with pytest.raises(FileNotFoundError):
        data.ArrayDataset(tmp_path / "none.npy")
    with pytest.raises(NotImplementedError, match="Dataset must override samples"):
        _ = data.Dataset(3)[0]
    with pytest.raises(IndexError, match="index must be below 2, the number of batches, got 2"):
        _ = data.ArrayDataset(X, batch_size=25)[2]


def parquet(file: Path, rows: int = 16, **columns: Any) -> Path:
    writer = need("pyarrow.parquet")
    writer.write_table(need("pyarrow").table(columns), file, row_group_size=rows)
    return file


def test_parquet_trains_as_arrays_do(tmp_path: Path) -> None:
    columns = {"a": list(X[..., 0]), "b": list(X[..., 1]), "y": Y, "w": WEIGHT}
    files = [
        parquet(tmp_path / f"{k}.parquet", **{name: column[part] for name, column in columns.items()})
        for k, part in enumerate((slice(0, 30), slice(30, 50)))
    ]
    batches = data.ParquetDataset(files, ["a", "b"], "y", "w", batch_size=8)
    expected = trained(X, Y, batch_size=8, sample_weight=WEIGHT, shuffle=False)
    assert same(trained(batches, shuffle=False), expected)
    assert batches.rows == 50
    numbers = [batches.shuffled(np.random.default_rng(seed))._order for seed in (0, 1)]
    assert not np.array_equal(*numbers)
    for order in numbers:
        assert np.array_equal(np.sort(order), np.arange(50))
        group = np.searchsorted([16, 30, 46], order, side="right")
        assert np.count_nonzero(np.diff(group)) == 3  # one row group after the other
        assert (np.diff(order)[np.diff(group) == 0] != 1).any()


def test_parquet_with_sequences_of_different_lengths(tmp_path: Path) -> None:
    rows = [row[:length] for row, length in zip(X, LENGTHS, strict=True)]
    file = parquet(tmp_path / "r.parquet", a=[row[:, 0] for row in rows], b=[row[:, 1] for row in rows], y=Y)
    batches = data.ParquetDataset(file, ["a", "b"], "y", batch_size=8)
    assert same(trained(batches, shuffle=False), trained(rows, Y, batch_size=8, shuffle=False))
    assert np.array_equal(
        model().predict(data.ParquetDataset(file, ["a", "b"]), verbose=0), model().predict(rows, verbose=0)
    )


def test_parquet_of_plain_columns_and_what_does_not_fit(tmp_path: Path) -> None:
    file = parquet(tmp_path / "p.parquet", a=np.arange(40), b=np.arange(40.0) / 2, t=["x"] * 40, n=[None] + [1.0] * 39)
    x, y = data.ParquetDataset(file, ["a", "b"], ["b"], batch_size=10)[3]
    assert np.array_equal(x, np.stack([np.arange(30, 40), np.arange(30, 40) / 2], axis=1))
    assert np.array_equal(y[:, 0], x[:, 1])
    assert x.dtype == np.float32
    with pytest.raises(ValueError, match=r"y in '.*p\.parquet': unknown column 'c'; known names: a, b, n, t"):
        data.ParquetDataset(file, ["a"], "c")
    with pytest.raises((TypeError, ValueError), match="column 't' must hold"):
        _ = data.ParquetDataset(file, ["t"])[0]
    with pytest.raises(ValueError, match="column 'n' must have a value in each row, got 1 missing"):
        _ = data.ParquetDataset(file, ["n"])[0]


def test_files_without_numbers_are_named(tmp_path: Path) -> None:
    for content in (b"text", b""):
        (tmp_path / "x.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"x must be a \.npy file of numbers, '.*x\.npy' is none"):
            data.ArrayDataset(tmp_path / "x.npy")


def test_columns_of_parquet_files_that_do_not_fit(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "a": [1.0, 2.0],
        "long": [[1.0], [1.0, 2.0]],
        "holes": [[1.0, None], [2.0, 3.0]],
        "day": np.array(["2025-01-01", "2025-01-02"], "datetime64[ms]"),
        "price": pyarrow.array([1, 2], pyarrow.decimal128(5, 2)),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")

    def first(*names: Any, **options: Any) -> Any:
        return data.ParquetDataset(tmp_path / "t.parquet", *names, **options)[0]

    assert first("price")[0].tolist() == [1, 2]
    cases: list[tuple[tuple[Any, ...], type[Exception], str]] = [
        (("holes",), ValueError, "'holes' must have a number in each place of its lists, got 1 missing"),
        (("day",), TypeError, r"'day' must hold numbers or lists of numbers, got timestamp\[ms\]"),
        ((["a", "long"],), ValueError, r"columns \['a', 'long'\] must all have numbers, or lists of the same length"),
        (("a", "long"), ValueError, "y must have lists of one length in a batch, got 1 to 2 in 'long'"),
        ((3,), TypeError, "x must be the name of a column, or a list of names, got 3"),
        (([],), TypeError, r"x must be the name of a column, or a list of names, got \[\]"),
    ]
    for names, error, message in cases:
        with pytest.raises(error, match=message):
            first(*names)
    with pytest.raises(TypeError, match="dtype must be one of numbers, got datetime64"):
        first("a", dtype="datetime64[D]")
