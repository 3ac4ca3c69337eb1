"""These tests need scikit-learn."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("sklearn") else ["*"]
