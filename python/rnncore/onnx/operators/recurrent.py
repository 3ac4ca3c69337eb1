"""RNN, LSTM and GRU."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore import layers
from rnncore.onnx.attributes import NodeError, Reader
from rnncore.onnx.files import MOST
from rnncore.onnx.folding import uniform
from rnncore.onnx.importing import Importer, Open, operator
from rnncore.onnx.operators.layout import cut
from rnncore.onnx.operators.unrolled import unrolled
from rnncore.onnx.recurrent_nodes import Direction, RecurrentNode, recurrent_node
from rnncore.onnx.sizes import BATCH, Dim, Size
from rnncore.onnx.tensors import Conflict, Group, Tensor, regroup, split

__all__ = ["BeyondLayers"]


class BeyondLayers(NodeError):
    """An option of a recurrent node that no layer has, where steps cannot be written one by one."""


@operator("RNN", "LSTM", "GRU")
def _recurrent(importer: Importer, reader: Reader, inputs: list[Any]) -> list[Any]:
    names = ("W", "R", "B", "P") if reader.op == "LSTM" else ("W", "R", "B")
    places = (1, 2, 3, 7)
    weights = [importer.array(reader, inputs, place, name) for place, name in zip(places, names, strict=False)]
    node = recurrent_node(reader, weights)
    x = importer.tensor(reader, inputs, 0, "X")
    time, batch = (1, 0) if node.layout else (0, 1)
    if x.rank != 3:
        reader.fail(f"X must have three axes, got {x.rank}")
    if x.axes[batch] not in ((0,), ()) or x.reads_batch(time) or x.reads_batch(2):
        raise Conflict(
            f"axis {batch} of X, of size {x.dims[batch]}, must be the batch; free it with shapes=", x.dims[batch]
        )
    if x.dims[2] != node.directions[0].kernel.shape[1]:
        reader.fail(f"X has {x.dims[2]} features, W is made for {node.directions[0].kernel.shape[1]}")
    _lengths(importer, reader, inputs, x, time)
    states = _initial_states(importer, reader, inputs, node)
    rows, steps = x.axes[batch], x.dims[time]
    value = regroup(x, [x.axes[time], x.axes[2]]).value
    used = [bool(name) and importer.reads(name) for name in reader.node.output]
    used += [False] * (3 - len(used))
    beyond = node.beyond_layers()
    if beyond is None:
        sequence, ends = _run(importer, reader, node, value, states, used)
    else:
        if isinstance(steps, Size) or steps > MOST or importer.lengths is not None:
            reason = "rows of several lengths" if importer.lengths is not None else "any number of steps"
            raise BeyondLayers(
                reader.reason(
                    f"{beyond} is no option of a layer for {reason}; fix the number of steps with shapes=, or run the"
                    " graph with rnncore.onnx.Backend"
                )
            )
        sequence, ends = unrolled(importer, node, importer.layer_name(reader), value, states, steps)
    y = None if sequence is None else _shaped(sequence, node, rows, steps)
    return [y, *(_state(end, node, rows) for end in ends)]


def _lengths(importer: Importer, reader: Reader, inputs: list[Any], x: Tensor, time: int) -> None:
    """Let the lengths of the model's rows be what the node is given."""
    given = inputs[4] if len(inputs) > 4 else None
    if given is None:
        return
    if isinstance(given, np.ndarray):
        size = uniform(given)
        whole = x.dims[time]
        if size is not None and (size.same(whole) if isinstance(size, Size) else size == whole):
            return
        reader.fail("sequence_lens that are part of the graph are not supported; make them an input of it")
    if not isinstance(given, Open):
        reader.fail("sequence_lens must be an input of the graph, got what the graph computes")
    importer.use_lengths(reader, given, x, time)


def _initial_states(importer: Importer, reader: Reader, inputs: list[Any], node: RecurrentNode) -> list[Any]:
    """The initial states of each direction, or nothing for zeros."""
    given = [inputs[k] if k < len(inputs) else None for k in (5, 6)[: node.cell.states]]
    zero = [value is None or (isinstance(value, np.ndarray) and not value.any()) for value in given]
    if all(zero):
        return []
    if all(value is None or isinstance(value, np.ndarray) for value in given):
        _keep_initial_states(reader, given, node)
        return []
    made: list[list[Any]] = [[] for _ in node.directions]
    for value in given:
        if value is None:
            value = np.zeros((len(node.directions), 1, node.units), np.float32)
            value = value.transpose(1, 0, 2) if node.layout else value
        state = importer.tensor(reader, [value], 0, "initial state")
        batch, direction = (0, 1) if node.layout else (1, 0)
        if state.rank != 3 or state.dims[2] != node.units:
            reader.fail(f"an initial state has shape {list(state.dims)}, its last size must be {node.units}")
        if state.axes[batch] not in ((0,), ()):
            dims = state.dims
            raise Conflict(f"an initial state has shape {list(dims)}, axis {batch} must be the batch", dims[batch])
        if state.dims[direction] != len(node.directions):
            reader.fail(f"an initial state is for {state.dims[direction]} directions of {len(node.directions)}")
        for place, states in enumerate(made):
            part = cut(state, direction, place)
            states.append(regroup(part, [part.axes[1]]).value)
    return [value for states in made for value in states]


def _keep_initial_states(reader: Reader, given: list[Any], node: RecurrentNode) -> None:
    """Let initial states that are part of the graph be weights of the layer."""
    shape = (1, len(node.directions), node.units) if node.layout else (len(node.directions), 1, node.units)
    for value in given:
        array = np.zeros(shape, np.float32) if value is None else value
        if array.shape != shape:
            reader.fail(f"an initial state must have shape {shape}, the same for all samples, got {array.shape}")
        for direction, row in zip(node.directions, array.reshape(-1, 1, node.units), strict=True):
            direction.initial.append(row)


def _layer(importer: Importer, node: RecurrentNode, direction: Direction, name: str, returns: tuple[bool, bool]) -> Any:
    kind = getattr(layers, node.cell.layer)
    return kind(
        **node.arguments(direction),
        return_sequences=returns[0],
        return_state=returns[1],
        go_backwards=direction.backward,
        zero_output_for_mask=importer.lengths is not None,
        name=name,
    )


def _run(
    importer: Importer, reader: Reader, node: RecurrentNode, x: Any, states: list[Any], used: list[bool]
) -> tuple[Any, list[Any]]:
    """The sequence (N, T, D·H), in the order of time, and the last states (N, D·H): h, and c of an LSTM."""
    name = importer.layer_name(reader)
    sequences, count = used[0], node.cell.states
    returns = (sequences, used[2] or (sequences and used[1]))  # without either, the output is the last h
    layer: Any
    if len(node.directions) == 1:
        layer = _layer(importer, node, node.directions[0], name, returns)
    else:
        names = (f"forward_{name}", f"backward_{name}")
        both = [_layer(importer, node, way, of, returns) for way, of in zip(node.directions, names, strict=True)]
        layer = layers.Bidirectional(both[0], backward_layer=both[1], name=name)
    made = layer(x, initial_state=states or None)
    importer.keep(layer, [array for direction in node.directions for array in node.weights(direction)])
    output, *ends = made if isinstance(made, list) else [made]
    if len(node.directions) > 1 and ends:
        ends = [layers.Concatenate()([ends[k], ends[count + k]]) for k in range(count)]
    if not sequences:
        return None, ends or [output]
    return (_in_order(output, node.directions[0]) if len(node.directions) == 1 else output), ends


def _in_order(sequence: Any, direction: Direction) -> Any:
    """The sequence of a layer in the order of time."""
    return sequence[:, ::-1] if direction.backward else sequence


def _shaped(value: Any, node: RecurrentNode, rows: Group, steps: Dim) -> Tensor:
    """The sequence as (T, D, N, H), or in layout 1 (N, T, D, H)."""
    count = len(node.directions)
    made = Tensor(value, (rows, (1,), (2,)), (BATCH, steps, count * node.units))
    made = split(made, 2, (count, node.units)) if count > 1 else made
    way, units = ((2,), (3,)) if count > 1 else ((), (2,))
    axes = (rows, (1,), way, units) if node.layout else ((1,), way, rows, units)
    return Tensor(made.value, axes, made.sizes)


def _state(value: Any, node: RecurrentNode, rows: Group) -> Tensor:
    """A last state as (D, N, H), or in layout 1 (N, D, H)."""
    count = len(node.directions)
    made = Tensor(value, (rows, (1,)), (BATCH, count * node.units))
    made = split(made, 1, (count, node.units)) if count > 1 else made
    way, units = ((1,), (2,)) if count > 1 else ((), (1,))
    return Tensor(made.value, (rows, way, units) if node.layout else (way, rows, units), made.sizes)
