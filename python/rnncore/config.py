"""The precision that models have unless `compile` is told another one, by the names of `keras.config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore import _validation as check
from rnncore._namespace import public
from rnncore.policies import POLICIES, Policy

__all__ = ["dtype_policy", "floatx", "set_dtype_policy", "set_floatx"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

_FLOATS = {name: name for name, policy in POLICIES.items() if policy.dtype.name == name}

_floatx = "float32"
_policy: Policy | None = None  # None until one is set: then it is that of `_floatx`


def set_dtype_policy(policy: str) -> None:
    """Set the global dtype policy: that of models compiled without a `dtype_policy` of their own.

    It is read when weights are made and when `compile` is called; set it before the model is described. Models that
    are compiled already, and models loaded from files, keep theirs. It holds for all threads, until
    `utils.clear_session`.

    Parameters
    ----------
    policy : {"float32", "float64", "mixed_bfloat16"}
        As `models.Model.compile` describes them.

    Raises
    ------
    TypeError, ValueError
        If `policy` is not one of these names; the setting is unchanged then.

    Examples
    --------
    >>> from rnncore import config, layers, models, utils
    >>> config.set_dtype_policy("mixed_bfloat16")
    >>> model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4)])
    >>> model.compile("adam", "mse")
    >>> model.dtype_policy
    'mixed_bfloat16'
    >>> utils.clear_session()  # forgets the policy
    >>> config.dtype_policy()
    'float32'
    """
    global _policy
    _policy = check.lookup("policy", policy, POLICIES)


def dtype_policy() -> str:
    """Return the global dtype policy.

    Returns
    -------
    str
        The name last given to `set_dtype_policy`, else `floatx()`.

    Examples
    --------
    >>> from rnncore import config
    >>> config.dtype_policy()
    'float32'
    """
    return current_policy().name


def set_floatx(value: str) -> None:
    """Set the default dtype: that of initializers called by hand, and of models where no dtype policy is set.

    Parameters
    ----------
    value : {"float32", "float64"}

    Raises
    ------
    TypeError, ValueError
        If `value` is not one of these names; the setting is unchanged then.

    Notes
    -----
    A policy given to `set_dtype_policy` stays, as in Keras. In Keras the policy stays also once a layer was made;
    here it follows until one is set.

    Examples
    --------
    >>> from rnncore import config, initializers
    >>> before = config.floatx()
    >>> config.set_floatx("float64")
    >>> initializers.Zeros()((2,)).dtype
    dtype('float64')
    >>> config.set_floatx(before)
    """
    global _floatx
    _floatx = check.lookup("value of floatx", value, _FLOATS)


def floatx() -> str:
    """Return the default dtype.

    Returns
    -------
    str
        "float32", unless `set_floatx` changed it.

    Examples
    --------
    >>> from rnncore import config
    >>> config.floatx()
    'float32'
    """
    return _floatx


def current_policy() -> Policy:
    """What the global dtype policy stands for."""
    return POLICIES[_floatx] if _policy is None else _policy


def forget_policy() -> None:
    """Let the global dtype policy be that of `floatx` again."""
    global _policy
    _policy = None
