"""The long short-term memory layer."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore import activations, constraints, initializers, regularizers
from rnncore._configurable import passed_on
from rnncore.layers.arguments import RecurrentArguments, Unpack
from rnncore.layers.base import WeightView
from rnncore.layers.recurrent import Gated, unit_rate
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["LSTM"]


class LSTM(Gated):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    The gates are stored in the order input, forget, cell, output.

    Parameters
    ----------
    units : int
        H, the size of h and c; with `projection_units` of c alone.
    activation : str, function or object of `rnncore.activations`, default "tanh"
        Of the cell input and the output; any but softmax.
    recurrent_activation : str, function or object of `rnncore.activations`, default "sigmoid"
        Of the three gates; same choice.
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Default glorot_uniform, orthogonal and zeros, over the fused matrices.
    unit_forget_bias : bool, default True
        Start the forget gate's bias at one.
    return_state : bool, default False
        Whether the last states h and c, (N, H) each, are returned too.
    cell_zoneout : float, default 0.0
        As `zoneout`, for c. The new h is made of the new c, whether c was held or not.
    peepholes : bool, default False
        Whether the gates of a unit read its c too: the input and forget gates c before the step, the output gate the
        new c (Gers and Schmidhuber 2000). The weights begin as zeros; beyond Keras, by keyword only.
    projection_units : int, optional
        P, the size of h: h is (o·a(c))·R, not o·a(c), with a projection kernel R (H, P), and the recurrent
        kernel is (P, 4·H) (Sak et al. 2014; `proj_size` in PyTorch). R starts as `kernel_initializer` says and has
        neither regularizer nor constraint. Not together with zoneout or peepholes; beyond Keras, by keyword only.
    layer_normalization : bool, default False
        Whether x·W and h·U are normalized, each over all 4·H columns, before their gains and the bias, and c over its
        units before the output's activation reads it (Ba et al. 2016, with ε = 1e-3). Not together with zoneout,
        peepholes or a projection.
        Beyond Keras, by keyword only.
    use_cudnn : {"auto", False}
        Kept for compatibility; True is refused.

    Attributes
    ----------
    kernel : ndarray, shape (I, 4·H)
    recurrent_kernel : ndarray, shape (H, 4·H)
        Or (P, 4·H) with `projection_units`.
    bias : ndarray, shape (4·H,)
    peephole_kernel : ndarray, shape (3, H)
        With `peepholes`, the factors of c in the input, forget and output gate.
    projection_kernel : ndarray, shape (H, P)
        With `projection_units`, what makes h.
    normalization_weights : ndarray, shape (10, H)
        With `layer_normalization`, the gains of the gates in x·W, then in h·U, then gain and shift of c; ones at first,
        the shift zeros.
    initial_h, initial_c : ndarray, shape (1, H)
        With `trainable_initial_state`; h of a projection has its size.

    Raises
    ------
    TypeError, ValueError
        For a bad argument; unknown names come with the nearest valid ones.

    Examples
    --------
    >>> from rnncore import layers
    >>> x = layers.Input((None, 3))
    >>> output, h, c = layers.LSTM(4, return_sequences=True, return_state=True)(x)
    >>> output.shape, h.shape
    ((None, None, 4), (None, 4))
    """

    _op = "lstm"
    _gates = 4
    _normalization_rows = 10
    _state_names = ("h", "c")

    peephole_kernel = WeightView()
    projection_kernel = WeightView()
    initial_c = WeightView()

    def __init__(
        self,
        units: int,
        activation: activations.Identifier = "tanh",
        recurrent_activation: activations.Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: initializers.Identifier = "glorot_uniform",
        recurrent_initializer: initializers.Identifier = "orthogonal",
        bias_initializer: initializers.Identifier = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: regularizers.Identifier = None,
        recurrent_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        activity_regularizer: regularizers.Identifier = None,
        kernel_constraint: constraints.Identifier = None,
        recurrent_constraint: constraints.Identifier = None,
        bias_constraint: constraints.Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: str | bool = "auto",
        *,
        zoneout: float = 0.0,
        cell_zoneout: float = 0.0,
        peepholes: bool = False,
        layer_normalization: bool = False,
        trainable_initial_state: bool = False,
        projection_units: int | None = None,
        **arguments: Unpack[RecurrentArguments],
    ) -> None:
        super().__init__(**passed_on(locals(), "unit_forget_bias", "cell_zoneout", "peepholes", "projection_units"))
        self.cell_zoneout = unit_rate("cell_zoneout", cell_zoneout)
        self.peepholes = check.boolean("peepholes", peepholes)
        self.projection_units = None
        if projection_units is not None:
            self.projection_units = check.positive_int("projection_units", projection_units)
        self._check_options()
        self.unit_forget_bias = check.boolean("unit_forget_bias", unit_forget_bias)

    @property
    def _output_size(self) -> int:
        """The size of h: H, or P of a projection."""
        return self.projection_units or self.units

    def _make_cell_weights(self, input_shape: Shape) -> list[Weight]:
        """Kernel (I, 4·H), recurrent kernel, bias (4·H,), and the weights of an option, as far as there are."""
        weights = super()._make_cell_weights(input_shape)
        if self.use_bias and self.unit_forget_bias:
            weights[2].begin_with(1.0, slice(self.units, 2 * self.units))
        if self.layer_normalization:
            weights[-1].begin_with(0.0, -1)
        if self.peepholes:
            weights.append(self._weight("peephole_kernel", (3, self.units), initializers.Zeros(), None, None))
        if self.projection_units:
            shape = (self.units, self.projection_units)
            weights.append(self._weight("projection_kernel", shape, self.kernel_initializer, None, None))
        return weights

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        attributes = super()._attributes()
        if self.cell_zoneout > 0:
            attributes |= {"cell_zoneout": self.cell_zoneout, "seed": self.seed or 0}
        if self.peepholes:
            attributes["peepholes"] = True
        if self.projection_units:
            attributes["projected"] = True
        return attributes
