"""Augmented views: each image in a fixed number of versions, so that what is computed from them can be kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.augment import VERSION, Augment
from transfercli.rows import Rows, SelectedRows, TransformedRows


@dataclass(frozen=True)
class Views:
    """`count` views of an image by `augment`. key: everything that a view follows from, the image apart."""

    augment: Augment
    key: str
    count: int

    def of(self, images: np.ndarray, views: np.ndarray) -> np.ndarray:
        """A view of each image uint8 [n, H, W, 3]; its draws follow from its pixels and the view's number alone."""
        return self.augment.each(images, [_key(one, int(view)) for one, view in zip(images, views, strict=True)])


def _key(image: np.ndarray, view: int) -> tuple[int, ...]:
    digest = hashlib.sha256(np.ascontiguousarray(image).data).digest()
    return (int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big"), view)


def views_of(config: AugmentationConfig, augment: Augment | None, epochs: int) -> Views | None:
    """The views that `epochs` epochs cycle through; None where images stay as they are."""
    if augment is None:
        return None
    return Views(augment, f"{VERSION} {config.preset} {config.layers}", min(config.views, epochs))


def rows_an_image(views: Views | None) -> int:
    return views.count if views else 1


def viewed(images: Rows, views: Views | None) -> Rows:
    """Return all views of images uint8 [H, W, 3], view after view of each: row r is view r % count of image r // count.

    Without `views` the rows are the images.
    """
    if views is None:
        return images
    repeated = SelectedRows(images, np.repeat(np.arange(len(images)), views.count))
    return TransformedRows(repeated, lambda pixels, rows: views.of(pixels, rows % views.count))
