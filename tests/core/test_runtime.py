"""The build's facts, instruction set levels, threads, and the command line."""

from __future__ import annotations

import numpy as np
import pytest
from alone import run_python

import rnncore
from rnncore import _core
from rnncore.__main__ import main


def test_sequence_sharing_refuses_what_is_no_sequence() -> None:
    with pytest.raises(ValueError, match="cell: expected one of simple_rnn, lstm, gru, gru_reset_before, got 'rnn'"):
        _core.sequence_sharing("rnn", 1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="must be at least 1"):
        _core.sequence_sharing("gru", 1, 0, 1, 1, 1)


def test_config_names_the_build() -> None:
    config = rnncore.show_config(mode="dicts")
    assert config["version"] == rnncore.__version__
    assert config["numpy"] == np.__version__
    assert config["isa"] in config["isa_supported"]
    assert set(config["isa_supported"]) <= set(config["isa_built"])
    assert config["isa_supported"][-1] == config["isa_built"][0]
    assert config["threads"] == rnncore.get_num_threads()


def test_config_prints_what_it_returns(capsys: pytest.CaptureFixture[str]) -> None:
    rnncore.show_config()
    printed = capsys.readouterr().out.splitlines()
    config = rnncore.show_config(mode="dicts")
    assert [line.split()[0] for line in printed] == list(config)
    assert any(config["compiler"] in line for line in printed)


def test_info_command_prints_the_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    assert rnncore.__version__ in capsys.readouterr().out


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match=r"mode 'dict'.*'dicts'"):
        rnncore.show_config(mode="dict")  # type: ignore[call-overload]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_are_set(threads: int) -> None:
    rnncore.set_num_threads(threads)
    assert rnncore.get_num_threads() == threads


@pytest.mark.parametrize(("threads", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_wrong_threads_change_nothing(threads: object, error: type[Exception]) -> None:
    rnncore.set_num_threads(3)
    with pytest.raises(error, match="threads"):
        rnncore.set_num_threads(threads)  # type: ignore[arg-type]
    assert rnncore.get_num_threads() == 3


@pytest.mark.parametrize("variable", ["RNNCORE_NUM_THREADS", "OMP_NUM_THREADS"])
def test_environment_sets_threads(variable: str) -> None:
    done = run_python("import rnncore; print(rnncore.get_num_threads())", **{variable: "5"})
    assert (done.stdout.strip(), done.stderr) == ("5", "")


@pytest.mark.parametrize("level", _core.isa_levels())
def test_environment_sets_the_level(level: str) -> None:
    done = run_python("import rnncore; print(rnncore.show_config(mode='dicts')['isa'])", RNNCORE_ISA=level)
    assert (done.stdout.strip(), done.stderr) == (level, "")


def test_unknown_level_is_an_import_error() -> None:
    done = run_python("import rnncore; rnncore.show_config()", RNNCORE_ISA="pentium")
    assert done.returncode != 0
    assert "ImportError: RNNCORE_ISA must be one of" in done.stderr
    assert "'pentium'" in done.stderr


def test_forked_child_runs_serially() -> None:
    code = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numpy as np, rnncore
from rnncore import functional
rng = np.random.default_rng(0)
x, kernel, recurrent = rng.normal(size=(32, 40, 64)), rng.normal(size=(64, 256)), rng.normal(size=(64, 256)) / 8
before = functional.lstm(x, kernel, recurrent).output
child = os.fork()
if child == 0:
    same = np.array_equal(functional.lstm(x, kernel, recurrent).output, before)
    os._exit(0 if same and rnncore.get_num_threads() == 1 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), rnncore.get_num_threads())
"""
    done = run_python(code, RNNCORE_NUM_THREADS="2")
    assert (done.stdout.strip(), done.stderr) == ("0 2", "")


def test_import_is_light() -> None:
    code = """
import sys
import numpy
before = set(sys.modules)
import rnncore
print(*sorted(name.partition(".")[0] for name in set(sys.modules) - before))
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert {"matplotlib", "torch", "scipy", "sklearn", "unittest"}.isdisjoint(done.stdout.split())
