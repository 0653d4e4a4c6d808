"""Queues of a review: the rows of images in doubt, the most doubtful first, each with the reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet
from transfercli.data.manifest import read_manifest
from transfercli.data.quality.check import Report
from transfercli.data.quality.mislabelled import PRESENT
from transfercli.errors import ArtefactError
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import runs_of

LIKELY, CONFLICTS, DISAGREES, UNSURE, NEWEST = "likely", "conflicts", "disagrees", "unsure", "newest"
TITLES = {
    LIKELY: "Likely wrong",
    CONFLICTS: "Conflicting copies",
    DISAGREES: "Model disagrees",
    UNSURE: "Least sure",
    NEWEST: "Newest",
}
MOST_RUNS = 20  # whose lists of images say how new one is


@dataclass(frozen=True, eq=False)
class ModelAnswers:
    """Answers of a run's model to N images: features float32 [N, D], probabilities float32 [N, C] of `labels`."""

    features: np.ndarray
    probabilities: np.ndarray
    labels: Sequence[str]


def suspicion(suspect: Any) -> str:
    """Return the doubt about a label in words."""
    if suspect.label:
        verb = "has" if suspect.suggested == PRESENT else "has not"
        return f"{suspect.probability:.0%} likely that the image {verb} {suspect.label!r}"
    return f"{suspect.probability:.0%} likely wrong; other images suggest {suspect.suggested!r}"


def of_answers(
    records: Sequence[Record], answers: ModelAnswers, *, several: bool
) -> tuple[dict[int, str], dict[int, str]]:
    """Return the rows on which the model disagrees with the label, and those of which it is least sure, with reasons.

    A model that learnt from an image rarely disagrees with its label, so held-out and new images come first by nature.
    """
    index_of = {label: number for number, label in enumerate(answers.labels)}
    probabilities = answers.probabilities
    if several:
        distances = np.abs(probabilities - 0.5)
        sure, least = distances.min(axis=1), distances.argmin(axis=1)
        doubts = [f"{probabilities[row, one]:.0%} for {answers.labels[one]!r}" for row, one in enumerate(least)]
        wrong, otherwise = np.zeros(len(records)), [""] * len(records)
        for row, record in enumerate(records):
            known = LabelSet.read(record.label)
            columns = [index_of[label] for label in index_of if label not in known.unknown]
            has = np.isin(columns, [index_of[label] for label in known.has if label in index_of])
            if columns:
                apart = np.abs(probabilities[row, columns] - has)
                worst = int(apart.argmax())
                wrong[row], label = apart[worst], answers.labels[columns[worst]]
                otherwise[row] = f"{'has not' if has[worst] else 'has'} {label!r}"
        disagrees = [int(row) for row in np.argsort(-wrong, kind="stable") if wrong[row] > 0.5]
        texts = {row: f"the model answers that the image {otherwise[row]}, with {wrong[row]:.0%}" for row in disagrees}
    else:
        first_two = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
        ranked = np.take_along_axis(probabilities, first_two, axis=1)
        sure = ranked[:, 0] - ranked[:, -1]
        doubts = [
            " and ".join(f"{ranked[row, rank]:.0%} for {answers.labels[one]!r}" for rank, one in enumerate(columns))
            for row, columns in enumerate(first_two)
        ]
        best = probabilities.argmax(axis=1)
        given = np.array([index_of.get(record.label, -1) for record in records])
        order = np.argsort(-probabilities.max(axis=1), kind="stable")
        disagrees = [int(row) for row in order if best[row] != given[row]]
        texts = {
            row: f"the model answers {answers.labels[best[row]]!r} with {probabilities[row].max():.0%}"
            for row in disagrees
        }
    unsure = {int(row): f"the model is unsure: {doubts[row]}" for row in np.argsort(sure, kind="stable")}
    return texts, unsure


def conflicts(report: Report) -> dict[int, str]:
    """Return the rows of images with (nearly) the same pixels and other labels, pair by pair, with reasons."""
    texts: dict[int, str] = {}
    for pairs, same in ((report.duplicates, "the same pixels as"), (report.near, "nearly the same as")):
        for pair in report.across_labels(pairs):
            for row, other in (pair, pair[::-1]):
                image = report.images[other]
                texts.setdefault(row, f"{same} {image.path} ({image.shown_label})")
    return texts


def newest(run: RunFolder, records: Sequence[Record]) -> dict[int, str]:
    """Return the rows of the images that no run has seen, then of those that the latest runs saw first, with reasons.

    Among them, the order is that of the paths.
    """
    first: dict[str, str] = {}
    for other in runs_of(run.path.parent)[-MOST_RUNS:]:
        try:
            seen = {record.sha256 for record in read_manifest(other.dataset)}
        except ArtefactError:  # a run that has only begun
            continue
        first = dict.fromkeys(seen - first.keys(), other.path.name) | first
    row_of: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        row_of.setdefault(first.get(record.sha256, ""), []).append(row)
    texts = dict.fromkeys(row_of.pop("", []), "no run has seen it yet")
    for name in sorted(row_of, reverse=True):
        texts |= dict.fromkeys(row_of[name], f"first seen by run {name}")
    return texts
