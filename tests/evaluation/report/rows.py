"""Digits as rows of a cache."""

from __future__ import annotations

import numpy as np

from tests.digits import all_digits


class Rows:
    """Rows of scikit-learn's digits, as ingest would hand them on."""

    def __init__(self, count: int) -> None:
        self.pixels = all_digits().rgb(range(count))

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels[indices].copy()
