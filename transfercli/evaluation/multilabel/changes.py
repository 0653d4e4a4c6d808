"""Images with several labels that two models answer differently, for the page of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.multilabel.examples import LabelCase, case_at
from transfercli.evaluation.multilabel.predictions import LabelPredictions

SHOWN_OF_LABEL = 6

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelChange:
    """An image that only one of two models answers rightly: as a whole, or one of its labels."""

    champion: LabelCase
    challenger: LabelCase


@dataclass(frozen=True, slots=True)
class ChangesOfLabel:
    """Images in which one label is right in only one of two models' answers.

    number: index of the label
    fixed, broken: number of images in which only the challenger, or only the champion, answers the label rightly
    shown_fixed, shown_broken: some of these, those first whose probabilities differ most
    """

    label: str
    number: int
    fixed: int
    broken: int
    shown_fixed: tuple[LabelChange, ...]
    shown_broken: tuple[LabelChange, ...]


def label_changes(
    champion: LabelPredictions, challenger: LabelPredictions, most: int
) -> tuple[list[LabelChange], list[LabelChange]]:
    """Return the images whose labels only the challenger has all right, and those that only the champion has.

    At most `most` of each, those first whose probabilities differ most, in the sum over the labels.
    """
    before, after = champion.all_right, challenger.all_right
    distance = np.abs(challenger.probabilities - champion.probabilities).sum(axis=1)
    fixed, broken = np.asarray(after & ~before), np.asarray(before & ~after)
    return (
        _changes(champion, challenger, fixed, distance, most),
        _changes(champion, challenger, broken, distance, most),
    )


def changes_by_label(
    champion: LabelPredictions, challenger: LabelPredictions, most: int = SHOWN_OF_LABEL, in_all: int | None = None
) -> list[ChangesOfLabel]:
    """Return the changes of each label that is right in only one of the answers to some image, most changes first.

    most: images shown of each kind for one label; in_all: of all labels together; None for no limit
    """
    before, after = champion.right, challenger.right
    distances = np.abs(challenger.probabilities - champion.probabilities)
    found = []
    for index, label in enumerate(champion.labels):
        kinds = (after & ~before)[:, index], (before & ~after)[:, index]
        if not any(chosen.any() for chosen in kinds):
            continue
        fixed, broken = (_changes(champion, challenger, chosen, distances[:, index], most, index) for chosen in kinds)
        counts = [int(chosen.sum()) for chosen in kinds]
        found.append(ChangesOfLabel(label, index, counts[0], counts[1], tuple(fixed), tuple(broken)))
    found.sort(key=lambda changes: -(changes.fixed + changes.broken))
    return found if in_all is None else _limited(found, in_all)


def _limited(found: list[ChangesOfLabel], in_all: int) -> list[ChangesOfLabel]:
    """Return the changes with at most `in_all` images, those of the first labels."""
    limited = []
    for changes in found:
        fixed = changes.shown_fixed[:in_all]
        broken = changes.shown_broken[: in_all - len(fixed)]
        in_all -= len(fixed) + len(broken)
        limited.append(replace(changes, shown_fixed=fixed, shown_broken=broken))
    return limited


def _changes(
    champion: LabelPredictions,
    challenger: LabelPredictions,
    chosen: Bools,
    distance: npt.NDArray[np.float64],
    most: int,
    about: int | None = None,
) -> list[LabelChange]:
    rows = np.flatnonzero(chosen)
    order = rows[np.argsort(-distance[rows], kind="stable")][:most]
    return [LabelChange(case_at(champion, row, about), case_at(challenger, row, about)) for row in order]
