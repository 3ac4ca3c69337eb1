"""How often the most probable labels of a chain are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import losses
from rnncore._data import Array
from rnncore.decoding.crf import best_paths
from rnncore.metrics.base import Metric
from rnncore.program import Shape

__all__ = ["ViterbiAccuracy"]


class ViterbiAccuracy(Metric):
    """How many labels are right of the most probable sequence that `layers.CRF` gives; targets are labels (N, T).

    Steps of weight 0, as those that a mask leaves out, are no part of a sequence. Computed in Python, with one more
    pass over each batch.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import metrics
    >>> first, then = [[0.4, 0.6], [0.4, 0.6]], [[0.9, 0.1], [0.5, 0.5]]  # best: 0, 0
    >>> metric = metrics.ViterbiAccuracy()
    >>> metric.update_state([[0, 1]], np.log([[first, then]]))
    >>> metric.result()
    0.5
    """

    sparse = True
    direction = "max"

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        return losses.CRF().target(argument, value, output, dtype)

    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state."""
        output = data.floating("y_pred", y_pred)
        target = self.target("y_true", y_true, output.shape, output.dtype)
        data.same_rows({"y_true": target, "y_pred": output})
        weight = np.ones(target.shape)
        if sample_weight is not None:
            given = data.sample_weight("sample_weight", sample_weight, target.shape, np.float64)
            weight *= given.reshape(given.shape + (1,) * (2 - given.ndim))
        right = 0.0
        for row, labels, share in zip(output, target, weight, strict=True):
            steps = share > 0
            for best in best_paths(row[steps].astype(np.float64), 1):
                right += float(np.sum(share[steps] * (best.labels == labels[steps])))
        return np.array([right, weight.sum()])
