"""Which places of an image spoke for what it was taken for, and that as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow turns colour into grey
FADED, COVERING = 0.75, 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why one image of a split was taken for what it was taken for.

    heat: float32 [h, w], 0 to 1: Grad-CAM; all 0 where nothing spoke for the class.
    occlusion: float32 [H, W], 0 to 1: how much less sure of the class the model is where a place is covered; or None.
    agreement: rank correlation of the two over the covered places, -1 to 1; None where one of them is even.
    """

    heat: Floats
    occlusion: Floats | None = None
    agreement: float | None = None


def to_one(heats: Floats) -> Floats:
    """Heats [N, h, w], each divided by its largest value where there is one."""
    largest = heats.max(axis=(1, 2), keepdims=True)
    return (heats / np.where(largest > 0, largest, 1)).astype(np.float32)


def resized(heat: Floats, size: tuple[int, ...]) -> Floats:
    """A heat [h, w], bilinear, as float32 of `size` (height, width)."""
    from PIL import Image

    picture = Image.fromarray(heat.astype(np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def laid_over(image: npt.NDArray[np.uint8], heat: Floats) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3]: the image in faded grey, and over it the heat [h, w], from dark violet to yellow.

    The colours rise in brightness too, so that they can be read without seeing hues, and in print.
    """
    from matplotlib import colormaps

    strength = resized(heat, image.shape[:2])[..., None]
    grey = np.repeat((image @ LUMA)[..., None], 3, axis=-1) * FADED
    colours = colormaps["inferno"](strength[..., 0])[..., :3] * 255
    opacity = COVERING * strength
    return np.clip(grey * (1 - opacity) + colours * opacity, 0, 255).round().astype(np.uint8)
