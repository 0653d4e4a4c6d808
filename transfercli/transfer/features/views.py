"""Augmented views: each image in a fixed number of versions, so that what is computed from them can be kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.augment import VERSION, Augment
from transfercli.data.dataset import Images


@dataclass(frozen=True)
class Views:
    """`count` views of an image by `augment`. key: everything that a view follows from, the image apart."""

    augment: Augment
    key: str
    count: int

    def of(self, images: np.ndarray, views: np.ndarray) -> np.ndarray:
        """A view of each image uint8 [n, H, W, 3]; its draws follow from its pixels and the view's number alone."""
        return self.augment.augment_each(
            images, [_key(one, int(view)) for one, view in zip(images, views, strict=True)]
        )


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


@dataclass(frozen=True)
class ViewedImages:
    """Images by row, `views` rows an image: row r is view r % views of image r // views."""

    images: Images
    views: Views | None

    def __len__(self) -> int:
        return len(self.images) * rows_an_image(self.views)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """uint8 [n, H, W, 3]."""
        if self.views is None:
            return self.images.read(rows)
        return self.views.of(self.images.read(rows // self.views.count), rows % self.views.count)
