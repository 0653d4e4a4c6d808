"""Outputs of an artefact in one array: the probabilities, and the out-of-distribution score if it gives one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def with_score(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return float32 [N, C] or, if there is an output [N] beside the probabilities [N, C], [N, C + 1].

    The outputs are told apart by their rank, because not every runtime keeps their order and names.
    """
    probabilities = next(output for output in outputs if output.ndim == 2)
    scores = [output for output in outputs if output.ndim == 1]
    return np.column_stack([probabilities, *scores]) if scores else probabilities
