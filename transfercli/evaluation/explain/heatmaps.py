"""Heat maps of the pixels that supported the predicted class, and their overlay on the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

GRAD_CAM, PATCH_GRADIENT = "Grad-CAM", "Patch gradient"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow converts colour to grey
GREY_BRIGHTNESS, MAX_OPACITY = 0.75, 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Heat maps of one image for its predicted class.

    method: name of the method of `heat`.
    heat: float32 [h, w], 0 to 1: by gradients; all 0 if no region supports the class.
    occlusion: float32 [H, W], 0 to 1: the drop of the class's log-odds if a region is covered; None if not computed.
    agreement: rank correlation of the two over the covered windows, -1 to 1; None if one of them is constant.
    """

    method: str
    heat: Floats
    occlusion: Floats | None = None
    agreement: float | None = None


def normalised(heats: Floats) -> Floats:
    """Return heats [N, h, w], each divided by its largest value if that is above 0.

    A value that is not finite counts as 0: the activations of a network that diverged can be infinite.
    """
    heats = np.where(np.isfinite(heats), heats, 0)
    largest = heats.max(axis=(1, 2), keepdims=True)
    return (heats / np.where(largest > 0, largest, 1)).astype(np.float32)


def resized(heat: Floats, size: tuple[int, ...]) -> Floats:
    """Return a heat map [h, w] resized bilinearly to `size` (height, width), float32."""
    from PIL import Image

    picture = Image.fromarray(heat.astype(np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def overlaid(image: npt.NDArray[np.uint8], heat: Floats) -> npt.NDArray[np.uint8]:
    """Return the image in grey with the heat map [h, w] over it, from dark violet to yellow: uint8 [H, W, 3].

    The brightness of the colours rises with the heat, so that they can be read without colour vision and in print.
    """
    from matplotlib import colormaps

    strength = resized(heat, image.shape[:2])[..., None]
    grey = np.repeat((image @ LUMA)[..., None], 3, axis=-1) * GREY_BRIGHTNESS
    colours = colormaps["inferno"](strength[..., 0])[..., :3] * 255
    opacity = MAX_OPACITY * strength
    return np.clip(grey * (1 - opacity) + colours * opacity, 0, 255).round().astype(np.uint8)
