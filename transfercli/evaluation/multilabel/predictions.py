"""Predictions of a model that gives an image any number of labels: the input of its metrics, intervals and report.

In `predictions.csv` the columns `label` and `predicted` hold label sets (`data/label_sets.py`), and `probability` is
the largest one of the image. Values stay exact, as in `evaluation/predictions.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.label_sets import UNKNOWN, LabelSet, label_targets
from transfercli.data.sources.labels import names_of_stored
from transfercli.errors import ArtefactError
from transfercli.evaluation.predictions import CLASS_PREFIX, COLUMNS, check_finite, read_table, write_table
from transfercli.models.tasks.answers import as_float32

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LabelPredictions:
    """Paths, true labels and label probabilities of N images, in the order of the split.

    paths: N paths relative to the data root
    labels: L label names in index order (labels.json)
    targets: int64 [N, L]: 1 if the image has the label, 0 if not, -1 if that is unknown
    probabilities: float64 [N, L], each from 0 to 1, independent of each other
    thresholds: float64 [L]; a label is answered if its probability is at least its threshold
    groups: name of each image's group, "" for an image without one; empty if no image has one. predictions.csv has no
        column for it

    Raises ValueError if the shapes do not match, ArtefactError if a value is not finite or negative.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(self.paths))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "targets", np.asarray(self.targets, dtype=np.int64))
        object.__setattr__(self, "probabilities", np.asarray(self.probabilities, dtype=np.float64))
        object.__setattr__(self, "thresholds", np.asarray(self.thresholds, dtype=np.float64))
        shape = (len(self.paths), len(self.labels))
        received = (self.targets.shape, self.probabilities.shape, self.thresholds.shape)
        if received != (shape, shape, shape[1:]):
            raise ValueError(
                f"{shape[0]} paths and {shape[1]} labels need targets and probabilities {list(shape)} and thresholds "
                f"[{shape[1]}]; received {', '.join(str(list(one)) for one in received)}"
            )
        if not np.isin(self.targets, (1, 0, UNKNOWN)).all():
            raise ValueError(f"targets must be 1, 0, or {UNKNOWN} if unknown")
        check_finite(self.probabilities)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def known(self) -> Bools:
        """bool [N, L], True if it is known whether the image has the label."""
        return self.targets != UNKNOWN

    @property
    def answered(self) -> Bools:
        """bool [N, L], True for the labels that an image gets, by probabilities of float32 as in every artefact."""
        return as_float32(self.probabilities) >= self.thresholds

    @property
    def right(self) -> Bools:
        """bool [N, L], True if it is known whether the image has the label, and the answer agrees with it."""
        return self.known & ((self.targets == 1) == self.answered)

    @property
    def all_right(self) -> Bools:
        """bool [N], True if the answers to all known labels of the image are right."""
        return np.asarray((self.right | ~self.known).all(axis=1))

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """float64 [N], the largest probability of each image."""
        return self.probabilities.max(axis=1)

    def of(self, chosen: npt.NDArray[np.int64]) -> LabelPredictions:
        """Return the predictions of the images at `chosen`, int64 [n], in that order."""
        paths = tuple(self.paths[index] for index in chosen)
        groups = tuple(self.groups[index] for index in chosen) if self.groups else ()
        return LabelPredictions(
            paths, self.labels, self.targets[chosen], self.probabilities[chosen], self.thresholds, groups
        )

    def write_csv(self, path: Path) -> None:
        """Write `predictions.csv` atomically."""
        write_table(path, self._write_to)

    def write_spreadsheet(self, path: Path) -> None:
        """Write the same table for spreadsheet programs, atomically: with a byte order mark, and without formulas."""
        write_table(path, self._write_to, spreadsheet=True)

    def _write_to(self, writer: Any) -> None:
        writer.writerow([*COLUMNS, *(CLASS_PREFIX + label for label in self.labels)])
        values = self.probabilities.astype(np.float32)
        for row, (path, target, answered) in enumerate(zip(self.paths, self.targets, self.answered, strict=True)):
            numbers = [str(value) for value in values[row]]
            truth = LabelSet.of(self._named(target == 1), self._named(target == UNKNOWN))
            writer.writerow(
                [path, truth.text, LabelSet.of(self._named(answered)).text, str(values[row].max()), *numbers]
            )

    def _named(self, chosen: Bools) -> list[str]:
        return [self.labels[index] for index in np.flatnonzero(chosen)]

    @classmethod
    def read_csv(cls, path: Path, thresholds: npt.NDArray[np.float64]) -> LabelPredictions:
        """Read a file that `write_csv` wrote, with normalised label names; the file does not hold the thresholds.

        Raises ArtefactError if the file is missing or damaged, or its answers are not those of the thresholds.
        """
        labels, rows = read_table(path)
        names = names_of_stored(labels)
        try:
            targets, predicted = (label_targets((row[column] for row in rows), labels) for column in (1, 2))
            values = np.array([row[len(COLUMNS) :] for row in rows], np.float32).reshape(len(rows), len(labels))
        except (LookupError, ValueError) as error:
            raise ArtefactError(
                f"{path.name} is damaged ({type(error).__name__}: {error})", "run evaluate again"
            ) from error
        paths, normalised = tuple(row[0] for row in rows), tuple(names[label] for label in labels)
        result = cls(paths, normalised, targets.astype(np.int64), values.astype(np.float64), thresholds)
        if not np.array_equal(result.answered, predicted == 1):
            raise ArtefactError(f"{path.name} was written with other thresholds", "run evaluate again")
        return result
