"""Training on several processes: as on one, together in what is decided and in what fails, and again after a death."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerance import assert_close

import rnncore

pytest.importorskip("mpi4py", reason="mpi4py is not installed")
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
if MPIEXEC is None:
    pytest.skip("there is no mpiexec", allow_module_level=True)

import parallel_cases  # noqa: E402
import parallel_failures  # noqa: E402

HELPERS = Path(parallel_cases.__file__).parent
PLACES = [str(Path(rnncore.__file__).parents[1]), str(HELPERS)]
# For Open MPI, which else wants a processor for each rank, and no administrator.
OPEN_MPI = {"ALLOW_RUN_AS_ROOT": "1", "ALLOW_RUN_AS_ROOT_CONFIRM": "1", "MCA_rmaps_base_oversubscribe": "1"}


def run(ranks: int, program: str | Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of the helpers on so many ranks."""
    environment = {**os.environ, **{f"OMPI_{name}": value for name, value in OPEN_MPI.items()}}
    environment["PYTHONPATH"] = os.pathsep.join(PLACES)
    command = [str(MPIEXEC), "-n", str(ranks), sys.executable, str(HELPERS / program), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def trained(ranks: int, file: Path) -> dict[str, Any]:
    done = run(ranks, "parallel_cases.py", file, *parallel_cases.CASES)
    assert done.returncode == 0, done.stderr
    with np.load(file) as found:
        return dict(found)


@pytest.fixture(scope="module")
def on_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """The results of all cases on two and on three ranks, which the program compares with each other."""
    folder = tmp_path_factory.mktemp("ranks")
    return {ranks: trained(ranks, folder / f"{ranks}.npz") for ranks in (2, 3)}


@pytest.mark.parametrize("name", parallel_cases.CASES)
def test_as_on_one_process(name: str, on_ranks: dict[int, dict[str, Any]]) -> None:
    """Weights and logs differ by rounding: 2e-5 of the largest number in float32, 1e-11 in float64."""
    rnncore.utils.set_random_seed(1)
    expected = parallel_cases.results(name, lambda model, *arguments, **options: model.fit(*arguments, **options))
    assert len(expected) > 3
    for found in on_ranks.values():
        for key, value in expected.items():
            precision = found[key].dtype if name != "float32" else np.dtype(np.float32)
            assert_close(found[key].astype(precision), value.astype(precision))


def test_the_same_bits_each_time(on_ranks: dict[int, dict[str, Any]], tmp_path: Path) -> None:
    again = trained(2, tmp_path / "again.npz")
    assert again.keys() == on_ranks[2].keys()
    for key, value in again.items():
        np.testing.assert_array_equal(value, on_ranks[2][key])


ON_ALL = {
    "other_rows": "ValueError: the shape of x must be the same on all ranks, got (22, 6, 3) on rank 0 and (20, 6, 3)"
    " on rank 1",
    "other_features": "ValueError: the shape of x must be the same on all ranks, got (1, 1, 3) on rank 0 and (1, 1, 4)"
    " on rank 1",
    "other_epochs": "ValueError: epochs must be the same on all ranks, got 1 on rank 0 and 2 on rank 1",
    "other_model": "ValueError: the model and its optimizer (as a checksum) must be the same on all ranks, got",
    "callbacks_of_one": "ValueError: callbacks must be the same on all ranks, got ['EarlyStopping'] on rank 0 and [] on"
    " rank 1",
    "compression_of_one": "ValueError: compression must be the same on all ranks, got bfloat16 on rank 0 and None on"
    " rank 1",
    "parts_of_the_data": "ValueError: x must have the same rows on all ranks, the whole data, got other ones on rank 1"
    " than on rank 0; see",
    "parts_of_the_answers": "ValueError: y must have the same rows on all ranks",
    "other_validation_data": "ValueError: x must have the same rows on all ranks",
    "weights_apart": "RuntimeError: the weights of rank 1 are not those of rank 0 after epoch 0",
    "stateful": "ValueError: distributed.fit takes no model with stateful layers",
    "iterable": "ValueError: distributed.fit needs arrays, got an iterable of batches",
    "rounded_float64": "ValueError: compression needs a model in float32, got float64",
    "failing_everywhere": "LookupError: nothing here",
    "no_communicator": "TypeError: comm must be a communicator of mpi4py, got str",
    "nothing_wrong": "",
    "augmentation_of_its_own": "",
    "ranks_of_their_own": "",
}
ON_ONE = {
    "bad_labels": (1, "ValueError: y must lie in [0, 2], got 3"),
    "failing_step": (1, "ZeroDivisionError: no loss here"),
    "failing_callback": (1, "LookupError: nothing there"),
    "no_callback": (1, "TypeError: callbacks must be a Callback or a list of them, got str"),
    "full_disk": (0, "OSError: [Errno 27] File too large"),
}


def test_what_fails_fails_on_all_ranks(tmp_path: Path) -> None:
    """One after the other in the same processes, so that no failure may leave anything behind."""
    done = run(2, "parallel_failures.py", tmp_path, *ON_ALL, *ON_ONE, "interrupted_callback", "nothing_wrong")
    assert done.returncode == 0, done.stderr
    ends = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for name, expected in ON_ALL.items():
        for end in ends:
            assert end[name].startswith(expected), end[name]
            assert bool(end[name]) == bool(expected), end[name]
    for name, (rank, expected) in ON_ONE.items():
        assert ends[rank][name] == expected
        assert ends[1 - rank][name] == f"RuntimeError: rank {rank} failed with {expected}"
    assert [end["interrupted_callback"] for end in ends] == [
        "RuntimeError: rank 1 failed with KeyboardInterrupt",
        "InterruptedError: ",
    ]
    assert sorted(os.listdir(tmp_path)) == ["0.json", "1.json", "checkpoint.rnn"]


def test_an_error_of_one_rank_alone_ends_all(tmp_path: Path) -> None:
    begin = time.monotonic()
    done = run(2, "parallel_failures.py", tmp_path, "interrupted")
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    assert "rank 1 of 2 ends all ranks because of this error" in done.stderr
    assert time.monotonic() - begin < 30
    assert os.listdir(tmp_path) == []


def test_after_a_death_training_goes_on_from_the_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = time.monotonic()
    assert run(2, "parallel_failures.py", tmp_path, "killed").returncode != 0
    assert time.monotonic() - begin < 30  # of which a few seconds for the death
    assert os.listdir(tmp_path) == ["backup"]
    assert len(os.listdir(tmp_path / "backup")) in (1, 2)  # rank 0 may end while a new one takes the place of the old
    done = run(2, "parallel_failures.py", tmp_path, "going_on")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "0.json").read_text()) == {"going_on": ""}
    monkeypatch.setattr(parallel_failures, "fit", partial(one_process, epochs=6))
    whole, _ = parallel_failures.train_with_backup(0, tmp_path / "other", False)
    with np.load(tmp_path / "weights.npz") as found:
        assert found["epochs"][0] in (3, 4)  # rank 0 may have kept the fourth epoch before the death was known
        assert found["epochs"][-1] == 5
        for number, weight in enumerate(whole.get_weights()):
            assert_close(found[f"arr_{number}"], weight)


def one_process(model: Any, *, epochs: int, **options: Any) -> Any:
    return model.fit(parallel_cases.X, parallel_cases.Y, 7, epochs, 0, **options)


def test_example(tmp_path: Path) -> None:
    program = Path(__file__).parents[2] / "examples" / "several_processes.py"
    done = run(2, program, "--quick", "--verbose=0", f"--output={tmp_path}")
    assert done.returncode == 0, done.stderr
    found = re.search(r"2 processes, \d+ epochs: mean squared error (\S+)\n", done.stdout)
    assert float(found[1]) < 0.02
