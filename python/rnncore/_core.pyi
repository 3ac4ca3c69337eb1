"""The compiled core: build facts, threads, recurrent functions and the executor of a Program."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar, final

import numpy as np
import numpy.typing as npt

from ._sequence_arguments import SequenceGradients, SequenceResult
from .program import Program, Training

_Float = TypeVar("_Float", np.float32, np.float64)
_Function = TypeVar("_Function", bound=Callable[..., Any])

def build_info() -> dict[str, Any]: ...
def isa_levels() -> list[str]: ...
def isa() -> str: ...
def set_isa(level: str) -> None: ...
def sequence_sharing(cell: str, rows: int, steps: int, inputs: int, units: int, threads: int) -> dict[str, Any]: ...
def get_num_threads() -> int: ...
def release_memory() -> None: ...
def set_num_threads(threads: int, always: bool = False) -> None: ...
def exp(x: npt.NDArray[_Float]) -> npt.NDArray[_Float]: ...
def sigmoid(x: npt.NDArray[_Float]) -> npt.NDArray[_Float]: ...
def tanh(x: npt.NDArray[_Float]) -> npt.NDArray[_Float]: ...

@final
class Tape:
    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def states(self) -> int: ...
    def backward(self, doutput: Any, dstate: Any, /) -> SequenceGradients | None: ...

def sequence(
    cell: int,
    activation: str,
    recurrent_activation: str,
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    state: Any,
    lengths: Any,
    reverse: Any,
    training: Any,
    /,
) -> SequenceResult | None: ...
def direct(function: _Function) -> _Function: ...

class Pass: ...

class Executor:
    backend: ClassVar[str]
    last_pass: Pass | None
    @property
    def isa(self) -> str: ...
    @property
    def arena_bytes(self) -> int: ...
    def __init__(self, program: Program, parameters: npt.NDArray[Any], gradients: npt.NDArray[Any]) -> None: ...
    def forward(
        self,
        inputs: Sequence[npt.NDArray[Any]],
        lengths: npt.NDArray[np.int32] | None = None,
        *,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
        states: npt.NDArray[Any] | None = None,
        resume: bool = True,
        masks: bool = False,
    ) -> list[Any]: ...
    def backward(self, output_gradients: Sequence[npt.NDArray[Any] | None]) -> list[npt.NDArray[Any] | None]: ...
    def configure(self, training: Training, slots: npt.NDArray[Any]) -> None: ...
    def apply_gradients(self, learning_rate: float, step: int) -> None: ...
    def train(
        self,
        inputs: Sequence[npt.NDArray[Any]],
        targets: Sequence[npt.NDArray[Any]],
        order: npt.NDArray[np.int64],
        *,
        batch_size: int,
        learning_rate: npt.NDArray[np.float64],
        step: int,
        seed: int,
        state: npt.NDArray[np.float64],
        sample_weight: Sequence[npt.NDArray[Any] | None] | None = None,
        lengths: npt.NDArray[np.int32] | None = None,
        on_batch: Callable[[int], bool] | None = None,
        every_batch: bool = False,
        states: npt.NDArray[Any] | None = None,
        resume: bool = True,
    ) -> int: ...
    def test(
        self,
        inputs: Sequence[npt.NDArray[Any]],
        targets: Sequence[npt.NDArray[Any]],
        order: npt.NDArray[np.int64],
        *,
        batch_size: int,
        state: npt.NDArray[np.float64],
        sample_weight: Sequence[npt.NDArray[Any] | None] | None = None,
        lengths: npt.NDArray[np.int32] | None = None,
        on_batch: Callable[[int], bool] | None = None,
        every_batch: bool = False,
        states: npt.NDArray[Any] | None = None,
        resume: bool = True,
    ) -> int: ...
    def predict(
        self,
        inputs: Sequence[npt.NDArray[Any]],
        order: npt.NDArray[np.int64],
        *,
        batch_size: int,
        outputs: Sequence[npt.NDArray[Any]],
        lengths: npt.NDArray[np.int32] | None = None,
        on_batch: Callable[[int], bool] | None = None,
        every_batch: bool = False,
        states: npt.NDArray[Any] | None = None,
        resume: bool = True,
    ) -> int: ...
