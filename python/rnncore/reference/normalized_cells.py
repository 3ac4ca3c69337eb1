"""The cells whose products are normalized over all their columns (Ba et al. 2016).

`normalization_weights` has one row of H for each gain: of the gates in x @ kernel, then in h @ recurrent_kernel; an
LSTM has two rows more, gain and shift of c where the output reads it. Shifts of the products are the bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._sequence_arguments import Array
from .activations import ACTIVATIONS, Activation
from .cell import Mask, State, StepGradients, Weights, masked
from .magnitude import Standard, standardize, standardize_backward

__all__ = ["EPSILON", "NormalizedGRUCell", "NormalizedLSTMCell", "NormalizedSimpleRNNCell"]

EPSILON = 1e-3


class Products(NamedTuple):
    """What the products of a step leave to their backward pass."""

    x: Array  # (N, I)
    m: Array  # h * mask (N, H)
    mask: Mask
    input: Standard  # of x @ kernel (N, G·H)
    recurrent: Standard  # of m @ recurrent_kernel


def both_products(x: Array, h: Array, weights: Weights, mask: Mask, gates: int) -> tuple[Array, Array, Products]:
    """Both products, normalized and with their gains (N, G·H)."""
    m = masked(h, mask)
    saved = Products(
        x,
        m,
        mask,
        standardize(x @ weights.kernel, EPSILON),
        standardize(m @ weights.recurrent_kernel, EPSILON),
    )
    gain, recurrent_gain = weights.normalization_weights[: 2 * gates].reshape(2, -1)
    return gain * saved.input.normal, recurrent_gain * saved.recurrent.normal, saved


def products_backward(
    da: Array, dm: Array, saved: Products, weights: Weights, gates: int
) -> tuple[Array, Array, Array, Array, Array]:
    """From the gradients of both results to those of x, h, kernel, recurrent kernel and gains (2·G, H)."""
    x, m, mask, first, second = saved
    gain, recurrent_gain = weights.normalization_weights[: 2 * gates].reshape(2, -1)
    dgains = np.stack([(da * first.normal).sum(axis=0), (dm * second.normal).sum(axis=0)]).reshape(2 * gates, -1)
    dz = standardize_backward(first, da * gain)
    dr = standardize_backward(second, dm * recurrent_gain)
    return dz @ weights.kernel.T, masked(dr @ weights.recurrent_kernel.T, mask), x.T @ dz, m.T @ dr, dgains


@dataclass(frozen=True)
class NormalizedSimpleRNNCell:
    """h = f(gain · normalized(x @ kernel + h @ recurrent_kernel) + bias)."""

    GATES: ClassVar[int] = 1
    STATES: ClassVar[int] = 1
    NORMALIZATION_ROWS: ClassVar[int] = 1

    activation: Activation = ACTIVATIONS["tanh"]

    products: ClassVar[str] = "exact"
    split_bias: ClassVar[bool] = False

    def forward(
        self, x: Array, state: State, weights: Weights, mask: Mask = 1
    ) -> tuple[State, tuple[Array | Mask, ...]]:
        (h,) = state
        m = masked(h, mask)
        z = standardize(x @ weights.kernel + m @ weights.recurrent_kernel, EPSILON)
        y = weights.normalization_weights[0] * z.normal + weights.bias
        h_new = self.activation.forward(y)
        return (h_new,), (x, m, mask, *z, y, h_new)

    def backward(self, dstate: State, saved: tuple[Array, ...], weights: Weights) -> StepGradients:
        x, m, mask, normal, factor, y, h_new = saved
        (dh_new,) = dstate
        dy = self.activation.backward(y, h_new, dh_new)  # h_new = activation(y)
        dz = standardize_backward(Standard(normal, factor), dy * weights.normalization_weights[0])
        return StepGradients(
            x=dz @ weights.kernel.T,
            state=(masked(dz @ weights.recurrent_kernel.T, mask),),
            weights=Weights(x.T @ dz, m.T @ dz, dy.sum(axis=0), normalization_weights=(dy * normal).sum(axis=0)[None]),
        )


@dataclass(frozen=True)
class NormalizedLSTMCell:
    """The gates read the sum of both normalized products, and the output the normalized c; c itself is carried on."""

    GATES: ClassVar[int] = 4
    STATES: ClassVar[int] = 2
    NORMALIZATION_ROWS: ClassVar[int] = 10

    activation: Activation = ACTIVATIONS["tanh"]
    recurrent_activation: Activation = ACTIVATIONS["sigmoid"]

    products: ClassVar[str] = "exact"
    split_bias: ClassVar[bool] = False

    def forward(self, x: Array, state: State, weights: Weights, mask: Mask = 1) -> tuple[State, tuple[Any, ...]]:
        phi, sigma = self.activation, self.recurrent_activation
        h, c = state
        a, b, saved = both_products(x, h, weights, mask, self.GATES)
        zi, zf, zg, zo = np.split(a + b + weights.bias, 4, axis=1)
        i, f, g, o = sigma.forward(zi), sigma.forward(zf), phi.forward(zg), sigma.forward(zo)
        c_new = f * c + i * g
        shown = standardize(c_new, EPSILON)
        gain, shift = weights.normalization_weights[8:]
        s = gain * shown.normal + shift
        p = phi.forward(s)
        return (o * p, c_new), (saved, c, (zi, zf, zg, zo), i, f, g, o, shown, s, p)

    def backward(self, dstate: State, saved: tuple[Any, ...], weights: Weights) -> StepGradients:
        phi, sigma = self.activation, self.recurrent_activation
        kept, c, (zi, zf, zg, zo), i, f, g, o, shown, s, p = saved
        dh_new, dc_new = dstate
        do = dh_new * p  # h_new = o * p
        dshown = phi.backward(s, p, dh_new * o)  # p = phi(s), s = gain * shown.normal + shift
        dc_new = dc_new + standardize_backward(shown, dshown * weights.normalization_weights[8])
        dz = np.concatenate(
            [
                sigma.backward(zi, i, dc_new * g),  # c_new = f * c + i * g
                sigma.backward(zf, f, dc_new * c),
                phi.backward(zg, g, dc_new * i),
                sigma.backward(zo, o, do),
            ],
            axis=1,
        )
        dx, dh, dkernel, drecurrent_kernel, dgains = products_backward(dz, dz, kept, weights, self.GATES)
        rows = [*dgains, (dshown * shown.normal).sum(axis=0), dshown.sum(axis=0)]
        return StepGradients(
            x=dx,
            state=(dh, dc_new * f),
            weights=Weights(dkernel, drecurrent_kernel, dz.sum(axis=0), normalization_weights=np.stack(rows)),
        )


@dataclass(frozen=True)
class NormalizedGRUCell:
    """The GRU that resets after its product, which is normalized before it is reset."""

    GATES: ClassVar[int] = 3
    STATES: ClassVar[int] = 1
    NORMALIZATION_ROWS: ClassVar[int] = 6

    activation: Activation = ACTIVATIONS["tanh"]
    recurrent_activation: Activation = ACTIVATIONS["sigmoid"]

    products: ClassVar[str] = "exact"
    split_bias: ClassVar[bool] = True

    def forward(self, x: Array, state: State, weights: Weights, mask: Mask = 1) -> tuple[State, tuple[Any, ...]]:
        phi, sigma = self.activation, self.recurrent_activation
        (h,) = state
        a, b, saved = both_products(x, h, weights, mask, self.GATES)
        az, ar, ag = np.split(a + weights.bias[0], 3, axis=1)
        bz, br, q = np.split(b + weights.bias[1], 3, axis=1)
        az, ar = az + bz, ar + br
        z, r = sigma.forward(az), sigma.forward(ar)
        ag = ag + r * q
        g = phi.forward(ag)
        return (z * h + (1 - z) * g,), (saved, h, (az, ar, ag), z, r, g, q)

    def backward(self, dstate: State, saved: tuple[Any, ...], weights: Weights) -> StepGradients:
        phi, sigma = self.activation, self.recurrent_activation
        kept, h, (az, ar, ag), z, r, g, q = saved
        (dh_new,) = dstate
        daz = sigma.backward(az, z, dh_new * (h - g))  # h_new = z * h + (1 - z) * g
        dag = phi.backward(ag, g, dh_new * (1 - z))
        dar = sigma.backward(ar, r, dag * q)  # ag + r * q
        da = np.concatenate([daz, dar, dag], axis=1)
        db = np.concatenate([daz, dar, dag * r], axis=1)
        dx, dh, dkernel, drecurrent_kernel, dgains = products_backward(da, db, kept, weights, self.GATES)
        dbias = np.stack([da.sum(axis=0), db.sum(axis=0)])
        return StepGradients(
            x=dx,
            state=(dh_new * z + dh,),
            weights=Weights(dkernel, drecurrent_kernel, dbias, normalization_weights=dgains),
        )
