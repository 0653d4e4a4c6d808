"""Gain of one head over another on the same images that were held out from both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ERRORS = 1.0  # standard errors by which a gain must exceed 0


@dataclass(frozen=True)
class Gain:
    """Decrease of the log loss in nats, and increase of the hits, of each image: float64 [N]."""

    losses: np.ndarray
    hits: np.ndarray

    @property
    def shown(self) -> bool:
        """Loss or accuracy improve by more than their standard error, and neither is worse."""
        if not len(self.hits):
            return False
        each = (self.losses, self.hits)
        clear = any(gain.mean() > ERRORS * gain.std() / len(gain) ** 0.5 for gain in each)
        return bool(clear and min(gain.mean() for gain in each) >= 0)
