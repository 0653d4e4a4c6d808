"""Answers by a threshold, compared in float32, the type that every artefact computes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def as_float32(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the values rounded to float32, as float64, in which a comparison with a Python number is exact."""
    return values.astype(np.float32).astype(np.float64)


def answers_of(probabilities: npt.NDArray[np.floating], threshold: float | None) -> npt.NDArray[np.int64] | None:
    """Return the classes that a threshold of the second of two answers, int64 [N]; None without a threshold."""
    return None if threshold is None else (as_float32(probabilities[:, 1]) >= threshold).astype(np.int64)
