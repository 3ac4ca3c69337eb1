"""What users may rely on, as text: a line for each public function, class and member, and for each name that is found.

`python tests/helpers/public_api.py > tests/golden/public_api.txt` writes the file that the test compares with, and
`python tests/helpers/public_api.py torch > tests/golden/public_api_torch.txt` that of what needs PyTorch, and so on.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from rnncore import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers

MODULES = [
    "rnncore",
    "rnncore.activations",
    "rnncore.augmentation",
    "rnncore.callbacks",
    "rnncore.config",
    "rnncore.constraints",
    "rnncore.data",
    "rnncore.datasets",
    "rnncore.decoding",
    "rnncore.distributed",
    "rnncore.functional",
    "rnncore.initializers",
    "rnncore.inspection",
    "rnncore.keras",
    "rnncore.layers",
    "rnncore.losses",
    "rnncore.metrics",
    "rnncore.mixed_precision",
    "rnncore.models",
    "rnncore.optimizers",
    "rnncore.optimizers.schedules",
    "rnncore.plotting",
    "rnncore.reference",
    "rnncore.regularizers",
    "rnncore.runtime",
    "rnncore.utils",
]

# What needs another package: that package, and the modules.
EXTRAS = {"onnx": ["rnncore.onnx"], "sklearn": ["rnncore.sklearn"], "torch": ["rnncore.torch"]}

KINDS: dict[str, Any] = {  # what finds objects by names
    "constraints": constraints.Constraint,
    "initializers": initializers.Initializer,
    "layers": layers.Layer,
    "losses": losses.Loss,
    "metrics": metrics.Metric,
    "optimizers": optimizers.Optimizer,
    "optimizers.schedules": optimizers.schedules.LearningRateSchedule,
    "regularizers": regularizers.Regularizer,
}


def signature(function: Any) -> str:
    """Names, kinds and defaults of the parameters, without annotations."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return "(?)"
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in found.parameters.values()]
    return str(inspect.Signature(parameters))


def members(cls: type) -> dict[str, str]:
    """The public members of a class, with the signatures of those that are called."""
    names = [name for name in dir(cls) if not name.startswith("_") or name in ("__call__", "__getitem__", "__len__")]
    statics = {name: inspect.getattr_static(cls, name) for name in names}
    callables = (staticmethod, classmethod)
    return {
        name: signature(getattr(cls, name)) if callable(value) or isinstance(value, callables) else ""
        for name, value in statics.items()
    }


def lines(extra: str = "") -> Iterator[str]:
    """A class lists what differs from its nearest public base, and from the bases that the other package has."""
    listed: dict[Any, str] = {}
    for module in EXTRAS[extra] if extra else MODULES:
        namespace = importlib.import_module(module)
        for name in sorted(namespace.__all__):
            value, where = getattr(namespace, name), f"{module}.{name}"
            if inspect.ismodule(value) or not callable(value):
                yield where
            elif value in listed:
                yield f"{where} = {listed[value]}"
            else:
                listed[value] = where
                yield where + signature(value)
    for cls, where in listed.items():
        if isinstance(cls, type) and cls.__module__.startswith("rnncore"):
            theirs = [base for base in cls.__mro__ if extra and base.__module__.split(".")[0] == extra]
            public = [base for base in cls.__mro__[1:] if base in listed or base in theirs]
            base = next((base for base in public if isinstance(base, type)), object)
            inherited = {name: text for kin in (*theirs[::-1], base) for name, text in members(kin).items()}
            for name, text in sorted(members(cls).items()):
                if inherited.get(name) != text:
                    yield f"{where}.{name}{text}"
    if extra:
        return
    for module, base in KINDS.items():
        for name, found in sorted(base._registry.items()):
            if vars(importlib.import_module(found.__module__)).get(found.__name__) is not found:
                continue  # a class that an example of a docstring has made
            yield f"rnncore.{module} finds {name} = {found.__name__}"
    for name in sorted(activations.functions.__all__):
        yield f"rnncore.activations finds {name} = {activations.serialize(name)}"


if __name__ == "__main__":
    print("\n".join(lines(*sys.argv[1:])))
