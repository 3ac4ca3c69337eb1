"""The GRU cell. Gates in order: update z, reset r, candidate g.

`reset_after` says whether the reset gate acts after the recurrent product, (h @ R + b) * r, or
before it, (h * r) @ R. Only the first needs a bias of its own for the recurrent part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from .._sequence_arguments import Array
from .activations import ACTIVATIONS, Activation
from .cell import Mask, State, StepGradients, Weights, masked
from .rounding import ROUNDINGS

__all__ = ["GRUCell"]


class Saved(NamedTuple):
    x: Array  # (N, I)
    h: Array  # (N, H), as everything below
    mask: Mask
    a: tuple[Array, Array, Array]  # of z, r, g before their activations
    z: Array
    r: Array
    g: Array
    q: Array  # what the reset gate multiplies: the recurrent product, or h * mask itself


@dataclass(frozen=True)
class GRUCell:
    GATES: ClassVar[int] = 3
    STATES: ClassVar[int] = 1

    activation: Activation = ACTIVATIONS["tanh"]
    recurrent_activation: Activation = ACTIVATIONS["sigmoid"]
    reset_after: bool = True
    products: str = "exact"  # with reset_after

    @property
    def split_bias(self) -> bool:
        return self.reset_after

    def forward(self, x: Array, state: State, weights: Weights, mask: Mask = 1) -> tuple[State, Saved]:
        phi, sigma = self.activation, self.recurrent_activation
        (h,) = state
        m = masked(h, mask)
        if self.reset_after:
            az, ar, ag = np.split(x @ weights.kernel + weights.bias[0], 3, axis=1)
            bz, br, q = np.split(ROUNDINGS[self.products](m) @ weights.recurrent_kernel + weights.bias[1], 3, axis=1)
            az, ar = az + bz, ar + br
            z, r = sigma.forward(az), sigma.forward(ar)
            ag = ag + r * q
        else:
            az, ar, ag = np.split(x @ weights.kernel + weights.bias, 3, axis=1)
            kernel_z, kernel_r, kernel_g = np.split(weights.recurrent_kernel, 3, axis=1)
            q = m
            az, ar = az + m @ kernel_z, ar + m @ kernel_r
            z, r = sigma.forward(az), sigma.forward(ar)
            ag = ag + (r * q) @ kernel_g
        g = phi.forward(ag)
        h_new = z * h + (1 - z) * g
        return (h_new,), Saved(x, h, mask, (az, ar, ag), z, r, g, q)

    def backward(self, dstate: State, saved: Saved, weights: Weights) -> StepGradients:
        phi, sigma = self.activation, self.recurrent_activation
        x, h, mask, (az, ar, ag), z, r, g, q = saved
        (dh_new,) = dstate
        m = masked(h, mask)
        dz, dh, dg = dh_new * (h - g), dh_new * z, dh_new * (1 - z)  # h_new = z * h + (1 - z) * g
        daz = sigma.backward(az, z, dz)
        dag = phi.backward(ag, g, dg)
        if self.reset_after:
            dr, dq = dag * q, dag * r  # ag + r * q
            dar = sigma.backward(ar, r, dr)
            db = np.concatenate([daz, dar, dq], axis=1)  # bz, br, q = split(m @ recurrent_kernel + bias[1])
            db = ROUNDINGS[self.products](db)
            dm = db @ weights.recurrent_kernel.T
            drecurrent_kernel = ROUNDINGS[self.products](m).T @ db
        else:
            kernel_z, kernel_r, kernel_g = np.split(weights.recurrent_kernel, 3, axis=1)
            drq = dag @ kernel_g.T  # ag + (r * q) @ kernel_g
            dr, dm = drq * q, drq * r  # q = m
            dar = sigma.backward(ar, r, dr)
            dm = dm + daz @ kernel_z.T + dar @ kernel_r.T  # az + m @ kernel_z, ar alike
            drecurrent_kernel = np.concatenate([m.T @ daz, m.T @ dar, (r * q).T @ dag], axis=1)
        da = ROUNDINGS[self.products](np.concatenate([daz, dar, dag], axis=1))  # az, ar, ag = split(x @ kernel + bias)
        dbias = np.stack([da.sum(axis=0), db.sum(axis=0)]) if self.reset_after else da.sum(axis=0)
        return StepGradients(
            x=da @ weights.kernel.T,
            state=(dh + dm * mask,),  # m = h * mask
            weights=Weights(x.T @ da, drecurrent_kernel, dbias),
        )
