"""The table of shifts that a run is tried on, to learn how its accuracy falls: known changes of its held-out images.

The six corruptions of `evaluate --corrupt` and ten more. The more kinds there are, the more a new shift is like a mix
of known ones. To add one, add a row. Imports without Keras.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, Corruption, Pixels


def _darkness(image: Pixels, share: float, _: np.random.Generator) -> Pixels:
    return _as_pixels(image * np.float32(share))


def _gamma(image: Pixels, exponent: float, _: np.random.Generator) -> Pixels:
    return _as_pixels(255 * (image / np.float32(255)) ** np.float32(exponent))


def _pixelation(image: Pixels, share: float, _: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    small = picture.resize((max(1, round(width * share)), max(1, round(height * share))), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST))


def _translation(image: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    # The border is mirrored, as in the corruption `rotation`.
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * math.pi)
    down, right = round(share * height * math.sin(angle)), round(share * width * math.cos(angle))
    margin_y, margin_x = abs(down), abs(right)
    wide = np.pad(image, ((margin_y, margin_y), (margin_x, margin_x), (0, 0)), mode="symmetric")
    return wide[margin_y + down : margin_y + down + height, margin_x + right : margin_x + right + width]


def _zoom(image: Pixels, share: float, _: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    top, left = height * (1 - share) / 2, width * (1 - share) / 2
    box = (left, top, width - left, height - top)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box))


def _occlusion(image: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    # A square of the mean colour; share: of the area.
    height, width = image.shape[:2]
    tall, wide = max(1, round(height * math.sqrt(share))), max(1, round(width * math.sqrt(share)))
    top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
    covered = image.copy()
    mean = np.asarray(image.mean(axis=(0, 1), dtype=np.float32), np.float32)
    covered[top : top + tall, left : left + wide] = _as_pixels(mean)
    return covered


def _tint(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    gains = 1 + amount * rng.uniform(-1, 1, 3)
    return _as_pixels(image * gains.astype(np.float32))


def _specks(image: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    drawn = rng.random(image.shape[:2])
    speckled = image.copy()
    speckled[drawn < share / 2] = 0
    speckled[drawn > 1 - share / 2] = 255
    return speckled


def _levels(image: Pixels, number: float, _: np.random.Generator) -> Pixels:
    step = np.float32(255 / (number - 1))
    return _as_pixels(np.rint(image / step) * step)


def _shade(image: Pixels, depth: float, rng: np.random.Generator) -> Pixels:
    # A light that falls off across the image, in a random direction.
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * math.pi)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    along = (ys / max(1, height - 1) - 0.5) * math.sin(angle) + (xs / max(1, width - 1) - 0.5) * math.cos(angle)
    fall = (along - along.min()) / max(1e-6, float(along.max() - along.min()))
    return _as_pixels(image * (1 - np.float32(depth) * fall)[..., None])


def _as_pixels(values: npt.NDArray[np.floating] | Pixels) -> Pixels:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


_OTHERS = (
    Corruption("darkness", "less light", "remaining share of the light", (0.8, 0.65, 0.5, 0.35, 0.2), _darkness),
    Corruption("gamma", "another tone curve", "exponent", (0.75, 1.5, 0.5, 2.5, 0.3), _gamma),
    Corruption("pixelation", "fewer pixels", "remaining share of a side", (0.6, 0.5, 0.4, 0.3, 0.2), _pixelation),
    Corruption(
        "translation", "a shifted frame, borders mirrored", "share of a side", (0.05, 0.1, 0.15, 0.2, 0.3), _translation
    ),
    Corruption("zoom", "a closer frame", "remaining share of a side", (0.9, 0.8, 0.7, 0.6, 0.5), _zoom),
    Corruption("occlusion", "a covered square", "share of the area", (0.05, 0.1, 0.2, 0.3, 0.45), _occlusion),
    Corruption("tint", "a colour cast", "largest change of a channel", (0.15, 0.3, 0.45, 0.6, 0.8), _tint),
    Corruption("specks", "black and white pixels", "share of the pixels", (0.01, 0.03, 0.06, 0.1, 0.2), _specks),
    Corruption("levels", "fewer grey levels", "number of levels", (16, 8, 5, 3, 2), _levels),
    Corruption("shade", "light from one side", "share of the light lost", (0.3, 0.45, 0.6, 0.75, 0.9), _shade),
)
KNOWN_SHIFTS: dict[str, Corruption] = CORRUPTIONS | {row.name: row for row in _OTHERS}
