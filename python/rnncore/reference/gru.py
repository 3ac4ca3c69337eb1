"""The GRU cell. Gates in order: update z, reset r, candidate g.

`reset_after` says whether the reset gate acts after the recurrent product, (h @ R + b) * r, or
before it, (h * r) @ R. Only the first needs a bias of its own for the recurrent part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from .._sequence_arguments import Array
from .activations import ACTIVATIONS
from .cell import Mask, State, StepGradients, Weights, masked
from .rounding import ROUNDINGS

__all__ = ["GRUCell"]


class Saved(NamedTuple):
    x: Array  # (N, I)
    h: Array  # (N, H), as everything below
    mask: Mask
    z: Array
    r: Array
    g: Array
    q: Array  # what the reset gate multiplies: the recurrent product, or h * mask itself


@dataclass(frozen=True)
class GRUCell:
    GATES: ClassVar[int] = 3
    STATES: ClassVar[int] = 1

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    reset_after: bool = True
    products: str = "exact"  # with reset_after

    @property
    def split_bias(self) -> bool:
        return self.reset_after

    def forward(self, x: Array, state: State, weights: Weights, mask: Mask = 1) -> tuple[State, Saved]:
        phi, sigma = ACTIVATIONS[self.activation], ACTIVATIONS[self.recurrent_activation]
        (h,) = state
        m = masked(h, mask)
        if self.reset_after:
            az, ar, ag = np.split(x @ weights.kernel + weights.bias[0], 3, axis=1)
            bz, br, q = np.split(ROUNDINGS[self.products](m) @ weights.recurrent_kernel + weights.bias[1], 3, axis=1)
            z = sigma.forward(az + bz)
            r = sigma.forward(ar + br)
            g = phi.forward(ag + r * q)
        else:
            az, ar, ag = np.split(x @ weights.kernel + weights.bias, 3, axis=1)
            kernel_z, kernel_r, kernel_g = np.split(weights.recurrent_kernel, 3, axis=1)
            q = m
            z = sigma.forward(az + m @ kernel_z)
            r = sigma.forward(ar + m @ kernel_r)
            g = phi.forward(ag + (r * q) @ kernel_g)
        h_new = z * h + (1 - z) * g
        return (h_new,), Saved(x, h, mask, z, r, g, q)

    def backward(self, dstate: State, saved: Saved, weights: Weights) -> StepGradients:
        phi, sigma = ACTIVATIONS[self.activation], ACTIVATIONS[self.recurrent_activation]
        x, h, mask, z, r, g, q = saved
        (dh_new,) = dstate
        m = masked(h, mask)
        dz, dh, dg = dh_new * (h - g), dh_new * z, dh_new * (1 - z)  # h_new = z * h + (1 - z) * g
        daz = sigma.backward(z, dz)
        dag = phi.backward(g, dg)
        if self.reset_after:
            dr, dq = dag * q, dag * r  # g = phi(ag + r * q)
            dar = sigma.backward(r, dr)
            db = np.concatenate([daz, dar, dq], axis=1)  # bz, br, q = split(m @ recurrent_kernel + bias[1])
            db = ROUNDINGS[self.products](db)
            dm = db @ weights.recurrent_kernel.T
            drecurrent_kernel = ROUNDINGS[self.products](m).T @ db
        else:
            kernel_z, kernel_r, kernel_g = np.split(weights.recurrent_kernel, 3, axis=1)
            drq = dag @ kernel_g.T  # g = phi(ag + (r * q) @ kernel_g)
            dr, dm = drq * q, drq * r  # q = m
            dar = sigma.backward(r, dr)
            dm = dm + daz @ kernel_z.T + dar @ kernel_r.T  # z = sigma(az + m @ kernel_z), r alike
            drecurrent_kernel = np.concatenate([m.T @ daz, m.T @ dar, (r * q).T @ dag], axis=1)
        da = ROUNDINGS[self.products](np.concatenate([daz, dar, dag], axis=1))  # az, ar, ag = split(x @ kernel + bias)
        dbias = np.stack([da.sum(axis=0), db.sum(axis=0)]) if self.reset_after else da.sum(axis=0)
        return StepGradients(
            x=da @ weights.kernel.T,
            state=(dh + dm * mask,),  # m = h * mask
            weights=Weights(x.T @ da, drecurrent_kernel, dbias),
        )
