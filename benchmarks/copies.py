"""Copies of training images: how many are found, and how many other images are taken for copies.

Usage: python -m benchmarks.copies [DIGITS_OR_FASHION …]

DIGITS_OR_FASHION: `digits` (scikit-learn's) or `fashion` (needs the Debian package dataset-fashion-mnist). Prints a
Markdown table: alarms among test images, and the share found of 300 training images that were compressed or resized.
"""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from transfercli.data.image import Geometry
from transfercli.data.quality.image_descriptors import Descriptors, copies_are_sure, describe, has_copy
from transfercli.rows import ArrayRows

FASHION = Path("/usr/share/datasets/fashion-mnist")
COPIES = 300


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,350 training and 447 test images, uint8 [n, 32, 32]."""
    from sklearn.datasets import load_digits

    grey = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    images = np.stack([np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC)) for one in grey])
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[:1350]], images[order[1350:]]


def fashion() -> tuple[np.ndarray, np.ndarray]:
    """Return 60,000 training and 10,000 test images, uint8 [n, 28, 28]."""
    parts = [gzip.decompress((FASHION / f"{kind}-images-idx3-ubyte.gz").read_bytes()) for kind in ("train", "t10k")]
    first, second = (np.frombuffer(part, np.uint8, offset=16).reshape(-1, 28, 28) for part in parts)
    return first, second


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image: np.ndarray, factor: float) -> np.ndarray:
    side = round(len(image) * factor)
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **{f"JPEG {quality}": lambda image, quality=quality: compressed(image, quality) for quality in (60, 75, 85, 95)},
    **{f"{factor:.0%}": lambda image, factor=factor: resized(image, factor) for factor in (0.8, 0.9, 1.1, 1.2)},
    "80%, JPEG 75": lambda image: compressed(resized(image, 0.8), 75),
}


def described(images: Sequence[np.ndarray], side: int) -> Descriptors:
    pixels = [Image.fromarray(one).convert("RGB").resize((side, side), Image.Resampling.BILINEAR) for one in images]
    return describe(
        ArrayRows(np.stack([np.asarray(one) for one in pixels])), ["0" * 64] * len(images), Geometry(side, side)
    )


def main(names: Sequence[str]) -> None:
    print(f"| data | alarms | sure | {' | '.join(CHANGES)} |\n| --- | --- | --- |{' ---: |' * len(CHANGES)}")
    for name in names or ("digits", "fashion"):
        train, test = {"digits": digits, "fashion": fashion}[name]()
        side = train.shape[1]
        learnt = described(train, side)
        alarms = has_copy(described(test, side), learnt).sum()
        chosen = train[np.random.default_rng(1).choice(len(train), COPIES, replace=False)]
        found = [
            has_copy(described([change(one) for one in chosen], side), learnt).mean() for change in CHANGES.values()
        ]
        shares = " | ".join(f"{share:.1%}" for share in found)
        print(f"| {name} | {alarms} of {len(test)} | {'yes' if copies_are_sure(learnt) else 'no'} | {shares} |")


if __name__ == "__main__":
    main(sys.argv[1:])
