"""Images whose labels can be checked by cross-validation, and the list of likely label errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.data.label_sets import label_targets
from transfercli.data.quality.check import CheckedImage, Pair
from transfercli.data.quality.label_noise import LabelNoise
from transfercli.data.quality.mislabelled import ABSENT, PRESENT, LabelSearch, Suspect
from transfercli.data.splitting.allocation import Allocation
from transfercli.data.splitting.copy_groups import Sample, units_of
from transfercli.data.splitting.iterative import allocate_labels
from transfercli.data.splitting.stratified import allocate

FOLDS = 5


@dataclass(frozen=True, eq=False)
class JudgedImages:
    """Images whose labels are checked.

    rows: int [N], into the usable images; labels: class names; targets: int [N], into `labels`; folds: int [N];
    decided: bool [N], True for images whose label a person looked at, which are not listed.
    """

    rows: npt.NDArray[np.int64]
    labels: Sequence[str]
    targets: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    decided: npt.NDArray[np.bool_]

    def suspects(self, noise: LabelNoise, share: float) -> tuple[list[Suspect], LabelSearch]:
        """Return the likely label errors, most likely first, of at most a share of the images, and the search."""
        doubted = noise.doubted()
        doubted = doubted[~self.decided[doubted]]
        listed = noise.most_likely_first(doubted[: math.ceil(share * len(self.rows))])
        found = [
            Suspect(
                int(self.rows[image]),
                self.labels[noise.suggested[image]],
                float(noise.suggestion[image]),
                float(noise.wrong[image]),
            )
            for image in listed
        ]
        search = LabelSearch(len(self.rows), noise.agreement, noise.accuracy, len(doubted) - len(listed))
        return found, search


@dataclass(frozen=True, eq=False)
class JudgedLabels:
    """Images that may have several labels, each of which is checked by itself.

    labels: the L labels that can be checked; targets: int32 [N, L], as in `Split`, of all N usable images; folds:
    int [N]; decided: bool [N], as in `JudgedImages`.
    """

    labels: Sequence[str]
    targets: npt.NDArray[np.int32]
    folds: npt.NDArray[np.int64]
    decided: npt.NDArray[np.bool_]

    def suspects(
        self, noises: Sequence[LabelNoise], known: Sequence[npt.NDArray[np.int64]], share: float
    ) -> tuple[list[Suspect], LabelSearch]:
        """Return the likely errors, most likely first, at most as many as a share of the images, and the search.

        noises: for each label, of the images `known`, whose targets are 0 without the label and 1 with it.
        """
        doubted = []
        for number, (label, noise, rows) in enumerate(zip(self.labels, noises, known, strict=True)):
            for image in noise.doubted():
                if self.decided[rows[image]]:
                    continue
                suggested = PRESENT if noise.suggested[image] else ABSENT
                probabilities = float(noise.suggestion[image]), float(noise.wrong[image])
                suspect = Suspect(int(rows[image]), suggested, *probabilities, label)
                doubted.append((float(noise.right[image]), number, suspect))
        doubted.sort(key=lambda found: (*found[:2], found[2].row))
        count = math.ceil(share * len(self.targets))
        listed = sorted((suspect for *_, suspect in doubted[:count]), key=lambda suspect: -suspect.probability)
        answers = np.array([len(rows) for rows in known])
        agreement, accuracy = (
            float(np.average([getattr(noise, name) for noise in noises], weights=answers))
            for name in ("agreement", "accuracy")
        )
        return listed, LabelSearch(len(self.targets), agreement, accuracy, len(doubted) - len(listed))


def judged_labels(
    images: Sequence[CheckedImage], near: Iterable[Pair], groups: Mapping[str, str]
) -> JudgedLabels | None:
    """Return the labels that can be checked, with folds stratified by them, as `judged_images`; None if there are none.

    A label needs two different images with it, and two that are known to be without it.
    """
    names = sorted({label for image in images for label in image.labels})
    targets = label_targets([image.label for image in images], names, leave_out_others=True)
    samples = _samples(images, near, groups)
    units = np.unique([sample.group for sample in samples], return_inverse=True)[1]
    varied = [
        number
        for number in range(len(names))
        if min(len(np.unique(units[targets[:, number] == state])) for state in (0, 1)) > 1
    ]
    if not varied:
        return None
    folds, decided = _folds(samples, several=True), np.array([image.decided for image in images], bool)
    return JudgedLabels([names[number] for number in varied], targets[:, varied], folds, decided)


def judged_images(
    images: Sequence[CheckedImage], near: Iterable[Pair], groups: Mapping[str, str]
) -> JudgedImages | None:
    """Return the images whose labels can be checked, with stratified folds; None if there are not two classes of them.

    Copies, near duplicates and images of one group are always in the same fold, because a copy with the same wrong
    label would confirm it. Classes with fewer than two different images are left out.

    Args:
        images: the usable images.
        near: pairs of rows that are near duplicates.
        groups: path -> group, by `data.group`.
    """
    samples = _samples(images, near, groups)
    rows = _rows_of_varied_classes(samples)
    judged = [samples[row] for row in rows]
    labels, targets = np.unique(np.array([sample.labels[0] for sample in judged], object), return_inverse=True)
    folds = _folds(judged)
    if len(labels) < 2 or len(np.unique(folds)) < 2:
        return None
    decided = np.array([images[row].decided for row in rows], bool)
    return JudgedImages(np.array(rows, np.int64), labels.tolist(), targets, folds, decided)


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
    return [Sample(image.pixels, image.labels, group=str(sets[row])) for row, image in enumerate(images)]


def _rows_of_varied_classes(samples: Sequence[Sample]) -> list[int]:
    """Return the rows whose class has at least two groups."""
    groups: dict[str, set[str]] = {}
    for sample in samples:
        groups.setdefault(sample.labels[0], set()).add(sample.group)
    return [row for row, sample in enumerate(samples) if len(groups[sample.labels[0]]) > 1]


def _folds(samples: Sequence[Sample], *, several: bool = False) -> npt.NDArray[np.int64]:
    """Return the fold of each sample, stratified by class or labels; images of one group are in the same fold."""
    allocation = Allocation(samples, {}, several=several)
    allocation.add_free(units_of(samples))
    (allocate_labels if several else allocate)(allocation, {str(fold): 1 / FOLDS for fold in range(FOLDS)}, seed=0)
    return np.array([int(allocation.subset_of[sample.pixels]) for sample in samples], np.int64)
