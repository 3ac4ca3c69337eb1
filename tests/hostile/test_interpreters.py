"""A second interpreter in the process: refused with a sentence, before anything can hang."""

from __future__ import annotations

import pytest
from alone import run_alone

CODE = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    second = interpreters.create("legacy")
    run = lambda code: interpreters.exec(second, code)
else:
    import _xxsubinterpreters as interpreters
    second = interpreters.create(isolated=False)
    run = lambda code: interpreters.run_string(second, code)
"""


PREDICT = "Sequential([rnncore.layers.Input((2,)), rnncore.layers.Dense(1)]).predict([[1.0, 2.0]], verbose=0)"


@pytest.mark.parametrize("use", ["functional", "get_num_threads", "__version__", PREDICT])
def test_a_second_interpreter_is_refused(use: str) -> None:
    code = f"""
import warnings
warnings.simplefilter("ignore")
import rnncore
try:
    rnncore.{use}
except ImportError as error:
    assert "rnncore works in the main interpreter only" in str(error), error
    print("refused", flush=True)
"""
    assert run_alone(f"{CODE}\nrun({code!r})", seconds=30).startswith("refused")


def test_the_main_one_goes_on() -> None:
    code = "import warnings; warnings.simplefilter('ignore'); import rnncore.models"
    run_alone(
        f"""{CODE}
import rnncore.models
try:
    found = run({code!r})
except BaseException as error:
    found = error
assert found is not None
import numpy as np
model = rnncore.models.Sequential([rnncore.layers.Input((3, 2)), rnncore.layers.GRU(4)])
assert model.predict(np.ones((2, 3, 2)), verbose=0).shape == (2, 4)
""",
        seconds=30,
    )
