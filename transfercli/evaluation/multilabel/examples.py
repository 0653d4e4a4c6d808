"""Selections of images with several labels for a report: missed and false labels, least certain, typically right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import numpy as np
import numpy.typing as npt

from transfercli.data.label_sets import UNKNOWN
from transfercli.evaluation.multilabel.predictions import LabelPredictions

SHOWN = 24
PER_LABEL = 3  # images that one label contributes to a gallery
MOST_MARKS = 12  # labels named under one image
MOST_EXPLAINED = 4  # labels of one image with a heat map

Kind = Literal["hit", "missed", "false", "unknown"]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelMark:
    """A label that an image has or is answered with.

    label: index of the label; name: its name
    kind: `hit` and `missed` are labels that the image has, answered or not; `false` is answered though absent;
        `unknown` is answered and nobody knows if that is right
    """

    label: int
    name: str
    kind: Kind
    probability: float


@dataclass(frozen=True, slots=True)
class LabelCase:
    """An image with its labels.

    marks: missed and false labels first, then hits, then unknown ones, each kind by falling probability
    about: index of the label that the image was chosen for; None if it was chosen for all of its labels
    """

    index: int
    path: str
    marks: tuple[LabelMark, ...]
    about: int | None = None

    @property
    def subject(self) -> LabelMark | None:
        """The mark of the label that the image was chosen for."""
        return next((mark for mark in self.marks if mark.label == self.about), None)

    @property
    def shown(self) -> tuple[LabelMark, ...]:
        """The marks to name under the image."""
        return self.marks[:MOST_MARKS]

    @property
    def explained(self) -> tuple[LabelMark, ...]:
        """The marks to explain: the one that the image was chosen for, then the others."""
        return tuple(sorted(self.marks, key=lambda mark: mark.label != self.about)[:MOST_EXPLAINED])


def case_at(predictions: LabelPredictions, index: int, about: int | None = None) -> LabelCase:
    """Return the case of the image at `index`."""
    targets, probabilities = predictions.targets[index], predictions.probabilities[index]
    answered = probabilities >= predictions.thresholds
    kinds: list[tuple[Kind, npt.NDArray[np.bool_]]] = [
        ("missed", (targets == 1) & ~answered),
        ("false", (targets == 0) & answered),
        ("hit", (targets == 1) & answered),
        ("unknown", (targets == UNKNOWN) & answered),
    ]
    marks = [
        LabelMark(int(label), predictions.labels[label], kind, float(probabilities[label]))
        for kind, chosen in kinds
        for label in sorted(np.flatnonzero(chosen), key=lambda label: -probabilities[label])
    ]
    return LabelCase(int(index), predictions.paths[index], tuple(marks), about)


def missed(predictions: LabelPredictions) -> npt.NDArray[np.bool_]:
    """Return bool [N, L]: the image has the label, and is not answered with it."""
    return (predictions.targets == 1) & ~predictions.answered


def false(predictions: LabelPredictions) -> npt.NDArray[np.bool_]:
    """Return bool [N, L]: the image is answered with the label, and does not have it."""
    return (predictions.targets == 0) & predictions.answered


def missed_labels(predictions: LabelPredictions) -> list[LabelCase]:
    """Return images with a missed label, the lowest probability first; at most 3 of each label, 24 in all."""
    return _spread(predictions, missed(predictions), predictions.probabilities)


def false_labels(predictions: LabelPredictions) -> list[LabelCase]:
    """Return images with a false label, the highest probability first; at most 3 of each label, 24 in all."""
    return _spread(predictions, false(predictions), -predictions.probabilities)


def least_certain(predictions: LabelPredictions) -> list[LabelCase]:
    """Return images with a probability close to its label's threshold, the closest first."""
    distances = np.abs(predictions.probabilities - predictions.thresholds)
    nearest = distances.argmin(axis=1)
    order = np.argsort(distances.min(axis=1), kind="stable")[:SHOWN]
    return [case_at(predictions, index, int(nearest[index])) for index in order]


def right_sets(predictions: LabelPredictions) -> list[LabelCase]:
    """Return images whose labels are all right, of medium probability: at most 3 of each label, and 24 in all."""
    right = predictions.all_right
    chosen: list[Sequence[int]] = []
    for label in range(len(predictions.labels)):
        rows = np.flatnonzero(right & (predictions.targets[:, label] == 1))
        ordered = rows[np.argsort(-predictions.probabilities[rows, label], kind="stable")]
        start = max(0, (len(ordered) - PER_LABEL) // 2)
        chosen.append(ordered[start : start + PER_LABEL].tolist())
    rounds = (index for images in zip_longest(*chosen) for index in images if index is not None)
    return [case_at(predictions, index) for index in list(dict.fromkeys(rounds))[:SHOWN]]


def images_to_explain(predictions: LabelPredictions) -> list[LabelCase]:
    """Return the cases of all selections, each image once; the kinds alternate, so that the first n hold some of each.

    An image chosen twice is about the label that it was chosen for first.
    """
    kinds = (missed_labels, false_labels, least_certain, right_sets)
    rounds = zip_longest(*(kind(predictions) for kind in kinds))
    return _distinct(case for cases in rounds for case in cases if case is not None)


def with_label(predictions: LabelPredictions, chosen: npt.NDArray[np.bool_], label: int, most: int) -> list[LabelCase]:
    """Return at most `most` of the images that `chosen`, bool [N], picks, the largest mistakes about `label` first."""
    rows = np.flatnonzero(chosen)
    distance = np.abs(predictions.probabilities[rows, label] - predictions.thresholds[label])
    return [case_at(predictions, index, label) for index in rows[np.argsort(-distance, kind="stable")][:most]]


def _spread(
    predictions: LabelPredictions, chosen: npt.NDArray[np.bool_], order: npt.NDArray[np.float64]
) -> list[LabelCase]:
    """Return the cases of chosen [N, L], by rising `order` [N, L], each image once."""
    rows, labels = np.nonzero(chosen)
    counts = np.zeros(len(predictions.labels), np.int64)
    cases: dict[int, LabelCase] = {}
    for pair in np.argsort(order[rows, labels], kind="stable"):
        row, label = int(rows[pair]), int(labels[pair])
        if row not in cases and counts[label] < PER_LABEL:
            counts[label] += 1
            cases[row] = case_at(predictions, row, label)
        if len(cases) == SHOWN:
            break
    return list(cases.values())


def _distinct(cases: Iterable[LabelCase]) -> list[LabelCase]:
    found: dict[int, LabelCase] = {}
    for case in cases:
        found.setdefault(case.index, case)
    return list(found.values())
