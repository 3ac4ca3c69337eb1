"""A linear-chain conditional random field."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore import constraints, initializers, regularizers
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer, WeightView
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["CRF"]


class CRF(Layer):
    """The labels of a sequence, each of which depends on its neighbours (Lafferty et al. 2001).

    The input x (N, T, K) scores K labels at each step, as a `Dense(K)` without activation does. The score of labels
    y_1 … y_T is start[y_1] + Σ_t x[t, y_t] + Σ_t transitions[y_{t-1}, y_t] + end[y_T], and their probability is the
    exponential of it, divided by the sum over all labels. The output (N, T, K, K) says the same step by step: entry
    [n, t, i, j] is log p(y_t = j | y_{t-1} = i, x), and that of the first step log p(y_1 = j | x), for every i.

    Train it with `losses.CRF`; `rnncore.decoding.crf_viterbi` and `crf_n_best` read labels off the output. Steps that
    lengths or a mask leave out are no part of the chain, and zeros in the output.

    Parameters
    ----------
    use_boundary : bool, default True
        Whether there are weights for the first and the last label.
    transition_initializer, boundary_initializer : str or Initializer, default "zeros"
    transition_regularizer, boundary_regularizer : str or Regularizer, optional
    transition_constraint, boundary_constraint : str or Constraint, optional
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    transitions : ndarray, shape (K, K)
        From the label of a row to that of a column.
    start, end : ndarray, shape (K,)
        With `use_boundary`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input that is not (N, T, K) with K known.

    References
    ----------
    J. Lafferty, A. McCallum, F. Pereira, "Conditional random fields", ICML (2001).

    Examples
    --------
    >>> from rnncore import layers, losses, models
    >>> model = models.Sequential([
    ...     layers.Input((None, 8)),
    ...     layers.Bidirectional(layers.LSTM(16, return_sequences=True)),
    ...     layers.Dense(5),
    ...     layers.CRF(),
    ... ])
    >>> model.compile("adam", losses.CRF())
    >>> model.output_shape
    (None, None, 5, 5)
    """

    _op = "crf"
    transitions = WeightView()
    start = WeightView()
    end = WeightView()

    def __init__(
        self,
        use_boundary: bool = True,
        transition_initializer: initializers.Identifier = "zeros",
        boundary_initializer: initializers.Identifier = "zeros",
        transition_regularizer: regularizers.Identifier = None,
        boundary_regularizer: regularizers.Identifier = None,
        transition_constraint: constraints.Identifier = None,
        boundary_constraint: constraints.Identifier = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        self.use_boundary = check.boolean("use_boundary", use_boundary)
        self.transition_initializer = initializers.get(transition_initializer)
        self.boundary_initializer = initializers.get(boundary_initializer)
        self.transition_regularizer = regularizers.get(transition_regularizer)
        self.boundary_regularizer = regularizers.get(boundary_regularizer)
        self.transition_constraint = constraints.get(transition_constraint)
        self.boundary_constraint = constraints.get(boundary_constraint)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, K), and K what the weights are for."""
        check.sequence_shape(self.name, shape, "labels")
        if shape[-1] is None:
            raise ValueError(f"{self.name!r} needs an input whose last axis is known, got shape {shape}")
        if self.built and shape[-1] != self.weights[0].shape[0]:
            raise ValueError(f"{self.name!r} was built for {self.weights[0].shape[0]} labels, got shape {shape}")

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """(N, T, K, K)."""
        return ((*input_shape, input_shape[-1]),)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Transitions (K, K), then start and end (K,)."""
        labels = input_shape[-1]
        assert labels is not None
        weights = [self._own_weight("transitions", (labels, labels), of="transition")]
        if self.use_boundary:
            weights += [self._own_weight(name, (labels,), of="boundary") for name in ("start", "end")]
        return weights

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the node, which reads the mask."""
        (shape,) = self._output_shapes(builder.shape(inputs[0]))
        output = builder.value(self.name, shape)
        mask = builder.real(inputs[0], masks[0])
        builder.node(self._op, self.name, (inputs[0], mask), (output,), self._emit_weights(builder))
        return (output,)
