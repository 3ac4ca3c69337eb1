"""Small Programs that use every op, and the data to run them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from layer_zoo import LAYERS
from program_builder import Builder as Builder

from rnncore.program import Program, Value

Array = npt.NDArray[Any]

SAMPLES, STEPS, FEATURES = 11, 5, 3


def dense_stack() -> Program:
    b = Builder()
    x = b.dense(b.input(FEATURES), 21, "tanh")
    x = b.dense(x, 70, "relu", bias=False)
    x = b.dense(x, 5, "sigmoid")
    return b.build(b.dense(x, 2, "hard_sigmoid"))


def tutorial() -> Program:
    b = Builder()
    (h,) = b.recurrent("simple_rnn", b.input(1, 1), 10, outputs="h", activation="relu")
    return b.build(b.dense(h, 1))


def stack(op: str, **attributes: Any) -> Callable[[], Program]:
    def make() -> Program:
        b = Builder()
        (x,) = b.recurrent(op, b.input(None, FEATURES), 19, **attributes)
        (h,) = b.recurrent(op, x, 6, outputs="h", **attributes)
        return b.build(b.dense(h, 4))

    return make


def mixed() -> Program:
    """Three cells, one of them backwards, over sequences to a sequence of class probabilities."""
    b = Builder()
    x = b.input(None, FEATURES)
    (x,) = b.recurrent("simple_rnn", x, 4, activation="sigmoid")
    (x,) = b.recurrent("gru", x, 5, go_backwards=True, reset_after=False)
    (x,) = b.recurrent("lstm", x, 7, activation="relu", recurrent_activation="hard_sigmoid", bias=False)
    return b.build(b.dense(x, 4, "softmax"))


def states() -> Program:
    """Initial states from outside; sequence and last states all go on."""
    b = Builder()
    x, h0, c0 = b.input(None, FEATURES), b.input(6), b.input(6)
    sequence, h, c = b.recurrent("lstm", x, 6, outputs="sequence h c", initial=(h0, c0), lengths=True)
    sequence, h = b.recurrent("gru", sequence, 6, outputs="sequence h", initial=(c,), lengths=True, go_backwards=True)
    (h,) = b.recurrent("simple_rnn", sequence, 6, outputs="h", initial=(h,), lengths=True)
    return b.build(b.dense(h, 3), sequence)


def masked() -> Program:
    """Every cell under one mask of any pattern, in both directions; sequences and states go on."""
    b = Builder()
    x, h0, c0, mask = b.input(None, FEATURES), b.input(6), b.input(6), b.mask()
    first, h, c = b.recurrent("lstm", x, 6, outputs="sequence h c", initial=(h0, c0), mask=mask)
    options: dict[str, Any] = {"go_backwards": True, "aligned": True}
    second, h = b.recurrent("gru", first, 6, outputs="sequence h", initial=(h,), mask=mask, **options)
    third, h = b.recurrent("simple_rnn", second, 6, outputs="sequence h", initial=(h,), mask=mask, go_backwards=True)
    (h,) = b.recurrent("gru", second, 6, outputs="h", initial=(c,), mask=mask, reset_after=False)
    return b.build(b.dense(h, 3), first, second, third)


def masked_with_zeros() -> Program:
    """Zeros in place of the state held, and no initial states."""
    b = Builder()
    x, mask = b.input(None, FEATURES), b.mask()
    (x,) = b.recurrent("lstm", x, 5, mask=mask, zero_output_for_mask=True)
    (x,) = b.recurrent("simple_rnn", x, 18, mask=mask, zero_output_for_mask=True, go_backwards=True)
    (x,) = b.recurrent("gru", x, 4, lengths=True, zero_output_for_mask=True)
    return b.build(x)


def masking() -> Program:
    """Masks made of ids and of values, one narrowed by the lengths, one by the other."""
    b = Builder()
    ids = b.input(None, dtype="int")
    of_ids, x = b.value(None, dtype="int"), b.value(None, 5)
    b.node("masking", (ids, b.lengths_value()), (-1, of_ids), ())
    b.node("embedding", (ids,), (x,), (b.parameter(9, 5),))
    x = b.elementwise("activation", b.dense(x, 2, "relu"), function="relu")
    y, of_values = b.value(None, 2), b.value(None, dtype="int")
    b.node("masking", (x, of_ids), (y, of_values), (), mask_value=0.0)
    z = b.value(None, 2)
    b.node("masking", (x, -1), (z, -1), ())
    (first,) = b.recurrent("lstm", y, 6, mask=of_values)
    (second,) = b.recurrent("gru", first, 6, mask=of_ids, go_backwards=True)
    return b.build(second, z, b.dense(first, 3), masks=(of_ids, -1, of_values))


def aligned() -> Program:
    """From the end to the beginning, with the output in the order of the input."""
    b = Builder()
    options: dict[str, Any] = {"go_backwards": True, "aligned": True}
    x, h0 = b.input(None, FEATURES), b.input(6)
    (x,) = b.recurrent("lstm", x, 19, **options)
    (x,) = b.recurrent("gru", x, 6, initial=(h0,), **options)
    sequence, h = b.recurrent("simple_rnn", x, 6, outputs="sequence h", initial=(h0,), lengths=True, **options)
    (h,) = b.recurrent("gru", sequence, 4, outputs="h", initial=(), **options, reset_after=False)
    return b.build(sequence, h)


def words() -> Program:
    """Ids to a class: embedding, dropout, recurrent, dropout, softmax."""
    b = Builder()
    ids = b.input(None, dtype="int")
    x = b.value(None, 5)
    b.node("embedding", (ids,), (x,), (b.parameter(9, 5),))
    x = b.elementwise("dropout", x, rate=0.3, seed=7)
    (h,) = b.recurrent("lstm", x, 8, outputs="h", lengths=True)
    h = b.elementwise("dropout", h, rate=0.5, seed=2**63 + 11)
    return b.build(b.elementwise("activation", b.dense(h, 4), function="softmax"))


def dropped() -> Program:
    """Masks that stay over time: of the inputs, and of the states of every cell; some rows end early."""
    b = Builder()
    x, h0 = b.input(None, FEATURES), b.input(19)
    x = b.elementwise("dropout", x, rate=0.3, shared_axes=[1])
    (x,) = b.recurrent("lstm", x, 19, initial=(h0,), recurrent_dropout=0.4, seed=2**63 + 5)
    x = b.elementwise("dropout", b.dense(x, 70), rate=0.6, shared_axes=[1], seed=1)
    sequence, h = b.recurrent("gru", x, 6, outputs="sequence h", recurrent_dropout=0.5, lengths=True)
    (x,) = b.recurrent("simple_rnn", sequence, 6, initial=(h,), recurrent_dropout=0.2, go_backwards=True)
    (x,) = b.recurrent("gru", x, 6, initial=(h,), recurrent_dropout=0.2, reset_after=False)
    (y,) = b.recurrent("gru", x, 6, outputs="h", recurrent_dropout=0.2, reset_after=False, lengths=True)
    return b.build(b.dense(y, 3), x)


def checkpointed() -> Program:
    """Tapes of two steps, of one and of all."""
    b = Builder()
    x, h0, c0, mask = b.input(None, FEATURES), b.input(6), b.input(6), b.mask()
    x, h, c = b.recurrent("lstm", x, 6, outputs="sequence h c", initial=(h0, c0), mask=mask, checkpoint_every=2)
    options: dict[str, Any] = {"go_backwards": True, "aligned": True, "checkpoint_every": 3}
    (x,) = b.recurrent("gru", x, 19, lengths=True, **options)
    (x,) = b.recurrent("simple_rnn", x, 35, recurrent_dropout=0.3, **options)
    (x,) = b.recurrent("lstm", x, 6, initial=(h, c), bias=False, trainable=(False, True, False), checkpoint_every=1)
    (y,) = b.recurrent("gru", x, 6, outputs="h", initial=(h,), reset_after=False, checkpoint_every=2)
    (z,) = b.recurrent("gru", x, 6, outputs="h", checkpoint_every=4, recurrent_dropout=0.3, reset_after=False)
    (w,) = b.recurrent("simple_rnn", x, 6, outputs="h", checkpoint_every=5)
    return b.build(b.dense(y, 3), x, z, w)


def zoned() -> Program:
    """States that are held at random, of every cell, in any direction, masked and not."""
    b = Builder()
    x, h0, mask = b.input(None, FEATURES), b.input(19), b.mask()
    (x,) = b.recurrent("lstm", x, 19, initial=(h0,), zoneout=0.4, cell_zoneout=0.3, seed=2**63 + 5)
    options: dict[str, Any] = {"go_backwards": True, "aligned": True, "recurrent_dropout": 0.3}
    (x,) = b.recurrent("gru", x, 35, lengths=True, zoneout=0.5, **options)
    (x,) = b.recurrent("lstm", x, 6, mask=mask, cell_zoneout=0.5, **options, activation="relu")
    sequence, h = b.recurrent("simple_rnn", x, 6, outputs="sequence h", zoneout=0.2, go_backwards=True)
    (x,) = b.recurrent("gru", sequence, 6, initial=(h,), zoneout=0.2, reset_after=False, recurrent_dropout=0.3)
    (y,) = b.recurrent("gru", x, 6, outputs="h", mask=mask, zoneout=0.2, reset_after=False, go_backwards=True)
    (z,) = b.recurrent("lstm", x, 6, outputs="h", zoneout=0.2, cell_zoneout=0.2, checkpoint_every=2)
    (w,) = b.recurrent("gru", x, 6, outputs="h", lengths=True, zoneout=0.2, checkpoint_every=2, go_backwards=True)
    return b.build(b.dense(y, 3), x, z, w)


def peepholes() -> Program:
    """Gates of an LSTM that read c, with everything that a recurrent node can have."""
    b = Builder()
    x, h0, c0, mask = b.input(None, FEATURES), b.input(19), b.input(19), b.mask()
    (x,) = b.recurrent("lstm", x, 19, initial=(h0, c0), peepholes=True)
    options: dict[str, Any] = {"peepholes": True, "recurrent_dropout": 0.3}
    (x,) = b.recurrent("lstm", x, 35, lengths=True, go_backwards=True, aligned=True, bias=False, **options)
    (x,) = b.recurrent("lstm", x, 6, mask=mask, zoneout=0.3, cell_zoneout=0.5, activation="relu", **options)
    (x,) = b.recurrent("lstm", x, 5, trainable=(True, True, False), peepholes=True)
    sequence, h, c = b.recurrent("lstm", x, 7, outputs="sequence h c", checkpoint_every=2, mask=mask, peepholes=True)
    (x,) = b.recurrent("lstm", sequence, 7, initial=(h, c), checkpoint_every=3, cell_zoneout=0.5, **options)
    (y,) = b.recurrent("lstm", x, 4, outputs="h", recurrent_activation="hard_sigmoid", peepholes=True)
    return b.build(b.dense(y, 3), x)


def projected() -> Program:
    """LSTMs with an h of another size than c, with everything that they can have."""
    b = Builder()
    x, h0, c0, mask = b.input(None, FEATURES), b.input(5), b.input(19), b.mask()
    (x,) = b.recurrent("lstm", x, 19, initial=(h0, c0), projected=5)
    (x,) = b.recurrent(
        "lstm", x, 6, lengths=True, go_backwards=True, aligned=True, bias=False, recurrent_dropout=0.3, projected=35
    )
    (x,) = b.recurrent("lstm", x, 6, mask=mask, activation="relu", recurrent_dropout=0.3, seed=2, projected=17)
    (x,) = b.recurrent("lstm", x, 5, trainable=(True, True, False), projected=3)
    sequence, h, c = b.recurrent("lstm", x, 7, outputs="sequence h c", checkpoint_every=2, mask=mask, projected=4)
    (x,) = b.recurrent("lstm", sequence, 7, initial=(h, c), checkpoint_every=3, zero_output_for_mask=True, projected=4)
    (y,) = b.recurrent("lstm", x, 4, outputs="h", recurrent_activation="hard_sigmoid", projected=1)
    return b.build(b.dense(y, 3), x)


def normalized() -> Program:
    """Cells whose products are normalized, with everything that they can have."""
    b = Builder()
    x, h0, c0, mask = b.input(None, FEATURES), b.input(19), b.input(19), b.mask()
    options: dict[str, Any] = {"layer_normalization": True, "recurrent_dropout": 0.3}
    (x,) = b.recurrent("lstm", x, 19, initial=(h0, c0), layer_normalization=True)
    (x,) = b.recurrent("gru", x, 35, lengths=True, go_backwards=True, aligned=True, bias=False, **options)
    (x,) = b.recurrent("simple_rnn", x, 6, mask=mask, activation="sigmoid", **options)
    (x,) = b.recurrent("lstm", x, 5, trainable=(True, True, False), layer_normalization=True)
    sequence, h, c = b.recurrent("lstm", x, 7, outputs="sequence h c", checkpoint_every=2, mask=mask, **options)
    (x,) = b.recurrent("lstm", sequence, 7, initial=(h, c), checkpoint_every=3, zero_output_for_mask=True, **options)
    (x,) = b.recurrent("gru", x, 7, initial=(h,), checkpoint_every=2, layer_normalization=True)
    (y,) = b.recurrent("gru", x, 4, outputs="h", recurrent_activation="hard_sigmoid", layer_normalization=True)
    (z,) = b.recurrent("simple_rnn", x, 4, outputs="h", lengths=True, layer_normalization=True)
    return b.build(b.dense(y, 3), x, z)


def cut() -> Program:
    """Rows that begin anew within: of every cell, masked and not, in any direction, with every option."""
    b = Builder()
    x, h0, c0, row = b.input(None, FEATURES), b.input(19), b.input(19), b.value(19)
    mask, resets = b.mask(), b.input(None, dtype="int")
    b.node("repeat_row", (x,), (row,), (b.parameter(1, 19),))
    marks = b.value(None, dtype="int")
    b.node("masking", (resets, -1), (-1, marks), (), mask_value=5)
    (x,) = b.recurrent("lstm", x, 19, initial=(h0, c0), resets=(marks, row, h0))
    options: dict[str, Any] = {"go_backwards": True, "aligned": True, "recurrent_dropout": 0.3}
    (x,) = b.recurrent("gru", x, 35, resets=(mask,), lengths=True, zoneout=0.5, **options)
    (x,) = b.recurrent("lstm", x, 19, initial=(row,), resets=(resets, h0, c0), mask=mask, peepholes=True)
    (x,) = b.recurrent("lstm", x, 7, resets=(mask,), projected=4, zero_output_for_mask=True, mask=marks)
    sequence, h = b.recurrent("simple_rnn", x, 6, outputs="sequence h", resets=(mask,), go_backwards=True)
    (x,) = b.recurrent("gru", sequence, 6, initial=(h,), resets=(marks, h), reset_after=False, recurrent_dropout=0.3)
    (y,) = b.recurrent("gru", x, 6, outputs="h", resets=(mask,), lengths=True, layer_normalization=True)
    return b.build(b.dense(y, 3), x)


def flattened() -> Program:
    b = Builder()
    (x,) = b.recurrent("gru", b.input(STEPS, FEATURES), 4, lengths=True, go_backwards=True)
    x = b.elementwise("activation", x, function="relu")
    y = b.value(STEPS * 4)
    b.node("flatten", (x,), (y,), ())
    return b.build(b.dense(y, 4, "sigmoid"))


def shared() -> Program:
    """A kernel used twice, a value read three times, two outputs, one of which goes on."""
    b = Builder()
    x = b.dense(b.input(4), 4, "tanh")
    kernel = b.parameter(4, 4)
    first, second, third = b.value(4), b.value(4), b.value(1, 4)
    b.node("dense", (x,), (first,), (kernel,), activation="tanh")
    b.node("dense", (first,), (second,), (kernel,), activation="sigmoid")
    sequence = b.input(None, 4)
    b.node("simple_rnn", (sequence, -1, first), (-1, third), (kernel, kernel, b.parameter(4)), activation="tanh")
    b.values[third] = Value("third", (None, 4))
    return b.build(first, second, b.dense(third, 2), b.dense(first, 3))


def repeated() -> Program:
    """A value that is an output three times and goes on."""
    b = Builder()
    h, c = b.recurrent("lstm", b.input(None, FEATURES), 4, outputs="h c", lengths=True)
    return b.build(h, b.dense(h, 3), h, c, h)


def frozen() -> Program:
    """Parameters that do not train, before, between and after others; one node has none that does."""
    b = Builder()
    (x,) = b.recurrent("gru", b.input(None, FEATURES), 5, trainable=(True, False, False))
    (x,) = b.recurrent("lstm", x, 5, trainable=(False, True, False))
    x = b.dense(x, 6, "tanh", trainable=False)
    (h,) = b.recurrent("simple_rnn", x, 5, outputs="h", trainable=(False, False, True))
    b.dense(h, 3)  # read by nobody
    return b.build(b.dense(h, 3))


def merged() -> Program:
    """Every merge: equal shapes, repeated axes, other ranks, three inputs, an input that comes twice."""
    b = Builder()
    given, vector = b.input(None, FEATURES), b.input(FEATURES)
    (x,) = b.recurrent("gru", given, FEATURES)

    def merge(kind: str, *inputs: int) -> int:
        shapes = [b.values[value].shape[1:] for value in inputs]
        y = b.value(*max(shapes, key=lambda shape: (len(shape), shape[-1])))
        b.node("merge", inputs, (y,), (), kind=kind)
        return y

    narrow = b.dense(given, 1, "tanh")
    x = merge("add", x, vector, narrow)
    x = merge("average", x, given, given)
    x = merge("multiply", x, narrow, vector)
    flat = merge("subtract", vector, b.dense(vector, 1))
    x = merge("maximum", x, given, flat, x)
    x = merge("minimum", x, given)
    return b.build(b.dense(x, 2), merge("multiply", flat, vector, flat))


def shaped() -> Program:
    """Concatenation along features and time, reshaping, repetition and permutation, of three and four axes."""
    b = Builder()
    given = b.input(STEPS, FEATURES)
    (x, h) = b.recurrent("lstm", given, 4, outputs="sequence h")
    joined = b.value(STEPS, 4 + 2 * FEATURES)
    b.node("concatenate", (given, x, given), (joined,), (), axis=-1)
    repeated = b.value(2, 4)
    b.node("repeat_vector", (h,), (repeated,), (), n=2)
    longer = b.value(STEPS + 2, 4)
    b.node("concatenate", (x, repeated), (longer,), (), axis=1)
    block = b.value(2, STEPS, STEPS)
    b.node("reshape", (joined,), (block,), (), shape=[2, -1, STEPS])
    turned = b.value(STEPS, 2, STEPS)
    b.node("permute", (block,), (turned,), (), dims=[3, 1, 2])
    flat = b.value(2 * STEPS * STEPS)
    b.node("reshape", (turned,), (flat,), (), shape=[-1])
    wide = b.value(2 * STEPS * STEPS + 4)
    b.node("concatenate", (flat, h), (wide,), (), axis=1)
    back = b.value(4, STEPS + 2)
    b.node("permute", (longer,), (back,), (), dims=[2, 1])
    return b.build(b.dense(wide, 3), b.dense(back, 2))


def sliced() -> Program:
    """Parts of steps, forwards and backwards, with the masks that go with them; parts of features; factors."""
    b = Builder()
    given, mask = b.input(STEPS, FEATURES), b.mask(STEPS)
    end = 2**31

    def part(x: int, shape: tuple[int, ...], mask: int = -1, **cut: list[int]) -> tuple[int, int]:
        y, marks = b.value(*shape), b.value(shape[0], dtype="int") if mask >= 0 else -1
        b.node("slice", (x, mask), (y, marks), (), **cut)
        return y, marks

    lengths = b.lengths_value()
    inner, inner_mask = part(
        given, (STEPS - 2, FEATURES), lengths, starts=[1, 0], stops=[-1, end], steps=[1, 1], drops=[0, 0]
    )
    back, back_mask = part(
        given, (STEPS, FEATURES - 1), mask, starts=[end, 1], stops=[-end, end], steps=[-1, 1], drops=[0, 0]
    )
    (one,) = b.recurrent("gru", inner, 3, outputs="h", mask=inner_mask)
    (two,) = b.recurrent("lstm", back, 3, outputs="h", mask=back_mask)
    last, _ = part(given, (FEATURES,), starts=[-1, 0], stops=[end, end], steps=[1, 1], drops=[1, 0])
    first, _ = part(given, (STEPS,), starts=[0, 0], stops=[end, 1], steps=[1, 1], drops=[0, 1])
    some, _ = part(last, (2,), starts=[0], stops=[4], steps=[2], drops=[0])
    joined = b.value(3 + 3 + FEATURES + STEPS + 2)
    b.node("concatenate", (one, two, last, first, some), (joined,), (), axis=1)
    return b.build(b.dense(b.elementwise("rescale", joined, scale=-0.7, offset=0.2), 2))


def attention() -> Program:
    """Scaled dots between sequences of other lengths, all masks given, dropped weights are an output."""
    b = Builder()
    query, value, key = b.input(7, 19), b.input(None, 5), b.input(None, 19)
    masks = b.input(7, dtype="int"), b.input(None, dtype="int"), b.input(7, None, dtype="int")
    made = b.attention(
        query,
        b.dense(value, 6),
        key,
        masks=masks,
        weights=(b.parameter(),),
        outputs="context weights",
        score="dot",
        causal=True,
        rate=0.4,
        seed=3,
        drops_weights=True,
    )
    return b.build(*made)


def heads() -> Program:
    """Self-attention of three heads; the lengths mask queries and keys."""
    b = Builder()
    x = b.input(None, FEATURES)
    query, value, key = b.dense(x, 12), b.dense(x, 21), b.dense(x, 12, bias=False)
    lengths = b.lengths_value()
    made = b.attention(
        query,
        value,
        key,
        masks=(lengths, lengths),
        outputs="context weights",
        score="dot",
        heads=3,
        factor=0.5,
        rate=0.3,
        hides_queries=True,
    )
    return b.build(b.dense(made[0], 4), made[1])


def additive() -> Program:
    """A decoder's queries on an encoder's sequence that ends early; query and value are read twice."""
    b = Builder()
    x = b.input(None, FEATURES)
    (value,) = b.recurrent("gru", x, 18, lengths=True)
    query = b.dense(b.input(3, 4), 18)
    (context,) = b.attention(
        query, value, value, masks=(-1, b.lengths_value()), weights=(b.parameter(18),), score="additive"
    )
    (again,) = b.attention(context, value, value, score="additive", causal=True, rate=0.2)
    return b.build(b.dense(again, 2), query)


def concat() -> Program:
    b = Builder()
    query, value = b.input(None, 6), b.input(60, 6)
    mask = b.input(60, dtype="int")
    (context,) = b.attention(
        query, value, value, masks=(-1, mask), weights=(b.parameter(), b.parameter()), score="concat"
    )
    made = b.attention(context, value, value, weights=(b.parameter(),), outputs="weights", score="concat")
    return b.build(context, *made)


def steps() -> Program:
    """Steps as samples of their own, as vectors and as sequences."""
    b = Builder()
    given = b.input(None, FEATURES, 2)
    rows = b.value(FEATURES, 2)
    b.node("fold_time", (given,), (rows,), ())
    (h,) = b.recurrent("gru", rows, 4, outputs="h")
    x = b.value(None, 4)
    b.node("unfold_time", (h, given), (x,), ())
    (x,) = b.recurrent("lstm", x, 3, go_backwards=True, aligned=True)
    flat = b.value(3)
    b.node("fold_time", (x,), (flat,), ())
    back = b.value(None, 2)
    b.node("unfold_time", (b.dense(flat, 2, "tanh"), x), (back,), ())
    sequences = b.value(None, FEATURES, 2)
    b.node("unfold_time", (rows, given), (sequences,), ())
    return b.build(back, sequences)


def kept() -> Program:
    """States that a caller may keep: one begins with an input, one with zeros and is read and written twice."""
    b = Builder()
    x, initial = b.input(None, FEATURES), b.input(5)

    def read(offset: int, units: int, initial: int = -1) -> int:
        h = b.value(units)
        b.node("read_state", (x, initial), (h,), (), state_offset=offset, units=units)
        return h

    (y, h) = b.recurrent("gru", x, 5, outputs="sequence h", initial=(read(3, 5, initial),))
    b.node("write_state", (h,), (), (), state_offset=3)
    for _ in range(2):
        (y, h) = b.recurrent("simple_rnn", y, 3, outputs="sequence h", initial=(read(0, 3),), lengths=True)
        b.node("write_state", (h,), (), (), state_offset=0)
    return b.build(b.dense(y, 2))


PROGRAMS: dict[str, Callable[[], Program]] = {
    "dense_stack": dense_stack,
    "tutorial": tutorial,
    "simple_rnn": stack("simple_rnn"),
    "lstm": stack("lstm"),
    "gru": stack("gru", reset_after=True),
    "gru_reset_before": stack("gru", reset_after=False),
    "backwards": stack("lstm", go_backwards=True),
    "ragged": stack("gru", lengths=True),
    "mixed": mixed,
    "states": states,
    "masked": masked,
    "masked_with_zeros": masked_with_zeros,
    "masking": masking,
    "aligned": aligned,
    "words": words,
    "zoned": zoned,
    "peepholes": peepholes,
    "projected": projected,
    "normalized": normalized,
    "checkpointed": checkpointed,
    "dropped": dropped,
    "flattened": flattened,
    "shared": shared,
    "repeated": repeated,
    "frozen": frozen,
    "cut": cut,
    "merged": merged,
    "shaped": shaped,
    "sliced": sliced,
    "attention": attention,
    "heads": heads,
    "additive": additive,
    "concat": concat,
    "steps": steps,
    "kept": kept,
    **LAYERS,
}


def random_inputs(program: Program, samples: int, dtype: Any, seed: int = 3) -> tuple[list[Array], Array | None]:
    """Arrays for the inputs, and lengths from 0 to all steps when the program takes them."""
    rng = np.random.default_rng(seed)
    arrays: list[Array] = []
    for number in program.inputs:
        value = program.values[number]
        shape = (samples, *(STEPS if size is None else size for size in value.shape[1:]))
        if value.name.startswith("mask"):
            arrays.append(rng.integers(2, size=shape).astype(np.int32))
            arrays[-1][:1] = 0
        elif value.dtype == "int":
            arrays.append(rng.integers(9, size=shape).astype(np.int32))
        else:
            arrays.append(rng.normal(size=shape).astype(dtype))
    lengths = rng.permutation(np.arange(samples) % (STEPS + 1)).astype(np.int32) if program.lengths >= 0 else None
    return arrays, lengths


def random_parameters(program: Program, dtype: Any, seed: int = 5) -> Array:
    size = sum(parameter.size for parameter in program.parameters)
    vector: Array = np.random.default_rng(seed).normal(scale=0.4, size=size).astype(dtype)
    for parameter in program.parameters:
        if parameter.name == "variance":
            window = slice(parameter.offset, parameter.offset + parameter.size)
            vector[window] = np.abs(vector[window]) + dtype(0.1)
    return vector
