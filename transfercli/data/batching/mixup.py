"""MixUp and CutMix: augmentations that mix the images and the targets of a batch, in NumPy or inside a JAX step.

No preset contains them: a preset keeps labels, so that features of its views can be cached. A mixed image is different
in every batch, so that each step needs the whole network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transfercli.data.label_sets import UNKNOWN

Mixed = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class MixDraws:
    """Random draws that mix a batch of n images.

    partner: int [n], row of the image that each is mixed with. share: [n], wanted share of each image's own pixels.
    centre: of each box in CutMix, [2, n], as fractions of the height and the width.
    """

    partner: Any
    share: Any
    centre: Any = None


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
        mixed, mixed_targets, _ = self.mixed(images, targets, self._drawn(len(images), draws), np)
        return mixed, mixed_targets

    def mixed(self, images: Any, targets: Any, drawn: MixDraws, xp: Any) -> tuple[Any, Any, Any]:
        """Return mixed images and targets, as a call does, and the actual own share of each, float32 [n, 1].

        xp: module that the arrays are of, `numpy` or `jax.numpy`.
        """
        mixed, share = self._mix(images, images[drawn.partner], drawn, xp)
        share = share[:, None].astype(np.float32)
        others = targets[drawn.partner]
        known = (targets >= 0) & ((others >= 0) | (share == 1))
        mixed_targets = xp.where(known, share * targets + (1 - share) * others, UNKNOWN).astype(np.float32)
        return mixed, mixed_targets, share

    def _drawn(self, count: int, draws: np.random.Generator) -> MixDraws:
        partner = draws.permutation(count)
        share = draws.beta(self.alpha, self.alpha, count)
        return MixDraws(partner, np.where(draws.random(count) < self.probability, share, 1.0))

    @abstractmethod
    def _mix(self, images: Any, others: Any, drawn: MixDraws, xp: Any) -> tuple[Any, Any]:
        """Return mixed images and the actual own share of each, [n]."""


class MixUp(Mixer):
    """Weighted mean of two images (Zhang et al. 2018); each image has its own share."""

    def _mix(self, images: Any, others: Any, drawn: MixDraws, xp: Any) -> tuple[Any, Any]:
        own = drawn.share[:, None, None, None].astype(np.float32)
        return own * images + (1 - own) * others, drawn.share


class CutMix(Mixer):
    """Box of another image pasted into an image (Yun et al. 2019); each image has its own box.

    The centre of the box is uniform over the image and the box is cut at the border; the targets follow from the area
    that is left.
    """

    def _drawn(self, count: int, draws: np.random.Generator) -> MixDraws:
        drawn = super()._drawn(count, draws)
        return replace(drawn, centre=np.stack([draws.random(count), draws.random(count)]))

    def _mix(self, images: Any, others: Any, drawn: MixDraws, xp: Any) -> tuple[Any, Any]:
        count, height, width = images.shape[:3]
        inside = xp.ones((count, height, width), bool)
        for axis, size in ((1, height), (2, width)):
            half = size * xp.sqrt(1 - drawn.share) / 2
            centre = size * drawn.centre[axis - 1]
            first, last = xp.rint(centre - half), xp.rint(centre + half)
            positions = xp.arange(size)
            covered = (positions >= first[:, None]) & (positions < last[:, None])
            inside = inside & (covered[:, :, None] if axis == 1 else covered[:, None, :])
        return xp.where(inside[..., None], others, images), 1 - inside.mean((1, 2))


MIXERS: dict[str, Callable[..., Mixer]] = {"CutMix": CutMix, "MixUp": MixUp}

# Arguments of the papers' main experiments; the config's arguments override them.
DEFAULTS: dict[str, dict[str, Any]] = {"CutMix": {"alpha": 1.0}, "MixUp": {"alpha": 0.2}}
