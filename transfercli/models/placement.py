"""Placement of batches on devices, and collection of what a step returns."""

from __future__ import annotations

from typing import Any

import numpy as np


def placed(batch: np.ndarray) -> Any:
    """Return a whole batch as a step takes it, its rows shared out over all devices if computing is distributed."""
    return batch


def gathered(output: Any) -> np.ndarray:
    """Return what a step returned for a placed batch, all rows, on every process."""
    return np.asarray(output)
