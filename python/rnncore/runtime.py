"""The build that is running and the threads it may use."""

from __future__ import annotations

import platform
from typing import Any, Literal, overload

import numpy as np

from rnncore import _core
from rnncore import _validation as check

__all__ = ["get_num_threads", "release_memory", "set_num_threads", "show_config"]


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the version, how the compiled core was built, and what it uses on this machine.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Print the facts, or return them.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: `version`, `python`, `numpy`, `compiler`, `build_type`, `isa` (the
        instruction set level in use), `isa_built` and `isa_supported` (levels in the build, and those of
        them this processor runs, best first), `openmp` (bool) and `threads`.

    Raises
    ------
    ValueError
        If `mode` is unknown.

    Notes
    -----
    Two environment variables, read when rnncore is imported, change what is chosen: `RNNCORE_ISA` names
    the level, `RNNCORE_NUM_THREADS` the number of threads.

    Examples
    --------
    >>> import rnncore
    >>> config = rnncore.show_config(mode="dicts")
    >>> config["isa"] in config["isa_supported"]
    True
    """
    check.lookup("mode", mode, {"stdout": None, "dicts": None})
    build = _core.build_info()
    config: dict[str, Any] = {
        "version": build["version"],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": build["compiler"],
        "build_type": build["build_type"],
        "isa": _core.isa(),
        "isa_built": build["isa_built"],
        "isa_supported": _core.isa_levels(),
        "openmp": build["openmp"],
        "threads": get_num_threads(),
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        print(f"{name:<14} {', '.join(value) if isinstance(value, list) else value}")
    return None


def get_num_threads() -> int:
    """Return the number of threads a call may use.

    Returns
    -------
    int
        `RNNCORE_NUM_THREADS`, else `OMP_NUM_THREADS`, else the processors this process may run on, unless
        `set_num_threads` changed it; fewer where threadpoolctl or others limit OpenMP for this thread. Results do not
        depend on it.

    Examples
    --------
    >>> import rnncore
    >>> rnncore.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def release_memory() -> None:
    """Give memory that rnncore keeps for its next calls back to the system.

    The recurrent functions use the memory of earlier calls again, since fresh memory costs more than the arithmetic of
    a small call: up to 256 MB, of which a later call gives back what nothing asked for in five seconds. This gives back
    all of it, for instance when a program goes on without rnncore. Arrays and models that are in use keep theirs; a
    model gives its own back when it is deleted.

    Examples
    --------
    >>> import rnncore
    >>> rnncore.release_memory()
    """
    _core.release_memory()


def set_num_threads(threads: int) -> None:
    """Set the number of threads a call may use.

    The same model, data and seed give the same bits for any number of threads.

    Parameters
    ----------
    threads : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `threads` is not a whole number of at least 1; the setting is unchanged then.

    Examples
    --------
    >>> import rnncore
    >>> before = rnncore.get_num_threads()
    >>> rnncore.set_num_threads(1)
    >>> rnncore.get_num_threads()
    1
    >>> rnncore.set_num_threads(before)
    """
    _core.set_num_threads(check.positive_int("threads", threads))
