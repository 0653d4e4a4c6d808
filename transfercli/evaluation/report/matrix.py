"""The confusion matrix as a sortable table, with the images of its cells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.examples import Case, cases_at
from transfercli.evaluation.predictions import Predictions

# A larger table is hard to read: only the classes with the most mistakes are in it, and a picture shows all.
TABLE_CLASSES = 30
# Images shown for one cell, and for all cells, to limit the size of the page.
PER_CELL, ALL_CELLS = 8, 320


@dataclass(frozen=True, slots=True)
class Cell:
    """The number of images of one class predicted as one class.

    strength: of the cell's colour, 0 to 1; anchor: id of the element with its images, or ""
    """

    images: int
    strength: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Row:
    """One class: its sort keys, and its cells in the order of the rows."""

    label: str
    images: int
    mistakes: int
    recall: float | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class CellImages:
    """The images of one cell, the most confident first; `cases` are those shown, of `images` in all."""

    anchor: str
    truth: str
    predicted: str
    images: int
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The table.

    rows: in index order, at most TABLE_CLASSES; cell_images: the images shown for its cells; classes: number of all
    """

    rows: tuple[Row, ...]
    cell_images: tuple[CellImages, ...]
    classes: int

    @property
    def is_whole(self) -> bool:
        return len(self.rows) == self.classes

    def anchor(self, truth: str, predicted: str) -> str:
        """Return the anchor of the images of a pair of classes, or ""."""
        anchors = (cell.anchor for cell in self.cell_images if (cell.truth, cell.predicted) == (truth, predicted))
        return next(anchors, "")


def matrix_of(predictions: Predictions, confusion: npt.NDArray[np.int64]) -> Matrix:
    """Return the table of a confusion matrix int64 [C, C], rows = truth."""
    shown = _shown(confusion)
    cell_images = tuple(_cell_images(predictions, confusion, shown))
    anchors = {cell.anchor for cell in cell_images}
    support = confusion.sum(axis=1)
    rows = tuple(
        Row(
            label=predictions.labels[row],
            images=int(support[row]),
            mistakes=int(support[row] - confusion[row, row]),
            recall=float(confusion[row, row] / support[row]) if support[row] else None,
            cells=tuple(_cell(confusion, row, column, anchors) for column in shown),
        )
        for row in shown
    )
    return Matrix(rows, cell_images, len(confusion))


def _shown(confusion: npt.NDArray[np.int64]) -> list[int]:
    """Return the classes with the most mistakes in their row and column, in index order."""
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * np.diag(confusion)
    return sorted(np.argsort(-wrong, kind="stable")[:TABLE_CLASSES].tolist())


def _cell(confusion: npt.NDArray[np.int64], row: int, column: int, anchors: set[str]) -> Cell:
    images, anchor = int(confusion[row, column]), _anchor(row, column)
    # The square root of the share of the row, so that rare mistakes are visible.
    strength = math.sqrt(images / max(int(confusion[row].sum()), 1))
    return Cell(images, round(strength, 3), anchor if anchor in anchors else "")


def _anchor(row: int, column: int) -> str:
    return f"cell-{row}-{column}"


def _cell_images(predictions: Predictions, confusion: npt.NDArray[np.int64], shown: list[int]) -> Iterator[CellImages]:
    """Yield the images of each cell, mistakes first and large cells before small ones, ALL_CELLS images at most."""
    part = confusion[np.ix_(shown, shown)]
    rows, columns = np.nonzero(part)
    order = np.lexsort((-part[rows, columns], rows == columns))
    left = ALL_CELLS
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
