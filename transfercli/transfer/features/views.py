"""Augmented views: a fixed number of augmented versions of each image, so that their features can be cached."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.augment import VERSION, Augment
from transfercli.data.dataset import Images


@dataclass(frozen=True)
class Views:
    """`count` views of each image by `augment`. key: text that determines the views, apart from the image."""

    augment: Augment
    key: str
    count: int

    def of(self, images: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Return view number views[i] of each image of uint8 [n, H, W, 3].

        Its random draws depend only on the image's pixels and the number of the view.
        """
        return self.augment.each(images, [_seed(image, int(view)) for image, view in zip(images, views, strict=True)])


def _seed(image: np.ndarray, view: int) -> tuple[int, ...]:
    digest = hashlib.sha256(np.ascontiguousarray(image).data).digest()
    return (int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big"), view)


def views_of(config: AugmentationConfig, augment: Augment | None, epochs: int) -> Views | None:
    """Return the views through which `epochs` epochs cycle; None without augmentation."""
    if augment is None:
        return None
    return Views(augment, f"{VERSION} {config.preset} {config.layers}", min(config.views, epochs))


def views_per_image(views: Views | None) -> int:
    """Return the number of views of each image, 1 without augmentation."""
    return views.count if views else 1


@dataclass(frozen=True)
class ViewedImages:
    """Views of images by row: with n views per image, row r is view r % n of image r // n."""

    images: Images
    views: Views | None

    def __len__(self) -> int:
        return len(self.images) * views_per_image(self.views)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return rows as uint8 [n, H, W, 3]."""
        if self.views is None:
            return self.images.read(rows)
        return self.views.of(self.images.read(rows // self.views.count), rows % self.views.count)
