"""Sample of a data set's training and validation images that bases are compared on; never test images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.errors import DataError

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset, Split

SPLITS = ("train", "validation")
LEAST_OF_CLASS = (
    2  # images that every class has in a sample, if it has them and there is room: one alone is not held out
)


@dataclass(frozen=True)
class ImageSample:
    """Images that every base is measured on.

    paths: of the images; targets: int [N], indices into `labels`; groups: of each image, empty if no image has one.
    left_out: number of images that were not drawn.
    """

    paths: tuple[str, ...]
    targets: np.ndarray
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    left_out: int = 0

    def parts_in(self, dataset: Dataset) -> list[Split]:
        """Return the images of the sample in a data set of the same files, perhaps read at another size, in order.

        Raises `DataError` if it lacks some, or if they are test images there.
        """
        parts, found = [], 0
        for split in _splits(dataset):
            row_of = {path: row for row, path in enumerate(split.paths)}
            rows = [row_of[path] for path in self.paths if path in row_of]
            found += len(rows)
            parts.append(split.at(np.array(rows, np.int64)))
        if tuple(path for part in parts for path in part.paths) != self.paths:
            raise DataError(
                f"only {found} of the {len(self.paths)} images can be compared: others are not usable, or in another"
                " split, as this base reads images in another way",
                "give the config the keys data.levels, data.background and so on of the run",
            )
        return [part for part in parts if len(part)]


def draw_sample(dataset: Dataset, images: int, seed: int) -> ImageSample:
    """Return at most `images` training and validation images, of each class its share.

    Raises `DataError` if no class has two images, or two groups, to hold one of them out.
    """
    splits = _splits(dataset)
    paths = [path for split in splits for path in split.paths]
    targets = np.concatenate([split.targets for split in splits])
    groups = [group for split in splits for group in split.groups or ("",) * len(split)]
    chosen = _stratified(targets, images, seed)
    sample = ImageSample(
        tuple(paths[row] for row in chosen),
        targets[chosen],
        dataset.labels,
        tuple(groups[row] for row in chosen) if any(groups) else (),
        len(targets) - len(chosen),
    )
    units = cluster_indices(sample.groups)
    pairs = np.unique(np.stack([sample.targets, np.arange(len(chosen)) if units is None else units]), axis=1)[0]
    if np.bincount(pairs).max() < LEAST_OF_CLASS:
        raise DataError(
            "no class has two images that are independent of each other, so none can be held out to compare bases",
            "add images: 5 or more a class tell bases apart",
        )
    return sample


def _splits(dataset: Dataset) -> list[Split]:
    return [dataset.splits[name] for name in SPLITS if name in dataset.splits]


def _stratified(targets: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Return at most `limit` indices of images, sorted: two of each class, then of each class the same share."""
    shuffled = np.random.default_rng(seed).permutation(len(targets))
    order = np.empty((len(targets), 2))
    for label in np.unique(targets):
        own = shuffled[targets[shuffled] == label]
        rank = np.arange(len(own))
        order[own] = np.stack([rank >= LEAST_OF_CLASS, (rank + 0.5) / len(own)], axis=1)
    place = np.lexsort((order[shuffled, 1], order[shuffled, 0]))
    return np.sort(shuffled[place[:limit]])
