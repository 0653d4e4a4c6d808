"""Gain of one head over another on the same images that were held out from both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ERRORS = 1.0  # standard errors by which a gain must exceed 0
ERRORS_OF_GUESSES = 2.0  # likewise with guessed labels; one image more of 50 is already one standard error


@dataclass(frozen=True)
class Gain:
    """Decrease of the log loss in nats, and increase of the hits, of each image: float64 [N]."""

    losses: np.ndarray
    hits: np.ndarray

    @property
    def shown(self) -> bool:
        """Loss or accuracy improve by more than their standard error, and neither is worse."""
        worse = self.losses.mean() < 0 or self.hits.mean() < 0 if len(self.hits) else True
        return bool(not worse and (_clear(self.losses) or _clear(self.hits)))

    @property
    def shown_by_hits(self) -> bool:
        """Accuracy improves by more than two standard errors.

        The measure for labels that were guessed: a head of them is too sure, which changes the loss either way.
        """
        return bool(len(self.hits) and _clear(self.hits, ERRORS_OF_GUESSES))


def _clear(gain: np.ndarray, errors: float = ERRORS) -> bool:
    return bool(gain.mean() > errors * gain.std() / len(gain) ** 0.5)
