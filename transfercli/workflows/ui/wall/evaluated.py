"""Evaluated images of a run: the true and the predicted label of each, in the orders of the wall."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet, label_targets
from transfercli.errors import ArtefactError
from transfercli.evaluation.predictions import Predictions, read_table
from transfercli.runs.folder import RunFolder
from transfercli.workflows.stored_run import StoredRun

TABLE = "predictions.csv"
LEAST = 1e-7  # probability of the true class, so that a loss is finite


@dataclass(frozen=True, slots=True)
class EvaluatedImage:
    """Image of an evaluation.

    number: its row in predictions.csv. record: as the run recorded it; None for an image of another folder. true,
    predicted: labels, one each unless an image may have several; of a number, its text. right: True if they agree.
    confidence: of the answer, 0 to 1. loss: the cross-entropy, or the absolute error of a number.
    """

    number: int
    path: str
    record: Record | None
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    right: bool
    confidence: float
    loss: float


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Images of an evaluation, in the order of predictions.csv.

    labels: the classes; of a run that gives numbers, the name of the number. several: an image may have several labels.
    has_numbers: each image has a number. probabilities: float32 [N, C], empty for numbers.
    """

    labels: tuple[str, ...]
    images: tuple[EvaluatedImage, ...]
    probabilities: np.ndarray
    several: bool = False
    has_numbers: bool = False

    @cached_property
    def by_sha256(self) -> dict[str, EvaluatedImage]:
        """The images that the run recorded, by the SHA-256 of their files."""
        return {image.record.sha256: image for image in self.images if image.record and image.record.sha256}

    @cached_property
    def mistakes(self) -> int:
        return sum(not image.right for image in self.images)

    @cached_property
    def pairs(self) -> Counter[tuple[str, str]]:
        """Number of images of each true and predicted class; empty unless each image has one class."""
        one = not self.several and not self.has_numbers
        return Counter((image.true[0], image.predicted[0]) for image in self.images) if one else Counter()

    def top(self, image: EvaluatedImage, most: int) -> list[tuple[str, float]]:
        """Return the most probable labels of an image."""
        if not self.probabilities.size:
            return []
        row = self.probabilities[image.number]
        return [(self.labels[index], float(row[index])) for index in np.argsort(-row, kind="stable")[:most]]


def splits_of(run: RunFolder) -> list[str]:
    """Return the names of a run's evaluations, `test` first."""
    folder = run.evaluations
    names = [path.name for path in folder.iterdir() if (path / TABLE).is_file()] if folder.is_dir() else []
    return sorted(names, key=lambda name: (name != "test", name))


def read_evaluated(run: StoredRun, split: str) -> Evaluated:
    """Return the images of an evaluation. Raises `ArtefactError` if there is none, or if a file is damaged."""
    if split not in splits_of(run.folder):
        raise ArtefactError(
            f"{run.label} has no evaluation {split!r}", f"transfercli evaluate {run.label} --split test makes one"
        )
    table = run.folder.evaluation(split) / TABLE
    records = {record.path: record for record in run.images if record.split == split}
    if run.has_numbers:
        return _numbers(table, records, run.labels[0])
    return _several(table, records) if run.several else _one_label(table, records)


def _one_label(table: Path, records: Mapping[str, Record]) -> Evaluated:
    found = Predictions.read_csv(table)
    of_truth = found.probabilities[np.arange(len(found)), found.targets]
    images = tuple(
        EvaluatedImage(
            number,
            path,
            records.get(path),
            (found.labels[target],),
            (found.labels[answer],),
            bool(target == answer),
            float(confidence),
            -math.log(max(truth, LEAST)),
        )
        for number, (path, target, answer, confidence, truth) in enumerate(
            zip(found.paths, found.targets, found.predicted, found.confidence, of_truth, strict=True)
        )
    )
    return Evaluated(found.labels, images, found.probabilities.astype(np.float32))


def _several(table: Path, records: Mapping[str, Record]) -> Evaluated:
    labels, rows = read_table(table)
    try:
        targets = label_targets((row[1] for row in rows), labels)
        values = np.array([row[4:] for row in rows], np.float32).reshape(len(rows), len(labels))
    except (LookupError, ValueError) as error:
        raise ArtefactError(
            f"{table.name} is damaged ({type(error).__name__}: {error})", "run evaluate again"
        ) from None
    images = []
    for number, row in enumerate(rows):
        truth, answer, target = LabelSet.read(row[1]), LabelSet.read(row[2]), targets[number]
        known, clipped = target >= 0, np.clip(values[number].astype(float), LEAST, 1 - LEAST)
        losses = np.where(target == 1, -np.log(clipped), -np.log(1 - clipped))[known]
        said = np.isin(labels, answer.has)
        right = bool((said == (target == 1))[known].all())
        sure = float(np.abs(2 * clipped - 1).min()) if len(labels) else 1.0
        loss = float(losses.mean()) if losses.size else 0.0
        images.append(EvaluatedImage(number, row[0], records.get(row[0]), truth.has, answer.has, right, sure, loss))
    return Evaluated(tuple(labels), tuple(images), values, several=True)


def _numbers(table: Path, records: Mapping[str, Record], quantity: str) -> Evaluated:
    images = []
    try:
        with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            for number, row in enumerate(csv.DictReader(file)):
                path, truth, value = row["path"], float(row["label"]), float(row["predicted"])
                texts = (f"{truth:.4g}",), (f"{value:.4g}",)
                error = abs(value - truth)
                images.append(EvaluatedImage(number, path, records.get(path), *texts, False, 1.0, error))
    except (OSError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{table.name} is damaged ({type(error).__name__}: {error})", "run evaluate again"
        ) from None
    return Evaluated((quantity,), tuple(images), np.zeros((0, 0), np.float32), has_numbers=True)


@dataclass(frozen=True, slots=True)
class Order:
    """Order of the wall: its words, and the key of an image; the lowest comes first."""

    words: str
    key: Callable[[EvaluatedImage], float]


ORDERS = {
    "loss": Order("Worst first", lambda image: -image.loss),
    "unsure": Order("Least sure first", lambda image: image.confidence),
    "sure": Order("Surest first", lambda image: -image.confidence),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Images that a request asks for. show: `mistakes` or `all`. true, predicted: a label, or "" for any."""

    show: str = "mistakes"
    sort: str = "loss"
    true: str = ""
    predicted: str = ""

    def of(self, evaluated: Evaluated) -> list[EvaluatedImage]:
        """Return the images, in their order."""
        return sorted((image for image in evaluated.images if self._takes(image)), key=ORDERS[self.sort].key)

    def _takes(self, image: EvaluatedImage) -> bool:
        return (
            (self.show == "all" or not image.right)
            and (not self.true or self.true in image.true)
            and (not self.predicted or self.predicted in image.predicted)
        )


def matrix_of(evaluated: Evaluated, most: int) -> Sequence[Sequence[int]]:
    """Return the confusion matrix, true classes in rows; empty if there are more than `most` classes."""
    labels = evaluated.labels
    if not evaluated.pairs or len(labels) > most:
        return []
    return [[evaluated.pairs[true, predicted] for predicted in labels] for true in labels]
