"""Doubtful labels of an experiment: its images as the data has them now, with queues and the answers of the model."""

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
from transfercli.data.quality.check import Report, build_report
from transfercli.data.thumbnail_store import load_fingerprints
from transfercli.data.validation import Findings, IngestedFile, split_of
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.data.check import examine
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.data.label_errors import find_mislabelled, find_mislabelled_labels
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.review.queues import (
    CONFLICTS,
    DISAGREES,
    LIKELY,
    NEWEST,
    TITLES,
    UNSURE,
    ModelAnswers,
    conflicts,
    newest,
    of_answers,
    suspicion,
)

TOP = 5  # answers of the model that are kept of an image
NEAREST = 4  # training images that are shown beside it
MOST_COMPARED = 2000  # images for which the nearest are looked for, the most doubtful ones first
ALL = 1.0  # share of the images that may be listed as likely mislabelled


@dataclass(frozen=True)
class Doubts:
    """Images of an experiment, and the queues of their rows.

    Attributes:
        run: label of the run whose model answered.
        labels: classes of the data; several: an image may have several of them.
        images: the usable images, with the labels that earlier decisions gave them.
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


def _answers(run: StoredRun, report: Report, findings: Findings, reporter: Reporter) -> ModelAnswers | None:
    """Return the answers of a run's model to all images; None if the run has no model that can be read."""
    if not findings.usable:
        return None
    try:
        extractor = ImageFeatures(run)
    except ArtefactError as error:
        reporter.warning(f"no label is judged: {error.message}")
        return None
    found = extractor.outputs(split_of("", findings.usable, tuple(report.labels), findings))
    return ModelAnswers(found.features, found.probabilities, run.labels)


def _doubts(
    run: StoredRun,
    report: Report,
    findings: Findings,
    records: Sequence[Record],
    answers: ModelAnswers | None,
    reporter: Reporter,
) -> Doubts:
    reasons: dict[str, dict[int, str]] = {name: {} for name in TITLES}
    note = "" if answers else f"{run.label} has no model that can be read"
    if answers is not None:
        reporter.progress("looking for wrong labels", 0, 0, "")
        find = find_mislabelled_labels if report.several else find_mislabelled
        found = find(report.images, answers.features, report.near, findings.listing.groups, reporter, ALL)
        for suspect in found.suspects:
            reasons[LIKELY].setdefault(suspect.row, suspicion(suspect))
        if found.search is not None and found.search.weak:
            note = f"the model of {run.label} agrees with {found.search.agreement:.0%} of the labels: too weak to judge"
        reasons[DISAGREES], reasons[UNSURE] = of_answers(records, answers, several=report.several)
    reasons[CONFLICTS] = conflicts(report)
    reasons[NEWEST] = newest(run.folder, records)
    queues = {name: [*reasons[name]] for name in TITLES}
    doubts = Doubts(
        run.label,
        tuple(report.labels),
        report.several,
        records,
        queues,
        reasons,
        _top(answers, len(records)),
        copies={row: rows for rows in report.groups(report.duplicates) for row in rows},
        note=note,
    )
    return doubts if answers is None else replace(doubts, nearest=_nearest(doubts, answers.features))


def _top(answers: ModelAnswers | None, count: int) -> list[tuple[tuple[str, float], ...]]:
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
    rows = [*dict.fromkeys(row for name in TITLES for row in doubts.queues[name])][:MOST_COMPARED]
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
