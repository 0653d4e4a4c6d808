"""Images as a bad day makes them: six corruptions at five severities. To add one, add a row.

After ImageNet-C (Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations"), whose parameters these are; rotation is not among its corruptions, and its degrees are ours. They are
applied to the pixels that the model gets, after resizing. Imports without Keras.
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
# The shorter side, in pixels, of the images that lengths in the table are given for.
REFERENCE = 224


@dataclass(frozen=True, slots=True)
class Corruption:
    """One row.

    doc: what is done; unit: what its parameter is
    parameters: one a severity, 1 to 5
    in_pixels: whether they are lengths in an image of 224 pixels a side, and grow and shrink with the image
    """

    name: str
    doc: str
    unit: str
    parameters: tuple[float, float, float, float, float]
    change: Change
    in_pixels: bool = False

    def parameter(self, severity: int, size: Sequence[int]) -> float:
        """For images of `size` (height, width)."""
        value = self.parameters[severity - 1]
        return value * min(size) / REFERENCE if self.in_pixels else value

    def __call__(self, image: Pixels, severity: int, seed: int, index: int) -> Pixels:
        """uint8 [H, W, 3] -> uint8 [H, W, 3]; every draw follows from (seed, severity, index of the image)."""
        draws = np.random.default_rng([seed, severity, index])
        return self.change(image, self.parameter(severity, image.shape[:2]), draws)

    def batch(self, images: Pixels, indices: npt.NDArray[np.integer], severity: int, seed: int) -> Pixels:
        """The same for uint8 [n, H, W, 3] and the n indices of these images in their split."""
        return np.stack([self(image, severity, seed, int(at)) for image, at in zip(images, indices, strict=True)])


def _noise(image: Pixels, deviation: float, draws: np.random.Generator) -> Pixels:
    return _as_pixels(image + 255 * deviation * draws.standard_normal(image.shape, dtype=np.float32))


def _blur(image: Pixels, deviation: float, _: np.random.Generator) -> Pixels:
    # The discrete Gaussian (Lindeberg 1990, "Scale-Space for Discrete Signals") keeps its variance below a pixel, as in
    # small images, where a sampled bell is a single weight and blurs nothing.
    from scipy.ndimage import correlate1d
    from scipy.special import ive

    reach = np.arange(-math.ceil(4 * deviation), math.ceil(4 * deviation) + 1)
    weights = ive(np.abs(reach), deviation**2)
    blurred = image.astype(np.float32)
    for axis in (0, 1):
        blurred = correlate1d(blurred, weights / weights.sum(), axis, mode="nearest")
    return _as_pixels(blurred)


def _brightness(image: Pixels, amount: float, _: np.random.Generator) -> Pixels:
    # The value of HSV is the largest channel; hue and saturation stay where all three grow by the same factor.
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


def _rotation(image: Pixels, degrees: float, draws: np.random.Generator) -> Pixels:
    # What turns in from outside is the mirrored border: black corners would be a corruption of their own.
    height, width = image.shape[:2]
    margin = math.ceil(max(height, width) / 2 * math.sin(math.radians(degrees))) + 1
    wide = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    turned = Image.fromarray(wide).rotate(degrees * draws.choice((-1, 1)), Image.Resampling.BILINEAR)
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
            "the share left of each pixel's distance from the mean colour",
            (0.4, 0.3, 0.2, 0.1, 0.05),
            _contrast,
        ),
        Corruption("jpeg", "JPEG compression", "quality, of 100", (25, 18, 15, 10, 7), _jpeg),
        Corruption(
            "rotation", "turned to a side that is drawn, borders mirrored", "degrees", (5, 10, 15, 20, 30), _rotation
        ),
    )
}
