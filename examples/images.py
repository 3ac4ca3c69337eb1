"""Read digits row by row: an LSTM that names them, and one that draws them.

The 1,797 images of 8 × 8 pixels come with scikit-learn (``pip install scikit-learn``); they are the test part
of the Optical Recognition of Handwritten Digits data of the UCI repository. Each image is a sequence of eight rows.

The classifier reads the rows from the top and names the digit after the last one. The generator is told a digit and
gives, row by row, the ink of the next row. A pixel counts the inked points, 0 to 16, of a block of 4 × 4, so a sample
is a binomial number; the drawn row is what the generator reads next.

Run it with ``python examples/images.py [--quick] [--epochs 60] [--seed 0]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure, save
from rnncore import layers, models, optimizers, utils

Array = npt.NDArray[Any]

CLASSES = 10
LEVELS = 16  # of ink


def load() -> tuple[Array, Array]:
    """Images (N, 8, 8) with values in [0, 1], and digits (N,)."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise SystemExit("the images come with scikit-learn: pip install scikit-learn") from error
    images, digits = load_digits(return_X_y=True)
    return (images.reshape(-1, 8, 8) / LEVELS).astype(np.float32), digits.astype(np.int32)


def split(images: Array, digits: Array, seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """Training images and digits, then those of a random fifth held back."""
    order = np.random.default_rng(seed).permutation(len(images))
    held, kept = np.split(order, [len(order) // 5])
    return images[kept], digits[kept], images[held], digits[held]


def build_model() -> models.Sequential:
    """Eight rows of eight pixels to the probabilities of ten digits."""
    return models.Sequential([layers.Input((8, 8)), layers.LSTM(64), layers.Dense(CLASSES, activation="softmax")])


def train(model: models.Model, images: Array, digits: Array, epochs: int = 60, verbose: int = 1) -> None:
    """Fit the classifier, with a learning rate that falls to zero."""
    rate = optimizers.schedules.CosineDecay(5e-3, decay_steps=epochs * -(-len(images) // 32))
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, digits, batch_size=32, epochs=epochs, verbose=verbose)


def evaluate(model: models.Model, images: Array, digits: Array) -> float:
    """The share of images that are named right."""
    return float(np.mean(model.predict(images, verbose=0).argmax(axis=1) == digits))


def build_generator() -> models.Sequential:
    """The rows so far, each beside the digit to draw, to the mean ink of the next row."""
    return models.Sequential(
        [
            layers.Input((None, 8 + CLASSES)),
            layers.LSTM(128, return_sequences=True),
            layers.Dense(8, activation="sigmoid"),
        ]
    )


def train_generator(model: models.Model, images: Array, digits: Array, epochs: int = 60, verbose: int = 1) -> None:
    """Fit the generator; cross-entropy with the share of ink is the binomial likelihood."""
    rate = optimizers.schedules.CosineDecay(5e-3, decay_steps=epochs * -(-len(images) // 32))
    model.compile(optimizers.Adam(rate), "binary_crossentropy")
    model.fit(conditioned(before(images), digits), images, batch_size=32, epochs=epochs, verbose=verbose)


def before(images: Array) -> Array:
    """The row above each row; a blank one above the first."""
    return np.concatenate([np.zeros_like(images[:, :1]), images[:, :-1]], axis=1)


def conditioned(rows: Array, digits: Array) -> Array:
    """Rows (N, T, 8) beside their digit (N,) as a one-hot vector: (N, T, 18)."""
    labels = np.eye(CLASSES, dtype=np.float32)[digits]
    return np.concatenate([rows, np.repeat(labels[:, np.newaxis], rows.shape[1], axis=1)], axis=2)


def generate(model: models.Model, digits: Array, seed: int = 0) -> Array:
    """Draw one image (8, 8) for each digit, row by row."""
    rng = np.random.default_rng(seed)
    images = np.zeros((len(digits), 8, 8), np.float32)
    for row in range(8):
        read = conditioned(before(images)[:, : row + 1], digits)
        ink = model.predict(read, verbose=0)[:, -1]  # (N, 8)
        images[:, row] = rng.binomial(LEVELS, ink) / LEVELS
    return images


def draw(images: Array, file: Path) -> None:
    """Save a picture of images in ten columns."""
    picture = figure(figsize=(6, 0.6 * len(images) / CLASSES))
    if picture is None:
        return
    for place, image in enumerate(images):
        axes = picture.add_subplot(len(images) // CLASSES, CLASSES, place + 1)
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        axes.set_axis_off()
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train both models, and let the one name what the other draws."""
    options = arguments(__doc__ or "", given, epochs=60, quick=20)
    utils.set_random_seed(options.seed)
    images, digits, held_images, held_digits = split(*load())

    classifier = build_model()
    train(classifier, images, digits, options.epochs, options.verbose)
    accuracy = evaluate(classifier, held_images, held_digits)
    print(f"Named right of {len(held_digits)} images held back: {accuracy:.1%}")

    generator = build_generator()
    train_generator(generator, images, digits, options.epochs, options.verbose)
    wanted = np.tile(np.arange(CLASSES, dtype=np.int32), 10)
    drawn = generate(generator, wanted, options.seed)
    named = evaluate(classifier, drawn, wanted)
    print(f"Drawn digits that the classifier names as wanted: {named:.1%}")
    draw(drawn, options.output / "drawn_digits.png")
    return {"accuracy": accuracy, "drawn": named}


if __name__ == "__main__":
    main()
