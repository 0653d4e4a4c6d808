"""Predictions of a model on one split: the input of every metric, interval and report.

`predictions.csv` is data for scripts, so its values stay exact: a class named `=1+1` is written as `=1+1`, without an
apostrophe before it. Import the file as text when opening it in a spreadsheet. Probabilities are written with the
fewest digits that give the same float32 again, the type that a model computes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.sources.labels import names_of_stored
from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.spreadsheet import SpreadsheetWriter

COLUMNS = ("path", "label", "predicted", "probability")
CLASS_PREFIX = "p:"


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Paths, true classes and class probabilities of N images, in the order of the split.

    paths: N paths relative to the data root
    labels: C class names in index order (labels.json)
    targets: int64 [N], the true class of each image
    probabilities: float64 [N, C]; the sum of each row is about 1
    groups: name of each image's group, "" for an image without one; empty if no image has one. predictions.csv has no
        column for it
    answers: int64 [N], the predicted classes if a threshold chose them; None for the most probable classes

    Raises ValueError if the shapes do not match, ArtefactError if a value is not finite or negative.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    groups: tuple[str, ...] = ()
    answers: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(self.paths))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "targets", np.asarray(self.targets, dtype=np.int64))
        object.__setattr__(self, "probabilities", np.asarray(self.probabilities, dtype=np.float64))
        shape = (len(self.paths), len(self.labels))
        if self.probabilities.shape != shape or self.targets.shape != shape[:1]:
            raise ValueError(
                f"{shape[0]} paths and {shape[1]} labels need targets [{shape[0]}] and probabilities {list(shape)}; "
                f"received {list(self.targets.shape)} and {list(self.probabilities.shape)}"
            )
        if len(self) and (self.targets.min() < 0 or self.targets.max() >= shape[1]):
            raise ValueError(f"targets must be class indices from 0 to {shape[1] - 1}")
        check_finite(self.probabilities)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """int64 [N], the predicted class of each image; the first one if several are equally probable."""
        return self.probabilities.argmax(axis=1) if self.answers is None else self.answers

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """float64 [N], the probability of the predicted class."""
        return self.probabilities[np.arange(len(self)), self.predicted]

    def of(self, chosen: npt.NDArray[np.int64]) -> Predictions:
        """Return the predictions of the images at `chosen`, int64 [n], in that order."""
        paths = tuple(self.paths[index] for index in chosen)
        groups = tuple(self.groups[index] for index in chosen) if self.groups else ()
        answers = None if self.answers is None else self.answers[chosen]
        return Predictions(paths, self.labels, self.targets[chosen], self.probabilities[chosen], groups, answers)

    def write_csv(self, path: Path) -> None:
        """Write `predictions.csv` atomically."""
        write_table(path, self._write_to)

    def write_spreadsheet(self, path: Path) -> None:
        """Write the same table for spreadsheet programs, atomically: with a byte order mark, and without formulas."""
        write_table(path, self._write_to, spreadsheet=True)

    def _write_to(self, writer: Any) -> None:
        writer.writerow([*COLUMNS, *(CLASS_PREFIX + label for label in self.labels)])
        values = self.probabilities.astype(np.float32)
        for row, (path, target, predicted) in enumerate(zip(self.paths, self.targets, self.predicted, strict=True)):
            numbers = [str(value) for value in values[row]]
            writer.writerow([path, self.labels[target], self.labels[predicted], numbers[predicted], *numbers])

    @classmethod
    def read_csv(cls, path: Path) -> Predictions:
        """Read a file that `write_csv` wrote, with normalised class names.

        Raises ArtefactError if the file is missing or damaged.
        """
        labels, rows = read_table(path)
        return _from_rows(path, labels, rows)


def check_finite(probabilities: npt.NDArray[np.float64]) -> None:
    """Raise ArtefactError if a value of the probabilities, [N, C], is not finite or negative."""
    bad = int(np.sum(~(np.isfinite(probabilities) & (probabilities >= 0)).all(axis=1)))
    if bad:
        raise ArtefactError(
            f"the model returned NaN, infinite or negative values instead of probabilities for {bad} of "
            f"{len(probabilities)} images",
            hint="training diverged or the weights are damaged: train again with a lower learning rate",
        )


def write_table(path: Path, write_to: Callable[[Any], None], *, spreadsheet: bool = False) -> None:
    """Write a table of predictions atomically; `write_to` receives a writer with the method `writerow`.

    spreadsheet: True for spreadsheet programs.
    """

    def write(temporary: Path) -> None:
        # Python holds a file name that is not UTF-8 with surrogates; "surrogateescape" writes its original bytes.
        errors = "backslashreplace" if spreadsheet else "surrogateescape"
        with temporary.open("w", encoding="utf-8", errors=errors, newline="") as file:
            write_to(SpreadsheetWriter(file) if spreadsheet else csv.writer(file, lineterminator="\n"))

    atomic.write_with(path, write)


def read_table(path: Path) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the class names and the rows of a table of predictions.

    Raises ArtefactError if the file is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, csv.Error) as error:
        raise ArtefactError(f"{path.name} cannot be read: {error}", hint="run evaluate again") from error
    header = rows[0] if rows else []
    classes = header[len(COLUMNS) :]
    if tuple(header[: len(COLUMNS)]) != COLUMNS or not all(name.startswith(CLASS_PREFIX) for name in classes):
        raise ArtefactError(
            f"{path.name} has the columns {header[:6]}; "
            f"expected {','.join(COLUMNS)} and one {CLASS_PREFIX}CLASS a class",
            hint="run evaluate again",
        )
    return tuple(name[len(CLASS_PREFIX) :] for name in classes), rows[1:]


def _from_rows(path: Path, labels: tuple[str, ...], rows: list[list[str]]) -> Predictions:
    index_of = {label: index for index, label in enumerate(labels)}
    targets, answers = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    values = np.empty((len(rows), len(labels)), np.float32)
    for number, row in enumerate(rows):
        try:
            if len(row) != len(COLUMNS) + len(labels):
                raise ValueError(f"{len(row)} values for {len(COLUMNS) + len(labels)} columns")
            targets[number], answers[number] = index_of[row[1]], index_of[row[2]]
            values[number] = [float(value) for value in row[len(COLUMNS) :]]
        except (KeyError, ValueError) as error:
            raise ArtefactError(
                f"{path.name}: row {number + 2} is damaged ({type(error).__name__}: {error})", hint="run evaluate again"
            ) from error
    names = names_of_stored(labels)
    normalised = tuple(names[label] for label in labels)
    most_probable = bool((answers == values.argmax(axis=1)).all())
    return Predictions(
        tuple(row[0] for row in rows),
        normalised,
        targets,
        values.astype(np.float64),
        answers=None if most_probable else answers,
    )
