"""Pixels of loaded splits, and the cache files that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from transfercli.data.dataset import Dataset, Split


def everything(split: Split) -> np.ndarray:
    """Return all images of a split, uint8 [N, H, W, 3]."""
    return split.images.read(np.arange(len(split)))


def all_pixels(dataset: Dataset) -> dict[str, bytes]:
    """Return the bytes of the images of each split."""
    return {name: everything(split).tobytes() for name, split in dataset.splits.items()}


def segments(folder: Path) -> list[Path]:
    """Return the segment files of images in a cache folder, sorted."""
    return sorted(folder.glob("images/*/*.rows"))
