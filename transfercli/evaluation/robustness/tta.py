"""Test-time augmentation: the mean of a model's probabilities over several views of an image.

Views are the image, crops of 7/8 of its sides at the corners and the centre, and the mirror images of all of these
(Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", average ten such crops). A
mirror image may belong to another class, e.g. of a digit, so mirror images are used only if the training mirrored its
images.
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
from transfercli.evaluation.scoring import Predicted, scoring_of
from transfercli.evaluation.statistics.paired import Comparison, compare

Pixels = npt.NDArray[np.uint8]

CROP = 7 / 8  # of each side
# The position of a crop (vertical, horizontal): 0 at the top or left, 1 at the bottom or right; None: no crop.
CROPS: dict[str, tuple[float, float] | None] = {
    "whole": None,
    "top left": (0, 0),
    "top right": (0, 1),
    "bottom left": (1, 0),
    "bottom right": (1, 1),
    "centre": (0.5, 0.5),
}


@dataclass(frozen=True, slots=True)
class View:
    """A view of an image: a crop, by its key of CROPS, and whether it is mirrored."""

    crop: str
    mirrored: bool = False

    def __call__(self, images: Pixels) -> Pixels:
        """Return the view of images uint8 [n, H, W, 3], of the same shape; crops are resized bilinearly."""
        position = CROPS[self.crop]
        cropped = images if position is None else np.stack([_crop(image, position) for image in images])
        return cropped[:, :, ::-1] if self.mirrored else cropped


def views(mirrored: bool) -> tuple[View, ...]:
    """Return the whole image and its crops and, if `mirrored`, the mirror images of all: 6 or 12 views."""
    variants = (False, True) if mirrored else (False,)
    return tuple(View(crop, variant) for variant in variants for crop in CROPS)


def trained_with_mirroring(config: AugmentationConfig) -> bool:
    """Return True if training images were mirrored horizontally."""
    flips = [layer["RandomFlip"] for layer in config.layers or PRESETS[config.preset] if "RandomFlip" in layer]
    return any("horizontal" in flip.get("mode", "horizontal_and_vertical") for flip in flips)  # Keras' default


def average_views(plain: Predicted, others: Iterable[Array]) -> Predicted:
    """Return the mean probabilities of `plain` and `others`, [N, C] each: the predictions of further views."""
    total, number = plain.probabilities.copy(), 1
    for probabilities in others:
        total += probabilities
        number += 1
    return replace(plain, probabilities=total / number)


def tta_gain(plain: Predicted, mean: Predicted, used: Sequence[View], seed: int) -> dict[str, Any]:
    """Return the metrics of the mean over the views `used`, and their gains over the plain predictions.

    A gain above 0 is better, also if lower values of the metric are; its 95% interval is from the paired bootstrap,
    None if no resample differs. mcnemar: images that only the mean, or only the plain prediction, has right.
    """
    compared, names = compare(plain, mean, seed=seed), scoring_of(plain).metrics
    return {
        "views": len(used),
        "mirrored": any(view.mirrored for view in used),
        "metrics": {name: compared.metrics[name].challenger for name in names},
        "gain": {name: _gain(replace(compared, metric=name)) for name in names},
        "mcnemar": compared.as_json()["mcnemar"],
    }


def _gain(compared: Comparison) -> dict[str, Any]:
    interval = compared.gain_interval()
    return {"value": compared.gain(), "interval": interval and list(interval)}


def _crop(image: Pixels, position: tuple[float, float]) -> Pixels:
    height, width = image.shape[:2]
    rows, columns = max(1, round(height * CROP)), max(1, round(width * CROP))
    top, left = int(position[0] * (height - rows)), int(position[1] * (width - columns))
    part = np.ascontiguousarray(image[top : top + rows, left : left + columns])
    return np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR))
