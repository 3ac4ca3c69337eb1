"""What the versions of Keras call things, and what they mean by them."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rnncore import activations, constraints, initializers, layers, regularizers
from rnncore.layers.buildable import Buildable
from rnncore.layers.reads_sequences import ReadsSequences

__all__ = ["CLASSES", "DROPPED", "Version", "accepted", "modern", "plain", "renamed"]

Version = tuple[int, ...]
Config = dict[str, Any]

# Other names of classes; what is in neither table nor rnncore.layers has no equal.
CLASSES: Mapping[str, str] = {
    "AtrousConvolution1D": "Conv1D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "CuDNNGRU": "GRU",
    "CuDNNLSTM": "LSTM",
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "AvgPool1D": "AveragePooling1D",
    "MaxPool1D": "MaxPooling1D",
    "TimeDistributedDense": "Dense",
}

# Arguments of Keras 1 by the names they have had since; those of a class come first.
OF_KERAS_1: Mapping[str, str] = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "U_constraint": "recurrent_constraint",
    "U_regularizer": "recurrent_regularizer",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "forget_bias_init": "unit_forget_bias",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "output_dim": "units",
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "subsample_length": "strides",
    "subsample": "strides",
    "border_mode": "padding",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "stride": "strides",
    "p": "rate",
    "sigma": "stddev",
    "concat_axis": "axis",
    "gamma_init": "gamma_initializer",
    "beta_init": "beta_initializer",
}
OF_KERAS_1_BY_CLASS: Mapping[str, Mapping[str, str]] = {
    "Embedding": {
        "output_dim": "output_dim",
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
        "dropout": "dropout",
    },
    "UpSampling1D": {"length": "size"},
}
INITIALIZERS_OF_KERAS_1 = {"one": "ones", "zero": "zeros", "normal": "random_normal", "uniform": "random_uniform"}

# Arguments that say how Keras computes or stores, and those that are off with these values.
DROPPED = frozenset(
    [
        "autocast",
        "batch_size",
        "build_config",
        "consume_less",
        "dtype",
        "experimental_autocast",
        "fused",
        "implementation",
        "input_dtype",
        "optional",
        "shared_object_id",
        "use_cudnn",
        "flash_attention",
        "weights",
        "query_shape",
        "key_shape",
        "value_shape",
    ]
)
OFF: tuple[Any, ...] = (None, False, 0, "channels_last", [], {})
NAMES_OF_WEIGHT_RULES = ("_initializer", "_regularizer", "_constraint")


def renamed(name: str, config: Config, version: Version) -> tuple[str, Config]:
    """The class and arguments that an entry of a file means, by the names of today."""
    config = dict(config)
    if version[0] < 2:
        own = OF_KERAS_1_BY_CLASS.get(name, {})
        config = {own.get(key, OF_KERAS_1.get(key, key)): value for key, value in config.items()}
    if name == "Embedding":
        config.pop("input_length", None)
    else:
        config = {key: value for key, value in config.items() if key not in ("input_dim", "input_length")}
    if name == "BatchNormalization" and config.pop("mode", 0) != 0:
        raise ValueError("mode must be 0 of a BatchNormalization, others ended with Keras 1")
    if "unit_forget_bias" in config and not isinstance(config["unit_forget_bias"], bool):
        config["unit_forget_bias"] = config["unit_forget_bias"] in ("one", "ones")
    if name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if name in ("CuDNNLSTM", "CuDNNGRU"):
        config |= {"activation": "tanh", "recurrent_activation": "sigmoid"}
    if name == "CuDNNGRU":
        config["reset_after"] = True
    elif name in ("GRU", "GRUCell"):
        config.setdefault("reset_after", version[0] >= 3)
    if version[0] < 3 and name in ("LSTM", "GRU", "LSTMCell", "GRUCell"):
        config.setdefault("recurrent_activation", "hard_sigmoid")
    if name == "MultiHeadAttention" and config.get("attention_axes") == [1]:
        del config["attention_axes"]
    if name == "ThresholdedReLU":
        config["activation"] = {"class_name": "Threshold", "config": {"threshold": config.pop("theta", 1.0)}}
        name = "Activation"
    elif name == "Identity":
        config["activation"] = "linear"
        name = "Activation"
    return CLASSES.get(name, name), config


def modern(name: str, config: Config, version: Version) -> Config:
    """The config of a class that is not known here, by the names of today, with activations of rnncore."""
    _, config = renamed(name, config, version)
    for key, value in config.items():
        if key.endswith("activation"):
            with contextlib.suppress(TypeError, ValueError):  # one of its own, too
                config[key] = activation(value, version)
    return config


def accepted(cls: type[Buildable], config: Config, version: Version, warn: Callable[[str], None]) -> Config:
    """The arguments of rnncore's class that a config means; ValueError for one that cannot be meant here.

    Rules for weights that are not known here are left out: those of training with a warning, first values
    without, as the weights are in the file.
    """
    known = _arguments(cls)
    found: Config = {}
    for key, value in config.items():
        if key in DROPPED:
            continue
        if key.endswith(NAMES_OF_WEIGHT_RULES):
            rule = _rule(key, plain(value), warn)
            if rule is not None:
                found[key] = rule
        elif key in ("activation", "recurrent_activation"):
            found[key] = activation(value, version)
        elif key in known:
            found[key] = _single(value) if key in _SINGLE else value
        elif value not in OFF and (key, value) != ("groups", 1):
            raise ValueError(f"{key}={value!r} has no equal here")
    return found


_SINGLE = ("pool_size", "strides", "kernel_size", "dilation_rate", "axis", "size")  # lists of one number


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _arguments(cls: type[Buildable]) -> set[str]:
    known = {"name", "trainable", "batch_input_shape", "activity_regularizer", *inspect.signature(cls).parameters}
    return known | ({"zero_output_for_mask"} if issubclass(cls, ReadsSequences) else set()) - {"arguments"}


_RULES: Mapping[str, Callable[[Any], Any]] = {
    "initializer": initializers.get,
    "regularizer": regularizers.get,
    "constraint": constraints.get,
}


def _rule(key: str, value: Any, warn: Callable[[str], None]) -> Any:
    """The initializer, regularizer or constraint of a weight, or None for one that is none or not known."""
    kind = key.rpartition("_")[2]
    if value is None:
        return None
    if kind == "initializer" and isinstance(value, str):
        value = INITIALIZERS_OF_KERAS_1.get(value, value)
    elif isinstance(value, dict) and "class_name" not in value:  # Keras 1
        name = value.get("name")
        value = {
            "class_name": "L1L2"
            if kind == "regularizer" and name in ("L1L2Regularizer", "WeightRegularizer")
            else name,
            "config": {argument: given for argument, given in value.items() if argument != "name"},
        }
    try:
        return _RULES[kind](value)
    except (TypeError, ValueError) as error:
        if kind != "initializer":
            warn(f"its {key} is left out, so that training would lack it: {error}")
        return None


def activation(value: Any, version: Version) -> Any:
    """An activation by name or description; that of Keras before 3 called hard_sigmoid is another one."""
    value = plain(value)
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    if isinstance(value, dict):
        config = value.get("config")
        name, config = renamed(str(value.get("class_name")), config if isinstance(config, dict) else {}, version)
        cls = getattr(layers, name, None) if name in layers.__all__ else None
        if cls is not None:
            config = accepted(cls, config, version, lambda text: None)
            return cls(**config)
        value = {"class_name": name, "config": config}
    if value == "hard_sigmoid" and version[0] < 3:
        return activations.HardSigmoid(alpha=0.2, beta=0.5)
    if value == "relu6":
        return activations.ReLU(max_value=6.0)
    return value


def plain(value: Any) -> Any:
    """A description without what Keras 3 adds: where classes live, and which objects are shared."""
    if isinstance(value, dict):
        if "class_name" in value:
            return {"class_name": value["class_name"], "config": plain(value.get("config"))}
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list) else value
