"""The simple recurrent layer."""

from __future__ import annotations

from rnncore import activations, constraints, initializers, regularizers
from rnncore._configurable import passed_on
from rnncore.layers.arguments import RecurrentArguments, Unpack
from rnncore.layers.recurrent import Recurrent

__all__ = ["SimpleRNN"]


class SimpleRNN(Recurrent):
    """Simple (Elman) recurrence: h_t = activation(x_t · kernel + h_{t-1} · recurrent_kernel + bias).

    Parameters
    ----------
    units : int
        H, the size of the state.
    activation : str, function or object of `rnncore.activations`, default "tanh"
        Any but softmax.
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Default glorot_uniform, orthogonal and zeros.
    return_state : bool, default False
        Whether the last state (N, H) is returned too.
    layer_normalization : bool, default False
        Whether x·W + h·U is normalized over its units before gain and bias (Ba et al. 2016, with ε = 1e-3); without
        zoneout.
        Beyond Keras, by keyword only.

    Attributes
    ----------
    kernel : ndarray, shape (I, H)
    recurrent_kernel : ndarray, shape (H, H)
    bias : ndarray, shape (H,)
    normalization_weights : ndarray, shape (1, H)
        With `layer_normalization`, the gain; ones at first.
    initial_h : ndarray, shape (1, H)
        With `trainable_initial_state`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument; unknown names come with the nearest valid ones.

    Examples
    --------
    >>> from rnncore import layers
    >>> layer = layers.SimpleRNN(10, input_shape=(1, 1))
    >>> layer(layers.Input((1, 1))).shape
    (None, 10)
    >>> layer.count_params()
    120
    """

    _op = "simple_rnn"
    _gates = 1
    _normalization_rows = 1
    _state_names = ("h",)

    def __init__(
        self,
        units: int,
        activation: activations.Identifier = "tanh",
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
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        *,
        zoneout: float = 0.0,
        layer_normalization: bool = False,
        trainable_initial_state: bool = False,
        **arguments: Unpack[RecurrentArguments],
    ) -> None:
        super().__init__(**passed_on(locals()))
        self._check_options()
