"""The confusion matrix as a table one can sort and look behind: which classes, and which images of each cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.examples import Case, cases_at
from transfercli.evaluation.predictions import Predictions

# More classes would be a table that nobody overlooks: those of the most mistakes are shown, and the picture has all.
TABLE_CLASSES = 30
# Images behind one cell, and behind all: what the page may weigh.
PER_CELL, BEHIND_ALL = 8, 320


@dataclass(frozen=True, slots=True)
class Cell:
    """Images of one class taken for one class. strength: of its colour, 0 to 1; anchor: of its images, or ""."""

    images: int
    strength: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Row:
    """One class: what it is sorted by, and its cells in the order of the rows."""

    label: str
    images: int
    mistakes: int
    recall: float | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class CellImages:
    """The images of one cell, the surest first; `cases` are the first of `images`."""

    anchor: str
    truth: str
    predicted: str
    images: int
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """rows: in index order, `shown` of all classes; behind: what is shown of the cells' images."""

    rows: tuple[Row, ...]
    cell_images: tuple[CellImages, ...]
    classes: int

    @property
    def is_whole(self) -> bool:
        return len(self.rows) == self.classes

    def anchor(self, truth: str, predicted: str) -> str:
        """Where the images of a pair are, or ""."""
        found = (one.anchor for one in self.cell_images if (one.truth, one.predicted) == (truth, predicted))
        return next(found, "")


def matrix_of(predictions: Predictions, confusion: npt.NDArray[np.int64]) -> Matrix:
    """confusion: int64 [C, C], rows = truth."""
    shown = _shown(confusion)
    cell_images = tuple(_behind(predictions, confusion, shown))
    anchors = {one.anchor for one in cell_images}
    found = confusion.sum(axis=1)
    rows = tuple(
        Row(
            label=predictions.labels[row],
            images=int(found[row]),
            mistakes=int(found[row] - confusion[row, row]),
            recall=float(confusion[row, row] / found[row]) if found[row] else None,
            cells=tuple(_cell(confusion, row, column, anchors) for column in shown),
        )
        for row in shown
    )
    return Matrix(rows, cell_images, len(confusion))


def _shown(confusion: npt.NDArray[np.int64]) -> list[int]:
    """The classes with the most mistakes in their row and column, in index order."""
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * np.diag(confusion)
    return sorted(np.argsort(-wrong, kind="stable")[:TABLE_CLASSES].tolist())


def _cell(confusion: npt.NDArray[np.int64], row: int, column: int, anchors: set[str]) -> Cell:
    images, anchor = int(confusion[row, column]), _anchor(row, column)
    # The square root of the share of the row, so that small mistakes show.
    strength = math.sqrt(images / max(int(confusion[row].sum()), 1))
    return Cell(images, round(strength, 3), anchor if anchor in anchors else "")


def _anchor(row: int, column: int) -> str:
    return f"cell-{row}-{column}"


def _behind(predictions: Predictions, confusion: npt.NDArray[np.int64], shown: list[int]) -> Iterator[CellImages]:
    """Mistakes before what is right, large cells before small ones, until the page has enough."""
    part = confusion[np.ix_(shown, shown)]
    rows, columns = np.nonzero(part)
    order = np.lexsort((-part[rows, columns], rows == columns))
    left = BEHIND_ALL
    by_confidence = np.argsort(-predictions.confidence, kind="stable")
    targets, predicted = predictions.targets[by_confidence], predictions.predicted[by_confidence]
    for row, column in ((shown[rows[n]], shown[columns[n]]) for n in order):
        if left <= 0:
            return
        inside = by_confidence[(targets == row) & (predicted == column)][: min(PER_CELL, left)]
        left -= len(inside)
        yield CellImages(
            _anchor(row, column),
            predictions.labels[row],
            predictions.labels[column],
            int(confusion[row, column]),
            tuple(cases_at(predictions, inside)),
        )
