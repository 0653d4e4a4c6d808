"""Test-time augmentation: the mean of what a model says of several views of an image.

Views are the image, crops of 7/8 of its sides from the corners and the centre, and the mirror images of all of these
(Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", average ten such crops). A
mirrored digit is another sign or none: mirror images are only taken where the training mirrored its images, and so said
that they mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.augment import PRESETS
from transfercli.evaluation.metrics.confusion import Array
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.paired import Comparison, compare

Pixels = npt.NDArray[np.uint8]

CROP = 7 / 8  # of each side
# Where the crop lies in what it leaves over: 0 at the top or left, 1 at the bottom or right; None: no crop.
PLACES: dict[str, tuple[float, float] | None] = {
    "whole": None,
    "top left": (0, 0),
    "top right": (0, 1),
    "bottom left": (1, 0),
    "bottom right": (1, 1),
    "centre": (0.5, 0.5),
}


@dataclass(frozen=True, slots=True)
class View:
    """How an image is looked at: a key of PLACES, and whether from behind."""

    place: str
    mirrored: bool = False

    def __call__(self, images: Pixels) -> Pixels:
        """uint8 [n, H, W, 3] -> uint8 [n, H, W, 3]; a crop is resized back, bilinear."""
        at = PLACES[self.place]
        seen = images if at is None else np.stack([_crop(image, at) for image in images])
        return seen[:, :, ::-1] if self.mirrored else seen


def views(mirrored: bool) -> tuple[View, ...]:
    """The image as it is, the crops, and with `mirrored` the mirror images of all: 6 or 12."""
    sides = (False, True) if mirrored else (False,)
    return tuple(View(place, side) for side in sides for place in PLACES)


def mirrors(config: AugmentationConfig) -> bool:
    """Whether training images were mirrored from left to right."""
    flips = [layer["RandomFlip"] for layer in config.layers or PRESETS[config.preset] if "RandomFlip" in layer]
    return any("horizontal" in flip.get("mode", "horizontal_and_vertical") for flip in flips)  # Keras' default


def averaged(plain: Predictions, others: Iterable[Array]) -> Predictions:
    """The mean probabilities of `plain` and of `others`, [N, C] each: what was said of further views."""
    total, number = plain.probabilities.copy(), 1
    for probabilities in others:
        total += probabilities
        number += 1
    return replace(plain, probabilities=total / number)


def gained(plain: Predictions, mean: Predictions, taken: Sequence[View], seed: int) -> dict[str, Any]:
    """What the mean over the views `taken` says, and by how much that is better.

    A gain above 0 is better, also where less of a metric is; its 95% interval is that of the paired bootstrap, None
    where no resample differs. mcnemar: images that only the mean has right, or only the plain prediction.
    """
    found = compare(plain, mean, seed=seed)
    return {
        "views": len(taken),
        "mirrored": any(view.mirrored for view in taken),
        "metrics": {name: found.metrics[name].challenger for name in METRICS},
        "gain": {name: _gain(replace(found, metric=name)) for name in METRICS},
        "mcnemar": found.as_json()["mcnemar"],
    }


def _gain(found: Comparison) -> dict[str, Any]:
    interval = found.gain_interval()
    return {"value": found.gain(), "interval": interval and list(interval)}


def _crop(image: Pixels, at: tuple[float, float]) -> Pixels:
    height, width = image.shape[:2]
    rows, columns = max(1, round(height * CROP)), max(1, round(width * CROP))
    top, left = int(at[0] * (height - rows)), int(at[1] * (width - columns))
    part = np.ascontiguousarray(image[top : top + rows, left : left + columns])
    return np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR))
