"""The gated recurrent unit layer."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore import activations, constraints, initializers, regularizers
from rnncore._configurable import passed_on
from rnncore.layers.arguments import RecurrentArguments, Unpack
from rnncore.layers.recurrent import Gated

__all__ = ["GRU"]


class GRU(Gated):
    """Gated recurrent unit (Cho et al. 2014). The gates are stored in the order update, reset, candidate.

    Parameters
    ----------
    units : int
        H, the size of the state.
    activation : str, function or object of `rnncore.activations`, default "tanh"
        Of the candidate; any but softmax.
    recurrent_activation : str, function or object of `rnncore.activations`, default "sigmoid"
        Of the two gates; same choice.
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Default glorot_uniform, orthogonal and zeros, over the fused matrices.
    return_state : bool, default False
        Whether the last state (N, H) is returned too.
    reset_after : bool, default True
        Whether the reset gate acts after the recurrent product rather than on the state before it.
    layer_normalization : bool, default False
        Whether x·W and h·U are normalized, each over all 3·H columns, before their gains and biases (Ba et al. 2016,
        with ε = 1e-3); with `reset_after` and without zoneout.
        Beyond Keras, by keyword only.
    use_cudnn : {"auto", False}
        Kept for compatibility; True is refused.

    Attributes
    ----------
    kernel : ndarray, shape (I, 3·H)
    recurrent_kernel : ndarray, shape (H, 3·H)
    bias : ndarray, shape (2, 3·H) with `reset_after` (input and recurrent part), else (3·H,)
    normalization_weights : ndarray, shape (6, H)
        With `layer_normalization`, the gains of the gates in x·W, then in h·U; ones at first.
    initial_h : ndarray, shape (1, H)
        With `trainable_initial_state`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument; unknown names come with the nearest valid ones.

    Examples
    --------
    >>> from rnncore import layers
    >>> layer = layers.GRU(4)
    >>> layer(layers.Input((None, 3))).shape
    (None, 4)
    >>> layer.bias.shape
    (2, 12)
    """

    _op = "gru"
    _gates = 3
    _normalization_rows = 6
    _state_names = ("h",)

    def __init__(
        self,
        units: int,
        activation: activations.Identifier = "tanh",
        recurrent_activation: activations.Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: initializers.Identifier = "glorot_uniform",
        recurrent_initializer: initializers.Identifier = "orthogonal",
        bias_initializer: initializers.Identifier = "zeros",
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
        reset_after: bool = True,
        use_cudnn: str | bool = "auto",
        *,
        zoneout: float = 0.0,
        layer_normalization: bool = False,
        trainable_initial_state: bool = False,
        **arguments: Unpack[RecurrentArguments],
    ) -> None:
        super().__init__(**passed_on(locals(), "reset_after"))
        self.reset_after = check.boolean("reset_after", reset_after)
        self._check_options()

    def _bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias."""
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {**super()._attributes(), "reset_after": self.reset_after}
