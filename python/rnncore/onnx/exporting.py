"""`export`: a file from a model, node by node of its Program."""

from __future__ import annotations

from typing import Any

from rnncore.models import Model
from rnncore.onnx import writers  # noqa: F401  # fills the table of an Exporter
from rnncore.onnx.exporter import Exporter
from rnncore.onnx.files import package
from rnncore.writing import FilePath, write_whole

__all__ = ["IR_VERSION", "OPSET", "export", "model_proto"]

OPSET, IR_VERSION = 17, 8


def export(model: Model, filepath: FilePath, *, overwrite: bool = True) -> None:
    """Write a model as an ONNX file, for inference: opset 17, float32, recurrent nodes in layout 0.

    Batch and time stay open where the model leaves them open. Inputs and outputs have the model's names and axes.
    Dropout and noise are left out, as they do nothing then. The states of a stateful layer become inputs and outputs.

    Parameters
    ----------
    model : Model or Sequential
    filepath : str or path
    overwrite : bool, default True

    Raises
    ------
    TypeError
        If `model` is none.
    ValueError
        If it is not built, or has a layer that no operator of ONNX stands for: masks, attention, zoneout, projections
        and layer normalization within a step; the message names the layer.
    ImportError
        Without the package onnx.
    FileExistsError
        Unless `overwrite`.

    Examples
    --------
    >>> import os, tempfile
    >>> from rnncore import layers, models
    >>> from rnncore.onnx import export
    >>> model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(model, os.path.join(folder, "model.onnx"))
    ...     os.listdir(folder)
    ['model.onnx']
    """
    content = model_proto(model).SerializeToString()
    write_whole(filepath, lambda file: file.write(content), overwrite=overwrite)


def model_proto(model: Model) -> Any:
    """The ModelProto of a model."""
    from rnncore import __version__

    if not isinstance(model, Model):
        raise TypeError(f"model must be a Model or Sequential, got {type(model).__name__}")
    helper = package().helper
    model._require_built("it is exported")
    engine = model._session.engine(model)
    made = Exporter(engine.program, engine.store.vector, model.output_names)
    graph = helper.make_graph(made.nodes, model.name, made.inputs, made.outputs, made.stored)
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="rnncore",
        producer_version=__version__,
    )
    package().checker.check_model(proto)
    return proto
