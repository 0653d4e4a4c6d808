"""Which images are likely mislabelled, by what a trained model sees in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from transfercli.data.quality.check import Pair, Seen, Suspect
from transfercli.data.quality.confident_learning import cross_validated, suspects
from transfercli.data.splitting.copy_groups import Sample, units_of
from transfercli.data.splitting.stratified import Board, deal
from transfercli.reporting import Reporter

FOLDS = 5


def find_mislabelled(
    seen: Sequence[Seen],
    features: npt.NDArray[np.float32],
    near: Iterable[Pair],
    groups: Mapping[str, str],
    reporter: Reporter,
) -> list[Suspect]:
    """The images whose labels do not fit, the surest first, by confident learning on cross-validated predictions.

    Copies, near duplicates and the images of a group are predicted without each other: a twin with the same wrong
    label would vouch for it. Classes with fewer than two different images are left out.

    Args:
        features: float32 [N, d], of the rows of `seen`.
        near: rows that look the same.
        groups: path -> group, as `data.group` tells them.
    """
    samples = _together(seen, near, groups)
    judged = np.array(_with_several_units(samples), np.int64)
    if not len(judged):
        return []
    labels = sorted({samples[row].label for row in judged})
    number = {label: index for index, label in enumerate(labels)}
    targets = np.array([number[samples[row].label] for row in judged])
    folds = _folds([samples[row] for row in judged])
    probabilities = cross_validated(features[judged], targets, folds, reporter)
    rows, guesses = suspects(probabilities, targets)
    return [
        Suspect(int(judged[row]), labels[guess], float(probabilities[row, guess]))
        for row, guess in zip(rows, guesses, strict=True)
    ]


def _together(seen: Sequence[Seen], near: Iterable[Pair], groups: Mapping[str, str]) -> list[Sample]:
    """One sample a row; its group is everything that must be predicted without it."""
    from scipy.cluster.hierarchy import DisjointSet

    joined = DisjointSet(range(len(seen)))
    first: dict[tuple[str, str], int] = {}  # the first row of each pixels and of each group
    for row, image in enumerate(seen):
        joined.merge(row, first.setdefault(("pixels", image.pixels), row))
        if image.path in groups:
            joined.merge(row, first.setdefault(("group", groups[image.path]), row))
    for pair in near:
        joined.merge(*pair)
    return [Sample(image.pixels, image.label, group=str(joined[row])) for row, image in enumerate(seen)]


def _with_several_units(samples: Sequence[Sample]) -> list[int]:
    units: dict[str, set[str]] = {}
    for sample in samples:
        units.setdefault(sample.label, set()).add(sample.group)
    return [row for row, sample in enumerate(samples) if len(units[sample.label]) > 1]


def _folds(samples: Sequence[Sample]) -> npt.NDArray[np.int64]:
    """The fold of each sample: the same share of every class in each, units undivided."""
    board = Board(samples, {})
    board.take(units_of(samples))
    deal(board, {str(fold): 1 / FOLDS for fold in range(FOLDS)}, seed=0)
    return np.array([int(board.place[sample.pixels]) for sample in samples])
