"""MixUp and CutMix: augmentations that mix the images and the targets of a batch, in NumPy.

No preset contains them: a preset keeps labels, so that features of its views can be cached. A mixed image is different
in every batch, so that each step needs the whole network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from transfercli.data.label_sets import UNKNOWN

Mixed = tuple[np.ndarray, np.ndarray]


class Mixer(ABC):
    """Base class: mixes each image with another of its batch.

    Raises `ValueError` if an argument is out of range.

    alpha: parameter of the Beta(alpha, alpha) distribution of the image's own share; large values give about one half.
    probability: probability that an image is mixed.
    """

    def __init__(self, alpha: float, probability: float = 1.0) -> None:
        for name, value, allowed in (("alpha", alpha, "above 0"), ("probability", probability, "from 0 to 1")):
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e6
            if not is_number or (value == 0 if name == "alpha" else value > 1):
                raise ValueError(f"{name} must be a number {allowed}")
        self.alpha, self.probability = alpha, probability

    def __call__(self, images: np.ndarray, targets: np.ndarray, draws: np.random.Generator) -> Mixed:
        """Return mixed images, float32 [n, H, W, 3], and targets, [n, C].

        targets: of classes, rows that sum to 1, as the results do; or of labels, negative if unknown: a label is
        unknown after mixing if it is for one of the two images.
        """
        count = len(images)
        partner = draws.permutation(count)
        share = draws.beta(self.alpha, self.alpha, count)
        share = np.where(draws.random(count) < self.probability, share, 1.0)
        mixed, share = self._mix(images, images[partner], share, draws)
        share = share[:, None].astype(np.float32)
        others = targets[partner]
        known = (targets >= 0) & ((others >= 0) | (share == 1))
        return mixed, np.where(known, share * targets + (1 - share) * others, UNKNOWN).astype(np.float32)

    @abstractmethod
    def _mix(self, images: np.ndarray, others: np.ndarray, share: np.ndarray, draws: np.random.Generator) -> Mixed:
        """Return mixed images and the actual own share of each, [n].

        share: [n], the wanted share of each image's own pixels.
        """


class MixUp(Mixer):
    """Weighted mean of two images (Zhang et al. 2018); each image has its own share."""

    def _mix(self, images: np.ndarray, others: np.ndarray, share: np.ndarray, draws: np.random.Generator) -> Mixed:
        own = share[:, None, None, None].astype(np.float32)
        return own * images + (1 - own) * others, share


class CutMix(Mixer):
    """Box of another image pasted into an image (Yun et al. 2019); each image has its own box.

    The centre of the box is uniform over the image and the box is cut at the border; the targets follow from the area
    that is left.
    """

    def _mix(self, images: np.ndarray, others: np.ndarray, share: np.ndarray, draws: np.random.Generator) -> Mixed:
        count, height, width = images.shape[:3]
        inside = np.ones((count, height, width), bool)
        for axis, size in ((1, height), (2, width)):
            half = size * np.sqrt(1 - share) / 2
            centre = draws.uniform(0, size, count)
            first, last = np.rint(centre - half), np.rint(centre + half)
            positions = np.arange(size)
            covered = (positions >= first[:, None]) & (positions < last[:, None])
            inside &= covered[:, :, None] if axis == 1 else covered[:, None, :]
        return np.where(inside[..., None], others, images), 1 - inside.mean((1, 2))


MIXERS: dict[str, Callable[..., Mixer]] = {"CutMix": CutMix, "MixUp": MixUp}

# Arguments of the papers' main experiments; the config's arguments override them.
DEFAULTS: dict[str, dict[str, Any]] = {"CutMix": {"alpha": 1.0}, "MixUp": {"alpha": 0.2}}
