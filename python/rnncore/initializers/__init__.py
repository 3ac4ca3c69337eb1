"""First values of weights, drawn over the whole (fused) matrix as Keras draws them.

An initializer is called with a shape and gives an array. Two calls of one object give the same
numbers: its seed is fixed when it is made, from `seed` or from `rnncore.utils.set_random_seed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnncore import _configurable
from rnncore._namespace import public
from rnncore.initializers.base import Initializer
from rnncore.initializers.constant import Constant, Identity, Ones, Zeros
from rnncore.initializers.distributions import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from rnncore.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

# Other names, as in Keras.
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, variance_scaling = LecunNormal, LecunUniform, VarianceScaling
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
identity = IdentityInitializer = Identity
orthogonal = OrthogonalInitializer = Orthogonal
ones, zeros = Ones, Zeros

# All that names an initializer.
Identifier = str | dict[str, Any] | type[Initializer] | Initializer


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Describe an initializer as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.serialize(initializers.Constant(0.5))
    {'class_name': 'Constant', 'config': {'value': 0.5}}
    """
    return _configurable.serialize(initializer)


def deserialize(config: dict[str, Any]) -> Initializer:
    """Make an initializer from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.deserialize({"class_name": "Constant", "config": {"value": 0.5}})
    Constant(value=0.5)
    """
    return get(config)


def get(identifier: Identifier) -> Initializer:
    """Find an initializer by name (`"glorot_uniform"` or `"GlorotUniform"`), description or class.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.get("he_normal")
    HeNormal(seed=None)
    """
    return _configurable.find(Initializer, identifier)
