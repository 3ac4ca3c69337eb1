"""Small Programs of activations, noise, normalization, convolution and pooling."""

from __future__ import annotations

from collections.abc import Callable

from program_builder import Builder

from rnncore.program import Program

FEATURES = 3


def activated() -> Program:
    """Every function that cells lack, in wide and narrow layers, and with what it takes."""
    b = Builder()
    given = b.input(None, FEATURES)
    ends = []
    for function in ("leaky_relu", "elu", "selu", "exponential", "softsign", "softplus", "silu", "gelu", "mish"):
        ends.append(b.dense(given, 3, function))
        ends.append(b.dense(b.dense(given, 21, function), 3))
        ends.append(b.dense(b.elementwise("activation", b.dense(given, 18), function=function), 3))
    x = b.value(None, 3)
    b.node("merge", tuple(ends), (x,), (), kind="average")
    y = b.elementwise("activation", given, function="relu", negative_slope=0.1, max_value=0.8, threshold=0.2)
    y = b.elementwise("activation", b.dense(y, 3), function="relu", max_value=0.5)
    y = b.elementwise("activation", b.dense(y, 17), function="leaky_relu", negative_slope=0.3)
    return b.build(b.dense(x, 2), b.elementwise("activation", y, function="elu", alpha=0.6))


def normalized() -> Program:
    """Both normalizations, of sequences and vectors, with all and some parameters, masked and frozen."""
    b = Builder()
    given, mask = b.input(None, FEATURES), b.mask()
    x = b.normalized("batch_normalization", b.dense(given, 21, bias=False), momentum=0.8)
    x = b.normalized("layer_normalization", x, center=False)
    x = b.dense(x, 5, "tanh")
    masked = b.normalized("batch_normalization", x, mask=mask, epsilon=0.01, scale=False)
    ragged = b.normalized("batch_normalization", x, mask=b.lengths_value(), center=False)
    frozen = b.normalized("batch_normalization", x, frozen=True)
    plain = b.normalized("layer_normalization", given, scale=False, center=False, epsilon=0.1)
    (h,) = b.recurrent("gru", b.normalized("layer_normalization", x), 18, outputs="h")
    h = b.normalized("layer_normalization", b.normalized("batch_normalization", h))
    return b.build(masked, ragged, frozen, plain, b.dense(h, 2))


def front_end() -> Program:
    """Convolutions and poolings whose masks go on to recurrent layers and global pooling."""
    b = Builder()
    given, lengths = b.input(None, FEATURES), b.lengths_value()
    x, lengths = b.conv1d(given, 3, 20, mask=lengths, strides=2, padding="same", activation="relu")
    x, lengths = b.pool(x, mask=lengths, kind="max", pool_size=2, strides=1, padding="same")
    (y,) = b.recurrent("lstm", x, 6, mask=lengths, go_backwards=True, aligned=True)
    (mean,) = b.pool(y, mask=lengths, kind="average")
    (largest,) = b.pool(x, mask=lengths, kind="max")
    return b.build(y, mean, b.dense(largest, 3))


def convolved() -> Program:
    """Every padding, dilation and activation of convolution, every pooling, with and without masks."""
    b = Builder()
    given, mask = b.input(None, FEATURES), b.mask()
    x, _ = b.conv1d(given, 3, 70, padding="causal", dilation_rate=2, activation="gelu", bias=False)
    x, _ = b.conv1d(x, 2, 4, padding="valid", activation="softmax")
    x, _ = b.pool(x, kind="average", pool_size=3, strides=2, padding="same")
    z, _ = b.conv1d(given, 1, 18)
    masked, _ = b.conv1d(z, 5, 17, mask=mask, padding="same", activation="tanh")
    first, _ = b.pool(masked, kind="max", pool_size=2)
    averaged, _ = b.pool(given, mask=b.lengths_value(), kind="average", pool_size=2, strides=1)
    (whole,) = b.pool(z, kind="max")
    (some,) = b.pool(z, mask=mask, kind="average")
    return b.build(x, first, averaged, whole, some)


def noisy() -> Program:
    """Every kind of noise, and dropout whose mask is shared along each axis."""
    b = Builder()
    given = b.input(None, FEATURES)
    x = b.elementwise("noise", b.dense(given, 21), kind="gaussian_noise", stddev=0.3, seed=5)
    x = b.elementwise("noise", x, kind="gaussian_dropout", rate=0.4, seed=7)
    x = b.elementwise("noise", x, kind="alpha_dropout", rate=0.2)
    y = b.elementwise("dropout", given, rate=0.3, shared_axes=[2])
    y = b.elementwise("dropout", y, rate=0.3, shared_axes=[0], seed=3)
    y = b.elementwise("dropout", y, rate=0.3, shared_axes=[1, 2])
    z = b.elementwise("dropout", b.dense(b.input(7), 7), rate=0.5, shared_axes=[0])
    z = b.elementwise("dropout", z, rate=0.2, shared_axes=[1])
    return b.build(b.dense(x, 2), y, b.elementwise("noise", z, kind="gaussian_noise", stddev=1.5))


def merged_masks() -> Program:
    """Masks of inputs and the lengths, merged in every way; products and extremes of inputs that take part by them."""
    b = Builder()
    x, step = b.input(None, FEATURES), b.input(1, FEATURES)
    mask, other, of_step, lengths = b.mask(), b.mask(), b.mask(1), b.lengths_value()

    def masks(kind: str, *pairs: int) -> int:
        made = b.value(None, dtype="int")
        b.node("merge_masks", pairs, (made,), (), kind=kind)
        return made

    def merge(kind: str, inputs: tuple[int, ...], *of: int) -> int:
        y = b.value(None, 5)
        b.node("merge", (*inputs, *of), (y,), (), kind=kind, masked=True)
        return y

    both, either = masks("and", x, mask, x, lengths, x, other), masks("or", x, mask, step, of_step)
    some, backwards = masks("reverse", x, lengths, x, other), masks("reverse", x, mask, x, -1)
    first, second, narrow, single = b.dense(x, 5, "tanh"), b.dense(x, 5), b.dense(x, 1, "sigmoid"), b.dense(step, 5)
    product = merge("multiply", (first, narrow, second), mask, other, lengths)
    largest = merge("maximum", (product, single, first), both, of_step, -1)
    smallest = merge("minimum", (largest, second, second, first), either, lengths, mask, other)
    alone = merge("maximum", (product, second), both, both)
    joined, of_joined = b.value(None, 5), masks("concatenate", largest, some, smallest, lengths)
    b.node("concatenate", (largest, smallest), (joined,), (), axis=1)
    (y,) = b.recurrent("gru", joined, 6, mask=of_joined)
    (z,) = b.recurrent("lstm", alone, 4, mask=backwards)
    (h,) = b.recurrent("simple_rnn", product, 4, mask=masks("and", product, some, step, -1), outputs="h")
    wide = b.input(None, 2, FEATURES)  # a mask for several positions of a step
    wide = b.normalized("batch_normalization", b.dense(wide, 4, bias=False), mask=other)
    wide = b.normalized("batch_normalization", b.elementwise("activation", wide, function="tanh"), mask=lengths)
    return b.build(b.dense(y, 2), z, h, wide, masks=(of_joined, both, -1, mask))


def steps() -> Program:
    """Padding, cropping and upsampling with lengths, masks and neither, softmax over each axis, and plain functions."""
    b = Builder()
    given, mask, lengths = b.input(None, FEATURES), b.mask(), b.lengths_value()

    def changed(op: str, x: int, of: int = -1, **attributes: int | str) -> tuple[int, int]:
        y, made = b.value(None, *b.values[x].shape[2:]), b.value(None, dtype="int")
        b.node(op, (x, of), (y, made), (), **attributes)
        return y, made

    def softmax(x: int, of: int, axis: int) -> int:
        y = b.value(*b.values[x].shape[1:])
        b.node("softmax", (x, of), (y,), (), axis=axis)
        return y

    x, of = changed("pad1d", b.dense(given, 5, "tanh"), lengths, before=2, after=1)
    y, _ = b.conv1d(x, 3, 4, mask=of)
    x, of = changed("upsampling1d", x, of, size=3)
    x, of = changed("pad1d", x, of, before=-4, after=-2)
    (first,) = b.recurrent("gru", x, 6, mask=of)
    z, _ = changed("pad1d", b.dense(given, 17), mask, before=3, after=2, mode="reflect")
    z, _ = changed("upsampling1d", z, size=2)
    wide = b.input(None, 2, FEATURES)
    w, _ = changed("pad1d", wide, lengths, before=1, after=4, mode="reflect")
    ends = [softmax(given, of_axis, axis) for of_axis, axis in ((lengths, 1), (mask, 1), (-1, 2))]
    ends += [softmax(w, -1, 2), softmax(b.dense(wide, 18, bias=False), lengths, 1), softmax(b.dense(wide, 4), -1, 3)]
    positive = b.elementwise("elementwise", given, function="square")
    shifted = b.elementwise("rescale", positive, scale=1.0, offset=0.1)
    for function in ("abs", "cos", "exp", "sin"):
        ends.append(b.elementwise("elementwise", given, function=function))
    ends.append(b.elementwise("elementwise", given, function="clip", min_value=-0.5, max_value=0.4))
    ends.append(b.elementwise("elementwise", given, function="clip", max_value=0.4))
    for function in ("log", "sqrt"):
        ends.append(b.elementwise("elementwise", shifted, function=function))
    ends.append(b.elementwise("elementwise", shifted, function="power", exponent=-1.3))
    return b.build(first, y, z, w, *ends, masks=(of, -1, -1, -1, *[-1] * len(ends)))


LAYERS: dict[str, Callable[[], Program]] = {
    "activated": activated,
    "normalized": normalized,
    "front_end": front_end,
    "convolved": convolved,
    "noisy": noisy,
    "merged_masks": merged_masks,
    "steps": steps,
}
