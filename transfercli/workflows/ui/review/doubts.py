"""Doubtful labels of an experiment: the queues that a reviewer goes through, and what is known of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.config.schema import ExperimentConfig
from transfercli.config.types import MULTILABEL
from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet
from transfercli.data.manifest import read_manifest
from transfercli.data.quality.check import Report, build_report
from transfercli.data.quality.mislabelled import PRESENT
from transfercli.data.thumbnail_store import load_fingerprints
from transfercli.data.validation import Findings, IngestedFile, split_of
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import runs_of
from transfercli.workflows.data.check import examine
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.data.label_errors import find_mislabelled, find_mislabelled_labels
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun

LIKELY, CONFLICTS, DISAGREES, UNSURE, NEWEST = "likely", "conflicts", "disagrees", "unsure", "newest"
TITLES = {
    LIKELY: "Likely wrong",
    CONFLICTS: "Conflicting copies",
    DISAGREES: "Model disagrees",
    UNSURE: "Least sure",
    NEWEST: "Newest",
}
TOP = 5  # answers of the model that are kept of an image
NEAREST = 4  # training images that are shown beside it
MOST_COMPARED = 2000  # images for which the nearest are looked for, the most doubtful ones first
MOST_RUNS = 20  # whose lists of images say how new one is
ALL = 1.0  # share of the images that may be listed as likely mislabelled


@dataclass(frozen=True)
class Doubts:
    """Images of an experiment, and the queues of their rows.

    Attributes:
        run: label of the run whose model answered.
        labels: classes of the data; several: an image may have several of them.
        images: the usable images, with the labels that earlier decisions gave them.
        places: of each image: path of its file; "" for an image that is no file.
        queues: name -> rows, the most doubtful first.
        reasons: queue -> row -> the reason in words.
        answers: of each image: (label, probability) of the most probable ones.
        copies: row -> the rows of images with the same pixels, itself included; of images with any.
        nearest: row -> rows of the nearest training images.
        note: why a queue is empty, or "".
    """

    run: str
    labels: tuple[str, ...]
    several: bool
    images: Sequence[Record]
    places: Sequence[str]
    queues: Mapping[str, Sequence[int]]
    reasons: Mapping[str, Mapping[int, str]]
    answers: Sequence[Sequence[tuple[str, float]]]
    copies: Mapping[int, Sequence[int]] = field(default_factory=dict)
    nearest: Mapping[int, Sequence[int]] = field(default_factory=dict)
    note: str = ""

    @cached_property
    def contents(self) -> frozenset[tuple[str, str]]:
        """Path and content of each image."""
        return frozenset((image.path, image.sha256) for image in self.images)

    @cached_property
    def snapshot(self) -> str:
        """Name of this list of images: a row means the same image as long as it is the same."""
        digest = sha256()
        for image in self.images:
            digest.update(f"{image.path}\0{image.sha256}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class _Answers:
    """Answers of the model: features float32 [N, D], probabilities float32 [N, C] of `labels`."""

    features: np.ndarray
    probabilities: np.ndarray
    labels: Sequence[str]


def find_doubts(folder: RunFolder, log: Path, reporter: Reporter) -> Doubts:
    """Read the images of an experiment as its latest completed run does, and find the labels that are in doubt.

    folder: of that run. log: of the decisions so far. Raises `DataError` if the images cannot be listed.
    """
    run = StoredRun(folder, reporter)
    refuse_numbers(run.config.task, "the label review")
    config = with_log(run.config, log)
    examined = examine(config, folder.path.parent, reporter)
    if (findings := examined.findings) is None:
        raise examined.refusals[0]
    usable = findings.usable
    records = [file.record(split) for file, split in zip(usable, _splits(examined.dataset, usable), strict=True)]
    report = _report(findings, records, reporter, several=config.task == MULTILABEL)
    answers = _answers(run, report, findings, reporter)
    return _doubts(run, report, findings, records, answers, reporter)


def with_log(config: ExperimentConfig, log: Path) -> ExperimentConfig:
    """Return a config that reads the decisions of a file, or none if it does not exist yet."""
    corrections = str(log.absolute()) if log.exists() else None
    return config.model_copy(update={"data": config.data.model_copy(update={"corrections": corrections})})


def _splits(dataset: Any, usable: Sequence[IngestedFile]) -> list[str]:
    if dataset is None:
        return [""] * len(usable)
    return [record.split for record in dataset.records if not record.problem]


def _report(findings: Findings, records: Sequence[Record], reporter: Reporter, *, several: bool) -> Report:
    """Return the report on the images as far as their labels go: copies, near duplicates, classes."""
    usable = findings.usable
    images = findings.ingest.images([file.entry for file in usable], [file.redo for file in usable])
    cache = findings.ingest.cache_folder
    prints = load_fingerprints(images, [file.entry for file in usable], findings.reading.geometry, cache, reporter)
    listing = findings.listing
    labels = listing.classes | {*listing.counts()} if several else None
    return build_report(findings.files, [r.split for r in records], prints, [()] * len(usable), [], labels)


def _answers(run: StoredRun, report: Report, findings: Findings, reporter: Reporter) -> _Answers | None:
    """Return the answers of a run's model to all images; None if the run has no model that can be read."""
    if not findings.usable:
        return None
    try:
        extractor = ImageFeatures(run)
    except ArtefactError as error:
        reporter.warning(f"no label is judged: {error.message}")
        return None
    found = extractor.outputs(split_of("", findings.usable, tuple(report.labels), findings))
    return _Answers(found.features, found.probabilities, run.labels)


def _doubts(
    run: StoredRun,
    report: Report,
    findings: Findings,
    records: Sequence[Record],
    answers: _Answers | None,
    reporter: Reporter,
) -> Doubts:
    queues: dict[str, list[int]] = {name: [] for name in TITLES}
    reasons: dict[str, dict[int, str]] = {name: {} for name in TITLES}
    note = "" if answers else f"{run.label} has no model that can be read"
    if answers is not None:
        reporter.progress("looking for wrong labels", 0, 0, "")
        find = find_mislabelled_labels if report.several else find_mislabelled
        found = find(report.images, answers.features, report.near, findings.listing.groups, reporter, ALL)
        for suspect in found.suspects:
            reasons[LIKELY].setdefault(suspect.row, _suspicion(suspect))
        if found.search is not None and found.search.weak:
            note = f"the model of {run.label} agrees with {found.search.agreement:.0%} of the labels: too weak to judge"
        reasons[DISAGREES], reasons[UNSURE] = _of_answers(records, answers, several=report.several)
    reasons[CONFLICTS] = _conflicts(report)
    reasons[NEWEST] = _newest(run.folder, records)
    queues = {name: [*reasons[name]] for name in TITLES}
    doubts = Doubts(
        run.label,
        tuple(report.labels),
        report.several,
        records,
        [file.file for file in findings.usable],
        queues,
        reasons,
        _top(answers, len(records)),
        copies={row: rows for rows in report.groups(report.duplicates) for row in rows},
        note=note,
    )
    return doubts if answers is None else replace(doubts, nearest=_nearest(doubts, answers.features))


def _suspicion(suspect: Any) -> str:
    """Return the doubt about a label in words."""
    if suspect.label:
        verb = "has" if suspect.suggested == PRESENT else "has not"
        return f"{suspect.probability:.0%} likely that the image {verb} {suspect.label!r}"
    return f"{suspect.probability:.0%} likely wrong; other images suggest {suspect.suggested!r}"


def _of_answers(
    records: Sequence[Record], answers: _Answers, *, several: bool
) -> tuple[dict[int, str], dict[int, str]]:
    """Return the rows on which the model disagrees with the label, and those of which it is least sure, with reasons.

    A model that learnt from an image rarely disagrees with its label, so held-out and new images come first by nature.
    """
    index_of = {label: number for number, label in enumerate(answers.labels)}
    probabilities = answers.probabilities
    if several:
        sure = np.abs(probabilities - 0.5).min(axis=1) * 2
        wrong = np.zeros(len(records))
        for row, record in enumerate(records):
            known = LabelSet.read(record.label)
            columns = [index_of[label] for label in index_of if label not in known.unknown]
            has = np.isin(columns, [index_of[label] for label in known.has if label in index_of])
            wrong[row] = np.abs(probabilities[row, columns] - has).max(initial=0)
        disagrees = [int(row) for row in np.argsort(-wrong, kind="stable") if wrong[row] > 0.5]
        texts = {row: f"a label is answered otherwise, with {wrong[row]:.0%}" for row in disagrees}
    else:
        ranked = np.sort(probabilities, axis=1)
        sure = ranked[:, -1] - ranked[:, -2]
        best = probabilities.argmax(axis=1)
        given = np.array([index_of.get(record.label, -1) for record in records])
        order = np.argsort(-probabilities.max(axis=1), kind="stable")
        disagrees = [int(row) for row in order if best[row] != given[row]]
        texts = {
            row: f"the model answers {answers.labels[best[row]]!r} with {probabilities[row].max():.0%}"
            for row in disagrees
        }
    unsure = {int(row): f"the model is sure by {sure[row]:.2f}, of 1" for row in np.argsort(sure, kind="stable")}
    return texts, unsure


def _conflicts(report: Report) -> dict[int, str]:
    """Return the rows of images with (nearly) the same pixels and other labels, pair by pair, with reasons."""
    texts: dict[int, str] = {}
    for pairs, same in ((report.duplicates, "the same pixels as"), (report.near, "nearly the same as")):
        for pair in report.across_labels(pairs):
            for row, other in (pair, pair[::-1]):
                image = report.images[other]
                texts.setdefault(row, f"{same} {image.path} ({image.shown_label})")
    return texts


def _newest(run: RunFolder, records: Sequence[Record]) -> dict[int, str]:
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


def _top(answers: _Answers | None, count: int) -> list[tuple[tuple[str, float], ...]]:
    """Return the most probable labels of each image."""
    if answers is None:
        return [()] * count
    best = np.argsort(-answers.probabilities, axis=1, kind="stable")[:, :TOP]
    return [
        tuple((answers.labels[column], round(float(answers.probabilities[row, column]), 4)) for column in columns)
        for row, columns in enumerate(best)
    ]


def _nearest(doubts: Doubts, features: np.ndarray) -> dict[int, list[int]]:
    """Return the training images that are nearest to the most doubtful images, by the cosine of their features."""
    training = np.array([row for row, image in enumerate(doubts.images) if image.split == "train"], np.int64)
    queues = [doubts.queues[name] for name in (LIKELY, CONFLICTS, DISAGREES, UNSURE, NEWEST)]
    rows = [*dict.fromkeys(row for queue in queues for row in queue)][:MOST_COMPARED]
    if not len(training) or not rows:
        return {}
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    vectors = features / np.maximum(lengths, 1e-12)
    found = {}
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        likeness = vectors[part] @ vectors[training].T
        for row, values in zip(part, likeness, strict=True):
            same = {row, *doubts.copies.get(row, ())}
            best = training[np.argsort(-values, kind="stable")[: NEAREST + len(same)]]
            found[row] = [int(one) for one in best if int(one) not in same][:NEAREST]
    return found
