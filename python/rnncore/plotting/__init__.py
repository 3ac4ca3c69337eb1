"""Pictures of training runs, forecasts, models, attention and gradients.

They need matplotlib, which is imported when one is drawn. Each function returns a
`matplotlib.figure.Figure`, which notebooks show, and writes it to `to_file` when asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.plotting.attention import plot_attention
from rnncore.plotting.confusion import plot_confusion_matrix
from rnncore.plotting.forecast import plot_forecast
from rnncore.plotting.gradients import plot_gradient_flow
from rnncore.plotting.history import plot_history
from rnncore.plotting.model import plot_model

__all__ = [
    "plot_attention",
    "plot_confusion_matrix",
    "plot_forecast",
    "plot_gradient_flow",
    "plot_history",
    "plot_model",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
