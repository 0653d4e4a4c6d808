"""The table of image corruptions: six, at five severities. To add one, add a row.

The parameters are those of ImageNet-C (Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations"), except for rotation, which ImageNet-C does not have. Corruptions change the pixels
after resizing to the model's input size. Imports without Keras.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
# uint8 [H, W, 3], the severity's parameter and a generator -> uint8 [H, W, 3].
Change = Callable[[Pixels, float, np.random.Generator], Pixels]

SEVERITIES = (1, 2, 3, 4, 5)
# The shorter side, in pixels, of the images for which the table gives lengths.
REFERENCE = 224


@dataclass(frozen=True, slots=True)
class Corruption:
    """A row of the table.

    doc: a description of the change; unit: the meaning of its parameter
    parameters: of severities 1 to 5
    in_pixels: True if they are lengths in an image of 224 pixels a side, which scale with the image
    """

    name: str
    doc: str
    unit: str
    parameters: tuple[float, float, float, float, float]
    change: Change
    in_pixels: bool = False

    def parameter(self, severity: int, size: Sequence[int]) -> float:
        """Return the parameter for images of `size` (height, width)."""
        value = self.parameters[severity - 1]
        return value * min(size) / REFERENCE if self.in_pixels else value

    def __call__(self, image: Pixels, severity: int, seed: int, index: int) -> Pixels:
        """Return the corrupted image, uint8 [H, W, 3]; the random state depends on seed, severity and index only."""
        rng = np.random.default_rng([seed, severity, index])
        return self.change(image, self.parameter(severity, image.shape[:2]), rng)

    def batch(self, images: Pixels, indices: npt.NDArray[np.integer], severity: int, seed: int) -> Pixels:
        """Corrupt images uint8 [n, H, W, 3] with the n `indices` in their split."""
        return np.stack([self(image, severity, seed, int(index)) for image, index in zip(images, indices, strict=True)])


def _noise(image: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    return _as_pixels(image + 255 * deviation * rng.standard_normal(image.shape, dtype=np.float32))


def _blur(image: Pixels, deviation: float, _: np.random.Generator) -> Pixels:
    # The discrete Gaussian (Lindeberg 1990, "Scale-Space for Discrete Signals") has the right variance also below one
    # pixel, as in small images, where a sampled Gaussian is a single weight and does not blur.
    from scipy.ndimage import correlate1d
    from scipy.special import ive

    offsets = np.arange(-math.ceil(4 * deviation), math.ceil(4 * deviation) + 1)
    weights = ive(np.abs(offsets), deviation**2)
    blurred = image.astype(np.float32)
    for axis in (0, 1):
        blurred = correlate1d(blurred, weights / weights.sum(), axis, mode="nearest")
    return _as_pixels(blurred)


def _brightness(image: Pixels, amount: float, _: np.random.Generator) -> Pixels:
    # The value of HSV is the largest channel; the same factor on all three channels keeps hue and saturation.
    value = image.max(axis=-1, keepdims=True).astype(np.float32)
    brighter = np.minimum(value + 255 * amount, 255)
    return _as_pixels(np.where(value > 0, image * (brighter / np.maximum(value, 1)), brighter))


def _contrast(image: Pixels, share: float, _: np.random.Generator) -> Pixels:
    mean = image.mean(axis=(0, 1), dtype=np.float32)
    return _as_pixels((image - mean) * np.float32(share) + mean)


def _jpeg(image: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as picture:
        return np.asarray(picture)


def _rotation(image: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    # The corners are filled with the mirrored border: black corners would be another corruption.
    height, width = image.shape[:2]
    margin = math.ceil(max(height, width) / 2 * math.sin(math.radians(degrees))) + 1
    wide = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    turned = Image.fromarray(wide).rotate(degrees * rng.choice((-1, 1)), Image.Resampling.BILINEAR)
    return np.asarray(turned)[margin : margin + height, margin : margin + width]


def _as_pixels(values: npt.NDArray[np.floating]) -> Pixels:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    row.name: row
    for row in (
        Corruption(
            "noise",
            "Gaussian noise on each channel",
            "standard deviation, white is 1",
            (0.08, 0.12, 0.18, 0.26, 0.38),
            _noise,
        ),
        Corruption("blur", "Gaussian blur", "standard deviation in pixels", (1, 2, 3, 4, 6), _blur, in_pixels=True),
        Corruption(
            "brightness",
            "overexposure",
            "added to the value of HSV, white is 1",
            (0.1, 0.2, 0.3, 0.4, 0.5),
            _brightness,
        ),
        Corruption(
            "contrast",
            "fog",
            "remaining share of each pixel's distance from the mean colour",
            (0.4, 0.3, 0.2, 0.1, 0.05),
            _contrast,
        ),
        Corruption("jpeg", "JPEG compression", "quality, of 100", (25, 18, 15, 10, 7), _jpeg),
        Corruption(
            "rotation", "rotation left or right at random, borders mirrored", "degrees", (5, 10, 15, 20, 30), _rotation
        ),
    )
}
