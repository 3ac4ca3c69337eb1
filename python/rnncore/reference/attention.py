"""Attention: each query reads a mean of the values, weighted by how well its score with each key is.

query (N, Tq, h·K), value (N, Tv, h·V), key (N, Tv, h·K) -> context (N, Tq, h·V), weights: for each of the h heads

    weights = softmax(score(query, key)) over the keys it may see
    context = dropout(weights) @ value

D. Bahdanau, K. Cho, Y. Bengio, "Neural machine translation by jointly learning to align and translate", ICLR (2015);
A. Vaswani et al., "Attention is all you need", NeurIPS (2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward"]

# Gradients of a score to queries, keys and weights, from its own gradient (N, h, Tq, Tv).
ScoreBackward = Callable[[Array], tuple[Array, Array, list[Array]]]


def dot(q: Array, k: Array, weights: list[Array], factor: float) -> tuple[Array, ScoreBackward]:
    """Scores are factor · scale · (q · k)."""
    product = q @ k.swapaxes(-1, -2)
    scale = q.dtype.type(factor) * (weights[0] if weights else q.dtype.type(1))

    def backward(ds: Array) -> tuple[Array, Array, list[Array]]:
        dproduct = ds * scale
        dscale = np.sum(ds * product) * q.dtype.type(factor)
        return dproduct @ k, dproduct.swapaxes(-1, -2) @ q, [np.asarray(dscale)][: len(weights)]

    return product * scale, backward


def additive(q: Array, k: Array, weights: list[Array], factor: float) -> tuple[Array, ScoreBackward]:
    """Scores are Σ_d scale_d · tanh(q_d + k_d)."""
    z = q[:, :, :, None] + k[:, :, None]  # (N, h, Tq, Tv, K)
    t = np.tanh(z)
    scale = weights[0] if weights else np.ones(q.shape[-1], q.dtype)

    def backward(ds: Array) -> tuple[Array, Array, list[Array]]:
        dz = ds[..., None] * scale * (1 - t * t)
        dscale = np.einsum("nhij,nhijd->d", ds, t)
        return dz.sum(axis=3), dz.sum(axis=2), [dscale][: len(weights)]

    return t @ scale, backward


def concat(q: Array, k: Array, weights: list[Array], factor: float) -> tuple[Array, ScoreBackward]:
    """Scores are weight · Σ_d tanh(scale · (q_d + k_d))."""
    weight = weights[-1]
    scale = weights[0] if len(weights) == 2 else q.dtype.type(1)
    z = q[:, :, :, None] + k[:, :, None]  # (N, h, Tq, Tv, K)
    t = np.tanh(scale * z)

    def backward(ds: Array) -> tuple[Array, Array, list[Array]]:
        du = ds[..., None] * weight * (1 - t * t)  # u = scale · z
        dz = scale * du
        dweights = [np.asarray(np.sum(du * z)), np.asarray(np.sum(ds * t.sum(axis=-1)))]
        return dz.sum(axis=3), dz.sum(axis=2), dweights[-len(weights) :]

    return weight * t.sum(axis=-1), backward


SCORES = {"dot": dot, "additive": additive, "concat": concat}


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    query, value, key, query_mask, value_mask, attention_mask = inputs
    heads = attributes.get("heads")  # None: one, without an axis of its own in the weights
    q, v, k = (_split(array, heads or 1) for array in (query, value, key))  # (N, h, T, ·)
    scores, score_backward = SCORES[attributes["score"]](q, k, weights, attributes.get("factor", 1.0))

    queries = real_steps(query_mask, query.shape)[:, None, :, None]  # (N, 1, Tq, 1): real queries
    visible = np.broadcast_to(real_steps(value_mask, value.shape)[:, None, None], scores.shape)
    if attention_mask is not None:
        visible = visible & (attention_mask[:, None] != 0)
    if attributes.get("causal", False):
        visible = visible & (np.tri(*scores.shape[-2:]) != 0)
    if attributes.get("hides_queries", False):  # a masked query sees nothing; otherwise its context alone is zero
        visible = visible & queries
    p = _softmax(scores, visible)

    keep, rate = None, attributes.get("rate", 0.0)
    if run.training and rate > 0:
        keep = run.uniform(p.size, attributes.get("seed") or 0).reshape(p.shape) >= rate
    dropped = _drop(p, keep, rate)
    context = np.where(queries, dropped @ v, v.dtype.type(0))
    shown = dropped if attributes.get("drops_weights", False) else p
    saved = (q, v, p, dropped, keep, queries, score_backward, attributes)
    return [_merge(context), shown if heads else shown[:, 0]], saved


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    q, v, p, dropped, keep, queries, score_backward, attributes = saved
    dcontext, dshown = doutputs
    rate = attributes.get("rate", 0.0)
    ddropped, dp = np.zeros_like(p), np.zeros_like(p)
    dv = np.zeros_like(v)
    if dcontext is not None:
        dcontext = np.where(queries, _split(dcontext, q.shape[1]), v.dtype.type(0))
        ddropped += dcontext @ v.swapaxes(-1, -2)  # context = dropped @ v
        dv = dropped.swapaxes(-1, -2) @ dcontext
    if dshown is not None:
        shown = ddropped if attributes.get("drops_weights", False) else dp
        shown += dshown.reshape(p.shape)
    dp += _drop(ddropped, keep, rate)  # dropped = _drop(p, keep, rate)
    ds = p * (dp - np.sum(dp * p, axis=-1, keepdims=True))  # p = softmax(scores)
    dq, dk, dweights = score_backward(ds)
    return [_merge(dq), _merge(dv), _merge(dk), None, None, None], dweights


def _split(x: Array, heads: int) -> Array:
    """From (N, T, h·C) to (N, h, T, C)."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def _merge(x: Array) -> Array:
    """From (N, h, T, C) to (N, T, h·C)."""
    n, heads, steps, width = x.shape
    return np.ascontiguousarray(x.swapaxes(1, 2)).reshape(n, steps, heads * width)


def _softmax(scores: Array, visible: Array) -> Array:
    """Softmax over what is visible; zeros where nothing is."""
    highest = np.where(visible, scores, -np.inf).max(axis=-1, keepdims=True)
    any_visible = visible.any(axis=-1, keepdims=True)
    shifted = scores - np.where(any_visible, highest, 0)
    e = np.exp(shifted, where=visible, out=np.zeros_like(scores))
    p: Array = e / np.where(any_visible, e.sum(axis=-1, keepdims=True), 1)
    return p


def _drop(x: Array, keep: Array | None, rate: float) -> Array:
    return x if keep is None else np.where(keep, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))
