"""Augmented views: a fixed number of augmented versions of each image, so that their features can be cached."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.augment import VERSION, Augment
from transfercli.rows import Rows, SelectedRows, TransformedRows


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
        seeds = [_seed(image, int(view)) for image, view in zip(images, views, strict=True)]
        return self.augment.augment_each(images, seeds)


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


def all_views(images: Rows, views: Views | None) -> Rows:
    """Return all views of images uint8 [H, W, 3]: with n views per image, row r is view r % n of image r // n.

    Without `views` the rows are the images.
    """
    if views is None:
        return images
    repeated = SelectedRows(images, np.repeat(np.arange(len(images)), views.count))
    return TransformedRows(repeated, lambda pixels, rows: views.of(pixels, rows % views.count))
