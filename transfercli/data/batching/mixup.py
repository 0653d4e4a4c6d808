"""Augmentations that mix images of a batch, and their targets with them; NumPy alone, drawn from a generator.

No preset has one, also not `strong`: a preset leaves labels alone, so that features of its views can be cached. A
mixed image is another one in every batch, which needs the whole network for every step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

Mixed = tuple[np.ndarray, np.ndarray]


class Mixer(ABC):
    """Mixes each image with another of its batch.

    alpha: of the Beta(alpha, alpha) distribution that the shares are drawn from; large is near one half.
    probability: of an image to be mixed at all. Raises ValueError where one of them is out of range.
    """

    def __init__(self, alpha: float, probability: float = 1.0) -> None:
        for name, value, fits in (("alpha", alpha, "above 0"), ("probability", probability, "from 0 to 1")):
            good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e6
            if not good or (value == 0 if name == "alpha" else value > 1):
                raise ValueError(f"{name} must be a number {fits}")
        self.alpha, self.probability = alpha, probability

    def __call__(self, images: np.ndarray, targets: np.ndarray, draws: np.random.Generator) -> Mixed:
        """float32 [n, H, W, 3] and [n, C] -> the same shapes; a row of targets sums to what it did."""
        count = len(images)
        partner = draws.permutation(count)
        share = draws.beta(self.alpha, self.alpha, count)
        share = np.where(draws.random(count) < self.probability, share, 1.0)
        mixed, share = self._mix(images, images[partner], share, draws)
        share = share[:, None].astype(np.float32)
        return mixed, share * targets + (1 - share) * targets[partner]

    @abstractmethod
    def _mix(self, images: np.ndarray, others: np.ndarray, share: np.ndarray, draws: np.random.Generator) -> Mixed:
        """Images of which `share` [n] is one's own; and the shares as they came out."""


class MixUp(Mixer):
    """The weighted mean of two images (Zhang et al. 2018), with a share for every image by itself."""

    def _mix(self, images: np.ndarray, others: np.ndarray, share: np.ndarray, draws: np.random.Generator) -> Mixed:
        own = share[:, None, None, None].astype(np.float32)
        return own * images + (1 - own) * others, share


class CutMix(Mixer):
    """A box of another image pasted into one's own (Yun et al. 2019), with a box for every image by itself.

    Its centre lies anywhere and what reaches over the edge is cut off, so that the targets follow from its area.
    """

    def _mix(self, images: np.ndarray, others: np.ndarray, share: np.ndarray, draws: np.random.Generator) -> Mixed:
        count, height, width = images.shape[:3]
        inside = np.ones((count, height, width), bool)
        for axis, size in ((1, height), (2, width)):
            half = size * np.sqrt(1 - share) / 2
            centre = draws.uniform(0, size, count)
            first, last = np.rint(centre - half), np.rint(centre + half)
            place = np.arange(size)
            covered = (place >= first[:, None]) & (place < last[:, None])
            inside &= covered[:, :, None] if axis == 1 else covered[:, None, :]
        return np.where(inside[..., None], others, images), 1 - inside.mean((1, 2))


MIXERS: dict[str, Callable[..., Mixer]] = {"CutMix": CutMix, "MixUp": MixUp}

# Arguments of the papers' main experiments; what a config gives comes on top.
DEFAULTS: dict[str, dict[str, Any]] = {"CutMix": {"alpha": 1.0}, "MixUp": {"alpha": 0.2}}
