"""Likely label errors, found with the features of a trained model by confident learning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from transfercli.data.quality.check import CheckedImage, Pair, Suspect
from transfercli.data.quality.confident_learning import cross_validated, find_suspects
from transfercli.data.splitting.copy_groups import Sample, units_of
from transfercli.data.splitting.stratified import Allocation, allocate
from transfercli.reporting import Reporter

FOLDS = 5


def find_mislabelled(
    images: Sequence[CheckedImage],
    features: npt.NDArray[np.float32],
    near: Iterable[Pair],
    groups: Mapping[str, str],
    reporter: Reporter,
) -> list[Suspect]:
    """Return the likely label errors, most likely first, by confident learning on cross-validated predictions.

    Copies, near duplicates and images of one group are always in the same fold, because a copy with the same wrong
    label would confirm it. Classes with fewer than two different images are left out.

    Args:
        images: the N usable images.
        features: float32 [N, d], of `images`.
        near: pairs of rows that are near duplicates.
        groups: path -> group, by `data.group`.
    """
    samples = _samples(images, near, groups)
    checked = np.array(_rows_of_varied_classes(samples), np.int64)
    if not len(checked):
        return []
    labels = sorted({samples[row].label for row in checked})
    index_of = {label: index for index, label in enumerate(labels)}
    targets = np.array([index_of[samples[row].label] for row in checked])
    folds = _folds([samples[row] for row in checked])
    probabilities = cross_validated(features[checked], targets, folds, reporter)
    rows, suggested = find_suspects(probabilities, targets)
    return [
        Suspect(int(checked[row]), labels[label], float(probabilities[row, label]))
        for row, label in zip(rows, suggested, strict=True)
    ]


def _samples(images: Sequence[CheckedImage], near: Iterable[Pair], groups: Mapping[str, str]) -> list[Sample]:
    """Return one sample per image; its group holds all images that must be in the same fold."""
    from scipy.cluster.hierarchy import DisjointSet

    sets = DisjointSet(range(len(images)))
    first: dict[tuple[str, str], int] = {}  # first row of each pixel hash and of each group
    for row, image in enumerate(images):
        sets.merge(row, first.setdefault(("pixels", image.pixels), row))
        if image.path in groups:
            sets.merge(row, first.setdefault(("group", groups[image.path]), row))
    for pair in near:
        sets.merge(*pair)
    return [Sample(image.pixels, image.label, group=str(sets[row])) for row, image in enumerate(images)]


def _rows_of_varied_classes(samples: Sequence[Sample]) -> list[int]:
    """Return the rows whose class has at least two groups."""
    groups: dict[str, set[str]] = {}
    for sample in samples:
        groups.setdefault(sample.label, set()).add(sample.group)
    return [row for row, sample in enumerate(samples) if len(groups[sample.label]) > 1]


def _folds(samples: Sequence[Sample]) -> npt.NDArray[np.int64]:
    """Return the fold of each sample, stratified by class; images of one group are in the same fold."""
    allocation = Allocation(samples, {})
    allocation.add_free(units_of(samples))
    allocate(allocation, {str(fold): 1 / FOLDS for fold in range(FOLDS)}, seed=0)
    return np.array([int(allocation.subset_of[sample.pixels]) for sample in samples])
