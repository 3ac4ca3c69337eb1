"""Which numbers of a file are the weights of which layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rnncore import layers, models
from rnncore._data import Array
from rnncore._naming import snake_case
from rnncore.keras.archive import KerasFile
from rnncore.keras.hdf5 import Node
from rnncore.keras.layouts import Layout, layouts
from rnncore.layers import Layer
from rnncore.layers.bidirectional import Bidirectional
from rnncore.layers.rnn import RNN
from rnncore.parameters import Weight

__all__ = ["Place", "Structure", "places", "read", "slot"]

PROJECTIONS = ("query_dense", "key_dense", "value_dense", "output_dense")


@dataclass
class Structure:
    """What files go by: the layers of a model and their Keras classes; of rnncore's own models these are its own."""

    classes: Mapping[Layer, str] = field(default_factory=dict)
    members: Mapping[Layer, Sequence[Layer]] = field(default_factory=dict)

    def class_of(self, layer: Layer) -> str:
        """The name of the layer's class in Keras."""
        name = self.classes.get(layer, type(layer).__name__)
        return "Functional" if name == "Model" else name

    def layers_of(self, model: models.Model) -> Sequence[Layer]:
        """The layers of a model in the order of Keras."""
        return self.members.get(model, model.layers)


@dataclass
class Place:
    """Where a file has the weights of a layer: datasets of a group, which become these weights."""

    layer: Layer
    weights: list[Weight]
    group: Node
    names: list[str]
    layout: Layout

    def read(self) -> list[Array]:
        """The arrays of the weights."""
        arrays = [self.group.read(name, shape) for name, shape in zip(self.names, self.layout.shapes, strict=True)]
        return self.layout.convert(arrays)


def read(found: Sequence[Place]) -> tuple[list[Weight], list[Array]]:
    """All weights of these places and their arrays."""
    arrays = [place.read() for place in found]
    return [w for place in found for w in place.weights], [array for some in arrays for array in some]


def places(
    file: KerasFile,
    model: models.Model,
    structure: Structure,
    *,
    by_name: bool = False,
    skip: Callable[[str], None] | None = None,
) -> list[Place]:
    """The places of all weights of a model, their shapes compared with the stored ones; ValueError for a misfit.

    Parameters
    ----------
    file : KerasFile
    model : Model
    structure : Structure
    by_name : bool, default False
        Whether layers are found by their names rather than in order; others keep their weights.
    skip : function, optional
        Is told of a layer that does not fit, which then keeps its weights.
    """
    finder = _in_archive if file.is_archive else _by_layers
    found: list[Place] = []
    for layer, place in finder(file, model, structure, by_name):
        try:
            made = place()
        except ValueError as error:
            if skip is None:
                raise
            skip(f"layer {layer.name!r}: {error}")
            continue
        found += made
    return found


Found = tuple[Layer, Callable[[], list[Place]]]


def _fitting(layer: Layer, weights: Sequence[Weight], group: Node, names: Sequence[str], theano: bool) -> Place:
    """The place of a layer's weights, in the layout that the stored shapes are those of."""
    stored = [group.shape(name) for name in names]
    ways = layouts(layer, reversed_kernels=theano)
    for layout in ways:
        if layout.shapes == stored:
            return Place(layer, list(weights), group, list(names), layout)
    hint = ""
    if isinstance(layer, layers.GRU) and layer.use_bias and stored[-1:] == [(3 * layer.units,)]:
        hint = ": that of a GRU with reset_after=False"
    raise ValueError(f"layer {layer.name!r} has weights of shapes {ways[0].shapes}, but the file has {stored}{hint}")


# HDF5 files of all versions: a group for each layer, with a list of names


def _by_layers(file: KerasFile, model: models.Model, structure: Structure, by_name: bool) -> Iterator[Found]:
    weights = file.root.group("model_weights")
    root = file.root if weights is None else weights
    stored = {name: group for name in root.texts("layer_names") if (group := root.group(name)) is not None}
    with_names = {name: group.texts("weight_names") for name, group in stored.items()}
    ours = [layer for layer in structure.layers_of(model) if layer.weights]
    full = [name for name, names in with_names.items() if names]
    if by_name or {layer.name for layer in ours} == set(full):
        pairs = [(layer, layer.name) for layer in ours if layer.name in full]
        if by_name and not pairs:
            raise ValueError(f"no layer of the model has a name of the file: {_few(full)}")
    elif len(ours) == len(full):
        pairs = list(zip(ours, full, strict=True))
    else:
        raise ValueError(
            f"the model has {len(ours)} layers with weights, {_few([layer.name for layer in ours])}, but the file has"
            f" {len(full)}, {_few(full)}: give by_name=True to take those of the same names"
        )
    for layer, name in pairs:
        yield layer, _placer(layer, stored[name], with_names[name], structure, file.theano)


def _placer(
    layer: Layer, group: Node, names: list[str], structure: Structure, theano: bool
) -> Callable[[], list[Place]]:
    def place() -> list[Place]:
        leaves = list(_leaves(layer, structure))
        if len(leaves) == 1 and leaves[0] is layer:
            return [_fitting(layer, layer.weights, group, names, theano)]
        return _of_model(layer, leaves, group, names, theano)

    return place


def _leaves(layer: Layer, structure: Structure) -> Iterator[Layer]:
    """The layers that a model is made of; what is no model is one itself."""
    if isinstance(layer, layers.TimeDistributed) and isinstance(layer.layer, models.Model):
        yield from _leaves(layer.layer, structure)
    elif isinstance(layer, models.Model):
        for part in structure.layers_of(layer):
            yield from _leaves(part, structure)
    elif layer.weights:
        yield layer


def _of_model(layer: Layer, leaves: list[Layer], group: Node, names: list[str], theano: bool) -> list[Place]:
    """The places of a model's layers: of a model Keras stores first what is trained, then all else."""
    leaves = list(dict.fromkeys(leaves))
    stored = [group.shape(name) for name in names]
    for ways in (0, 1, 2):
        order = [(leaf, k) for leaf in leaves for k in range(len(_shapes(leaf, ways)))]
        order = [entry for trained in (True, False) for entry in order if _is_trained(entry, ways) is trained]
        if [_shapes(leaf, ways)[k] for leaf, k in order] == stored:
            of = dict(zip(order, names, strict=True))
            return [
                _fitting(leaf, leaf.weights, group, [of[leaf, k] for k in range(len(_shapes(leaf, ways)))], theano)
                for leaf in leaves
            ]
    shapes = [weight.shape for weight in layer.weights]
    raise ValueError(f"layer {layer.name!r} has weights of shapes {shapes}, but the file has {stored}")


def _shapes(leaf: Layer, way: int) -> list[tuple[int, ...]]:
    """The shapes of a layer's arrays in a layout, today's where it has no such one."""
    ways = layouts(leaf)
    return ways[way if way < len(ways) else 0].shapes


def _is_trained(entry: tuple[Layer, int], way: int) -> bool:
    leaf, number = entry
    same = len(_shapes(leaf, way)) == len(leaf.weights)
    return leaf.weights[number].trainable if same else leaf.trainable


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")


# .keras and .weights.h5: a group for each layer by its class and number, `vars` within it


def slot(layer: Layer, structure: Structure, path: str = "") -> Iterator[tuple[str, Layer, list[Weight]]]:
    """The groups of a layer and of those inside it, with the weights that lie there, in the layout of Keras 3."""
    begin = f"{path}/" if path else ""
    if isinstance(layer, models.Model):
        used: dict[str, int] = {}
        for part in structure.layers_of(layer):
            name = snake_case(structure.class_of(part))
            count = used[name] = used.get(name, -1) + 1
            yield from slot(part, structure, f"{begin}layers/{name}{f'_{count}' if count else ''}")
    elif isinstance(layer, Bidirectional):
        yield from slot(layer.forward_layer, structure, f"{begin}forward_layer")
        yield from slot(layer.backward_layer, structure, f"{begin}backward_layer")
    elif isinstance(layer, layers.TimeDistributed):
        yield from slot(layer.layer, structure, f"{begin}layer")
    elif isinstance(layer, layers.MultiHeadAttention):
        count = len(layer.weights) // len(PROJECTIONS)
        for k, name in enumerate(PROJECTIONS):
            yield f"{begin}{name}/vars", layer, layer.weights[k * count : (k + 1) * count]
    elif isinstance(layer, RNN):
        yield from _of_rnn(layer, f"{begin}cell")
    elif isinstance(layer, (layers.SimpleRNN, layers.LSTM, layers.GRU)):
        yield f"{begin}cell/vars", layer, layer.weights
    else:
        yield f"{begin}vars", layer, layer.weights


def _of_rnn(layer: RNN, path: str) -> Iterator[tuple[str, Layer, list[Weight]]]:
    used: dict[str, int] = {}
    cells = layer._inner
    if len(cells) == 1 and not isinstance(layer.cell, layers.StackedRNNCells):
        yield f"{path}/vars", layer, layer.weights
        return
    for cell in cells:
        name = snake_case(type(cell).__name__)
        count = used[name] = used.get(name, -1) + 1
        yield f"{path}/cells/{name}{f'_{count}' if count else ''}/vars", layer, cell.weights


def _in_archive(file: KerasFile, model: models.Model, structure: Structure, by_name: bool) -> Iterator[Found]:
    if by_name:
        raise ValueError("by_name must be False: files of this kind have no names of layers")
    done: set[Weight] = set()
    for path, layer, weights in slot(model, structure):
        new = [weight for weight in weights if weight not in done]
        done.update(new)
        if new:
            yield layer, _vars(file.root, path, layer, new)


def _vars(root: Node, path: str, layer: Layer, weights: list[Weight]) -> Callable[[], list[Place]]:
    def found() -> list[Place]:
        before_3 = re.sub(r"\b(\w+_dense/vars)$", r"_\1", path)
        without_cell = re.sub(r"\bcell/vars$", "vars", path)  # layers of cuDNN have none
        of_cudnn = re.sub(r"\b(gru|lstm)((_\d+)?/vars)$", r"cu_dnn\1\2", without_cell)
        for place in (path, before_3, without_cell, of_cudnn):
            group = root.group(place)
            names = [] if group is None else sorted(group.names(), key=lambda name: (len(name), name))
            if names:
                break
        if group is None or not names:
            raise ValueError(f"layer {layer.name!r}: the file has no weights at {path!r}")
        if place != path and place != before_3:
            return [_fitting(layer, weights, group, names, False)]
        stored = [group.shape(name) for name in names]
        shapes = [weight.shape for weight in weights]
        if names != [str(k) for k in range(len(weights))] or stored != shapes:
            raise ValueError(f"layer {layer.name!r} has weights of shapes {shapes}, but the file has {stored}")
        return [Place(layer, weights, group, names, Layout(shapes, list))]

    return found
