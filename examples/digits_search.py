"""Search for the network that names digits best, with the tools of scikit-learn.

The data are those of `images.py`: images of eight rows, read from the top. The candidates differ in cell, size and
direction. All are trained for a few epochs and judged by cross-validation; the better half goes on with twice the
epochs, until one is left. It is then judged on the images held back, also by how well its probabilities fit.

Run it with ``python examples/digits_search.py [--quick] [--epochs 48] [--seed 0]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from _common import arguments
from images import load, split


def search(epochs: int, seed: int) -> Any:
    """A search over twelve pipelines, two processes at a time."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV
    from sklearn.pipeline import Pipeline

    from rnncore.sklearn import RNNClassifier, SequenceScaler

    classifier = RNNClassifier(learning_rate=0.01, calibrate=True, random_state=seed)
    candidates = {
        "classifier__cell": ["gru", "lstm", "simple_rnn"],
        "classifier__units": [16, 48],
        "classifier__bidirectional": [False, True],
    }
    return HalvingGridSearchCV(
        Pipeline([("scaler", SequenceScaler()), ("classifier", classifier)]),
        candidates,
        factor=2,
        resource="classifier__epochs",
        min_resources=max(1, epochs // 8),
        max_resources=epochs,
        cv=3,
        random_state=seed,
        n_jobs=2,
    )


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Search, and judge the winner on images held back."""
    options = arguments(__doc__ or "", given, epochs=48, quick=8)
    images, digits, held_images, held_digits = split(*load())
    if options.quick:
        images, digits = images[:600], digits[:600]
    found = search(options.epochs, options.seed).fit(images, digits)

    from sklearn.metrics import log_loss

    winner = ", ".join(f"{name.partition('__')[2]}={value!r}" for name, value in found.best_params_.items())
    print(f"Of {found.n_candidates_[0]} candidates: {winner}; {found.best_score_:.1%} right in cross-validation")
    accuracy = float(found.score(held_images, held_digits))
    loss = float(log_loss(held_digits, found.predict_proba(held_images)))
    print(f"Named right of {len(held_digits)} images held back: {accuracy:.1%}; cross-entropy {loss:.3f}")
    return {"accuracy": accuracy, "loss": loss}


if __name__ == "__main__":
    main()
