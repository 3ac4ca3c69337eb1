"""Names that Keras has and rnncore has not, each with what to do instead.

`docs/from_keras.md` says the same for readers. A name that is in none of these tables meets the nearest known ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

__all__ = ["LAYER", "METRIC", "MODEL", "MODULES", "OPTIMIZER", "SYMBOLIC", "PointsElsewhere"]


def _for(names: str, advice: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), advice)


_CODE = "Python code in a layer is NumPy code: see Lambda, and Layer for classes of your own"
_PLANES = "layers of images and volumes are not there, only those of sequences: see Conv1D and the 1D poolings"
_IMAGES = "augmentation of images is not there; for sequences see rnncore.augmentation"
_WORDS = "use StringLookup or TextVectorization, or number things yourself"
_NORMS = "use LayerNormalization, UnitNormalization or BatchNormalization"
_LOSSES = "not there; a loss may be a function that returns its value and gradient: see Model.compile"
_METRICS = "not there; a metric may be a function of NumPy arrays: see metrics.MeanMetricWrapper"
_UPDATES = "not there; use Adam, AdamW, Lion or another one of rnncore.optimizers"
_OBJECTS = "your own classes are given to load_model(custom_objects=...)"
_SWITCH = "there is nothing to switch here; leave it out"

MODULES: Mapping[str, Mapping[str, str]] = {
    "rnncore": {
        **_for("ops random backend Variable Operation Function StatelessScope", "computing by hand is NumPy's part"),
        **_for("applications distillation quantizers legacy", "models that are trained already are not there"),
        **_for(
            "distribution device DTypePolicy dtype_policies", "there are no devices; see rnncore.config for precision"
        ),
        **_for("preprocessing", "use utils.pad_sequences and utils.timeseries_dataset_from_array"),
        **_for("export", "use Model.save and models.load_model"),
        **_for("tree wrappers visualization InputSpec KerasTensor Quantizer", "not there; leave it out"),
        "version": "it is rnncore.__version__",
    },
    "rnncore.layers": {
        **_for("JaxLayer FlaxLayer TFSMLayer TorchModuleWrapper Wrapper InputSpec Pipeline", _CODE),
        **_for(
            "Conv2D Conv3D Convolution2D Convolution3D Conv2DTranspose Conv3DTranspose MaxPooling2D MaxPooling3D"
            " MaxPool2D MaxPool3D AveragePooling2D AveragePooling3D AvgPool2D AvgPool3D GlobalMaxPooling2D"
            " GlobalMaxPooling3D GlobalMaxPool2D GlobalMaxPool3D GlobalAveragePooling2D GlobalAveragePooling3D"
            " GlobalAvgPool2D GlobalAvgPool3D SeparableConv2D DepthwiseConv2D SpatialDropout2D SpatialDropout3D"
            " Cropping2D Cropping3D ZeroPadding2D ZeroPadding3D UpSampling2D UpSampling3D ConvLSTM2D ConvLSTM3D",
            _PLANES,
        ),
        **_for("ConvLSTM1D", "not there; use Conv1D before an LSTM"),
        **_for("DepthwiseConv1D Conv1DTranspose", "not there; use Conv1D or SeparableConv1D"),
        **_for(
            "AdaptiveMaxPooling1D AdaptiveAveragePooling1D", "use MaxPooling1D, AveragePooling1D or the global ones"
        ),
        **_for("RandomFlip RandomCrop RandomRotation RandomZoom RandomContrast Resizing CenterCrop", _IMAGES),
        **_for("IntegerLookup Hashing CategoryEncoding Discretization", _WORDS),
        **_for("RMSNormalization SpectralNormalization", _NORMS),
        "EinsumDense": "use Dense",
        "Identity": "leave it out",
        "GroupQueryAttention": "use MultiHeadAttention",
    },
    "rnncore.losses": _for(
        "Dice dice Tversky tversky Circle circle CategoricalGeneralizedCrossEntropy Reduction", _LOSSES
    ),
    "rnncore.metrics": _for(
        "IoU MeanIoU BinaryIoU OneHotIoU OneHotMeanIoU PearsonCorrelation pearson_correlation ConcordanceCorrelation"
        " concordance_correlation",
        _METRICS,
    ),
    "rnncore.optimizers": {
        **_for("Adafactor Ftrl Lamb Muon ScheduleFreeAdamW MultiOptimizer OptimizerMap", _UPDATES),
        "LossScaleOptimizer": "float16, which would need it, is not there; use another optimizer",
        "legacy": "the optimizers are in rnncore.optimizers itself",
    },
    "rnncore.utils": {
        **_for("custom_object_scope CustomObjectScope get_custom_objects register_keras_serializable", _OBJECTS),
        **_for("get_registered_name get_registered_object serialize_keras_object deserialize_keras_object", _OBJECTS),
        **_for(
            "image_dataset_from_directory load_img img_to_array array_to_img save_img", "images are NumPy arrays here"
        ),
        **_for("pack_x_y_sample_weight unpack_x_y_sample_weight", "batches are tuples (x, y, sample_weight)"),
        **_for("enable_interactive_logging disable_interactive_logging", _SWITCH),
        "model_to_dot": "use plot_model",
        "Progbar": "give verbose to fit",
        "get_file": "load files yourself; arrays are all a model needs",
        "split_dataset": "slice the arrays, or give validation_split to fit",
        "FeatureSpace": "make arrays of the columns yourself",
    },
    "rnncore.models": {"save_model": "use Model.save, or rnncore.keras.save_model for .keras files"},
    "rnncore.callbacks": {
        "RemoteMonitor": "use CSVLogger, or a LambdaCallback",
        "ProgbarLogger": "give verbose to fit",
        "OrbaxCheckpoint": "use ModelCheckpoint or BackupAndRestore",
        "SwapEMAWeights": "give use_ema to the optimizer; fit ends with the average",
        "CallbackList": "give a list of callbacks to fit",
    },
    "rnncore.config": {
        **_for("backend set_backend", "give backend to compile: 'compiled' or 'reference'"),
        **_for("enable_traceback_filtering disable_traceback_filtering enable_interactive_logging", _SWITCH),
        **_for("disable_interactive_logging enable_flash_attention disable_flash_attention", _SWITCH),
        **_for("image_data_format set_image_data_format", "the last axis holds the channels"),
        **_for("epsilon set_epsilon", "it is 1e-7, and fixed"),
    },
    "rnncore.datasets": _for(
        "imdb reuters mnist fashion_mnist cifar10 cifar100 boston_housing california_housing",
        "only data sets that come with the package are there; load others yourself",
    ),
}

_STEPS = (
    "the steps of training are the engine's; for a loop of your own see Model.forward, backward and apply_gradients"
)
_LOSS = "give a regularizer to a layer, or a function that returns value and gradient as the loss"
_WEIGHTS = "weights are added by subclasses of Layer itself that have a method call"
_QUANTIZED = "give dtype_policy='mixed_bfloat16' to compile for faster products"
_STATE = "weights are in get_weights and set_weights, in Model.save all there is"

LAYER: Mapping[str, str] = {
    **_for("add_weight add_variable", _WEIGHTS),
    **_for("add_loss add_metric", _LOSS),
    **_for(
        "call symbolic_call stateless_call rematerialized_call quantized_call",
        "call the layer itself on symbolic values",
    ),
    **_for("compute_mask compute_output_spec supports_masking input_spec", "masks and shapes follow by themselves"),
    **_for("quantize quantized_build quantization_mode enable_lora", _QUANTIZED),
    **_for("save_own_variables load_own_variables get_build_config build_from_config", _STATE),
    **_for("metrics metrics_variables", "metrics are the model's: see Model.metrics"),
    **_for("autocast compute_dtype variable_dtype", "it has the model's precision: see dtype"),
    "cell": "the layer is its own cell; layers.RNN takes cells",
    "get_initial_state": "states begin as zeros, or as initial_state",
    "path": "use name",
}
MODEL: Mapping[str, str] = {
    **LAYER,
    **_for("train_step test_step predict_step make_train_function make_test_function make_predict_function", _STEPS),
    **_for("train_function test_function predict_function compute_loss compute_metrics stateless_compute_loss", _STEPS),
    **_for(
        "get_metrics_result reset_metrics metrics_variables", "logs and History have the results; each run begins anew"
    ),
    **_for("get_compile_config compile_from_config get_state_tree set_state_tree", _STATE),
    **_for("run_eagerly jit_compile steps_per_execution", "it changes nothing here"),
    "export": "use Model.save",
    "call": "call the model itself on arrays",
    "operations": "use layers",
}
OPTIMIZER: Mapping[str, str] = {
    **_for(
        "apply apply_gradients update_step stateless_apply assign assign_add assign_sub", "use Model.apply_gradients"
    ),
    **_for(
        "variables add_variable add_optimizer_variables save_own_variables load_own_variables",
        "see slots and iterations",
    ),
    "built": "see slots, which are None before the first step",
    "exclude_from_weight_decay": "weight decay is for all weights; give l2 to those layers that need it",
    "scale_loss": "float16, which would need it, is not there",
    "set_weights": "slots can be overwritten in place",
}
METRIC: Mapping[str, str] = {
    **_for("add_weight add_variable variables", "your own metric has state_size, increment and compute"),
    **_for("total count", "see state"),
    **_for("stateless_update_state stateless_result stateless_reset_state", "see increment and compute"),
    "reset_states": "use reset_state",
}
SYMBOLIC: Mapping[str, str] = {
    "reshape": "use layers.Reshape",
    "squeeze": "use layers.Reshape, or an index, as x[..., 0]",
    "numpy": "it has no value before a model computes it: see Model.predict",
}


class PointsElsewhere:
    """Base of objects whose missing attributes say what to use; `_elsewhere` is one of the tables above."""

    _elsewhere: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # for type checkers any attribute would exist then

        def __getattr__(self, name: str) -> Any:
            if any(name in vars(owner) for owner in type(self).__mro__):
                return object.__getattribute__(self, name)  # a property that raised: once more, for its own message
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            advice = type(self)._elsewhere.get(name)
            raise AttributeError(message if advice is None else f"{message}: {advice}")
