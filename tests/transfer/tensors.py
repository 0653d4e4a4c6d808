"""Tensors of classifiers, compared."""

from __future__ import annotations

from typing import Any

import numpy as np


def tensors(classifier: Any) -> dict[str, np.ndarray]:
    from transfercli.models.tensor_names import read_tensors

    return read_tensors(classifier)


def furthest(one: Any, other: Any) -> float:
    found, expected = tensors(one), tensors(other)
    return max(float(np.abs(found[name] - expected[name]).max()) for name in expected)
