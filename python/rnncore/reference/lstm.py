"""The LSTM cell. Gates in order: input i, forget f, candidate g, output o."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from .._sequence_arguments import Array
from .activations import ACTIVATIONS, Activation
from .cell import Mask, State, StepGradients, Weights, masked
from .rounding import ROUNDINGS

__all__ = ["LSTMCell"]


class Saved(NamedTuple):
    x: Array  # (N, I)
    m: Array  # h * mask (N, H), or (N, P) if projected
    mask: Mask
    c: Array  # (N, H), as everything below
    c_new: Array
    z: tuple[Array, Array, Array, Array]  # of i, f, g, o before their activations
    i: Array
    f: Array
    g: Array
    o: Array
    p: Array
    y: Array  # what the projection reads


@dataclass(frozen=True)
class LSTMCell:
    GATES: ClassVar[int] = 4
    STATES: ClassVar[int] = 2

    activation: Activation = ACTIVATIONS["tanh"]
    recurrent_activation: Activation = ACTIVATIONS["sigmoid"]
    products: str = "exact"
    peepholes: bool = False  # i and f read c before the step, o reads the new c (Gers and Schmidhuber 2000)
    projected: bool = False  # h is o * p times a matrix (Sak et al. 2014)

    split_bias: ClassVar[bool] = False

    def forward(self, x: Array, state: State, weights: Weights, mask: Mask = 1) -> tuple[State, Saved]:
        phi, sigma = self.activation, self.recurrent_activation
        h, c = state
        m = ROUNDINGS[self.products](masked(h, mask))
        z = x @ weights.kernel + m @ weights.recurrent_kernel + weights.bias
        zi, zf, zg, zo = np.split(z, 4, axis=1)
        if self.peepholes:
            pi, pf, po = weights.peephole_kernel
            zi, zf = zi + pi * c, zf + pf * c
        i = sigma.forward(zi)
        f = sigma.forward(zf)
        g = phi.forward(zg)
        c_new = f * c + i * g
        if self.peepholes:
            zo = zo + po * c_new
        o = sigma.forward(zo)
        p = phi.forward(c_new)
        y = o * p
        h_new = y @ weights.projection_kernel if self.projected else y
        return (h_new, c_new), Saved(x, m, mask, c, c_new, (zi, zf, zg, zo), i, f, g, o, p, y)

    def backward(self, dstate: State, saved: Saved, weights: Weights) -> StepGradients:
        phi, sigma = self.activation, self.recurrent_activation
        x, m, mask, c, c_new, (zi, zf, zg, zo), i, f, g, o, p, y = saved
        dh_new, dc_new = dstate
        dy, dprojection = dh_new, weights.projection_kernel
        if self.projected:  # h_new = y @ projection_kernel
            dy, dprojection = dh_new @ weights.projection_kernel.T, y.T @ dh_new
        do = dy * p  # y = o * p
        dp = dy * o
        dzo = sigma.backward(zo, o, do)
        dc_new = dc_new + phi.backward(c_new, p, dp)  # p = phi(c_new)
        if self.peepholes:
            pi, pf, po = weights.peephole_kernel
            dc_new = dc_new + po * dzo  # zo + po * c_new
        df, dc = dc_new * c, dc_new * f  # c_new = f * c + i * g
        di, dg = dc_new * g, dc_new * i
        dzi = sigma.backward(zi, i, di)
        dzf = sigma.backward(zf, f, df)
        dzg = phi.backward(zg, g, dg)
        dpeepholes = weights.peephole_kernel
        if self.peepholes:  # zi + pi * c, zf + pf * c
            dc = dc + pi * dzi + pf * dzf
            dpeepholes = np.stack([(dzi * c).sum(axis=0), (dzf * c).sum(axis=0), (dzo * c_new).sum(axis=0)])
        dz = ROUNDINGS[self.products](np.concatenate([dzi, dzf, dzg, dzo], axis=1))
        return StepGradients(  # z = x @ kernel + m @ recurrent_kernel + bias, m = h * mask
            x=dz @ weights.kernel.T,
            state=(masked(dz @ weights.recurrent_kernel.T, mask), dc),
            weights=Weights(x.T @ dz, m.T @ dz, dz.sum(axis=0), dpeepholes, dprojection),
        )
