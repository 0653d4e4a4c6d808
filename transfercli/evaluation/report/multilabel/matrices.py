"""Views in place of a confusion matrix if an image may have several labels: co-occurrence, and answers instead.

The matrix of answers has a row for each label that an image has and a column for each label that it is answered with.
On the diagonal are the hits. Elsewhere are the images in which the label of the row is missed and the label of the
column is answered though absent. An additional column and row, named NOTHING, count missed labels without a false
one in the same image, and false labels without a missed one; the idea of such a row and column is that of Heydarian,
Doyle & Samavi 2022, "MLCM: Multi-Label Confusion Matrix". With exactly one label an image it is the confusion matrix.
Unknown labels are in no view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.multilabel.examples import LabelCase, false, missed, with_label
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.multilabel.result import LabelEvaluation
from transfercli.evaluation.report.plots import MatrixPanel, render_matrices

NOTHING = "nothing"
# Larger tables are hard to read: only the labels with the most mistakes are in them, and a picture shows all.
TABLE_LABELS = 30
LISTED = 10
# Images shown for one number, for the mistakes about all labels, and for all pairs, to limit the size of the page.
PER_NUMBER, FEWEST = 6, 2
ALL_MISTAKES, ALL_PAIRS = 320, 160

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of images. strength: of its colour, 0 to 1; anchor: id of the element with its images, or ""."""

    images: int
    strength: float
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. images: with its label; missed: of these; cells: in the order of the columns."""

    label: str
    images: int
    missed: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class ShownImages:
    """The images behind one number. `cases` are those shown, of `images` in all; title: what the number counts."""

    anchor: str
    title: str
    images: int
    cases: tuple[LabelCase, ...]


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Known images of one label: hits, missed, false, and those rightly without it; and those where it is unknown.

    missed_anchor, false_anchor: ids of the elements with their images, or "".
    """

    label: str
    hits: int
    missed: int
    false: int
    absent: int
    unknown: int
    missed_anchor: str = ""
    false_anchor: str = ""


@dataclass(frozen=True, slots=True)
class Instead:
    """Images in which `missed` is missed and `answered` answered though absent; share: of all images with `missed`."""

    missed: str
    answered: str
    images: int
    share: float
    anchor: str


@dataclass(frozen=True, slots=True)
class AnswerViews:
    """The tables of the page.

    counts: of each label, in index order
    columns: names of the labels in `answers` and `together`, in index order; the rows of `answers` have one name more
    answers, together: rows of the matrix of answers, and of the labels that images have together
    instead: the most frequent pairs; images: those behind the numbers; labels: number of all labels
    """

    counts: tuple[LabelCounts, ...]
    columns: tuple[str, ...]
    answers: tuple[Row, ...]
    together: tuple[Row, ...]
    instead: tuple[Instead, ...]
    images: tuple[ShownImages, ...]
    labels: int

    @property
    def is_whole(self) -> bool:
        return len(self.columns) == self.labels


def answer_matrix(evaluation: LabelEvaluation, predictions: LabelPredictions) -> Counts:
    """Return the matrix of answers, int64 [L + 1, L + 1]; the last row and column are NOTHING."""
    lost, extra = missed(predictions), false(predictions)
    labels = len(predictions.labels)
    matrix = np.zeros((labels + 1, labels + 1), np.int64)
    matrix[:labels, :labels] = evaluation.co_occurrence["confused"] + np.diag(evaluation.confusion[:, 1, 1])
    matrix[:labels, labels] = lost[~extra.any(axis=1)].sum(axis=0)
    matrix[labels, :labels] = extra[~lost.any(axis=1)].sum(axis=0)
    return matrix


def answers_png(evaluation: LabelEvaluation, predictions: LabelPredictions, title: str = "") -> bytes:
    """Return the matrix of answers, and that of labels that images have together, side by side as PNG bytes."""
    matrix, together = answer_matrix(evaluation, predictions), np.array(evaluation.co_occurrence["together"])
    support = _row_sizes(matrix, together)[:, None]
    labels = predictions.labels
    answers = MatrixPanel(
        matrix, matrix / support, (*labels, NOTHING), "answered", "has the label", "share of the row's label"
    )
    both = MatrixPanel(
        together, together / support[:-1], labels, "also has", "has the label", "share of the row's label"
    )
    return render_matrices([answers, both], title)


def _row_sizes(matrix: Counts, together: Counts) -> Counts:
    """Return the number that each row's shares are of: images with the label; false labels of the row NOTHING."""
    return np.maximum(np.append(np.diag(together), matrix[-1].sum()), 1)


def answer_views(evaluation: LabelEvaluation, predictions: LabelPredictions) -> AnswerViews:
    """Return the tables, and the images behind their numbers."""
    matrix, together = answer_matrix(evaluation, predictions), np.array(evaluation.co_occurrence["together"])
    shown = _most_mistakes(matrix)
    support = np.append(np.diag(together), matrix[-1].sum())
    images = tuple(_shown_images(predictions, matrix, shown))
    anchors = {each.anchor for each in images}
    places = [*shown, len(predictions.labels)]
    names = (*predictions.labels, NOTHING)
    return AnswerViews(
        counts=tuple(_label_counts(evaluation, anchors)),
        columns=tuple(predictions.labels[place] for place in shown),
        answers=tuple(_row(matrix, names, row, places, int(support[row]), anchors) for row in places),
        together=tuple(_row(together, names, row, shown, int(support[row])) for row in shown),
        instead=tuple(_instead(predictions.labels, matrix, support, anchors)),
        images=images,
        labels=len(predictions.labels),
    )


def _most_mistakes(matrix: Counts) -> list[int]:
    """Return the labels with the most mistakes in their row and column, in index order."""
    wrong = (matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix))[:-1]
    return sorted(np.argsort(-wrong, kind="stable")[:TABLE_LABELS].tolist())


def _row(
    matrix: Counts, names: Sequence[str], row: int, columns: Sequence[int], images: int, anchors: set[str] | None = None
) -> Row:
    cells = []
    for column in columns:
        count, anchor = int(matrix[row, column]), _cell_anchor(row, column)
        # The square root of the share of the row, so that rare mistakes are visible.
        strength = round(min(1.0, (count / max(images, 1)) ** 0.5), 3)
        cells.append(Cell(count, strength, anchor if anchor in (anchors or ()) else ""))
    return Row(names[row], images, images - int(matrix[row, row]), tuple(cells))


def _label_counts(evaluation: LabelEvaluation, anchors: set[str]) -> Iterator[LabelCounts]:
    for index, (row, matrix) in enumerate(zip(evaluation.per_class, evaluation.confusion.tolist(), strict=True)):
        (absent, extra), (lost, hits) = matrix
        links = [anchor if (anchor := f"{kind}-{index}") in anchors else "" for kind in ("missed", "false")]
        yield LabelCounts(row["label"], hits, lost, extra, absent, row["unknown"], *links)


def _instead(labels: Sequence[str], matrix: Counts, support: Counts, anchors: set[str]) -> Iterator[Instead]:
    wrong = matrix[:-1, :-1] - np.diag(np.diag(matrix)[:-1])
    rows, columns = np.nonzero(wrong)
    for pair in np.argsort(-wrong[rows, columns], kind="stable")[:LISTED]:
        row, column = int(rows[pair]), int(columns[pair])
        count, anchor = int(wrong[row, column]), _cell_anchor(row, column)
        share = float(count / support[row])
        yield Instead(labels[row], labels[column], count, share, anchor if anchor in anchors else "")


def _cell_anchor(row: int, column: int) -> str:
    return f"cell-{row}-{column}"


def _shown_images(predictions: LabelPredictions, matrix: Counts, shown: Sequence[int]) -> Iterator[ShownImages]:
    """Yield the images of missed and false labels, then those of pairs, the largest numbers first."""
    lost, extra = missed(predictions), false(predictions)
    labels = predictions.labels
    mistakes = [
        (f"{kind}-{index}", f"{labels[index]} {words}", chosen[:, index], index)
        for kind, words, chosen in (("missed", "missed", lost), ("false", "answered though absent", extra))
        for index in range(len(labels))
    ]
    mistakes.sort(key=lambda mistake: -int(mistake[2].sum()))
    each = max(FEWEST, min(PER_NUMBER, ALL_MISTAKES // len(mistakes)))
    yield from _within(predictions, mistakes, each, ALL_MISTAKES)
    wrong = matrix[np.ix_(shown, shown)] * (1 - np.eye(len(shown), dtype=np.int64))
    rows, columns = (np.array(shown)[places] for places in np.nonzero(wrong))
    order = np.argsort(-matrix[rows, columns], kind="stable")
    pairs = [
        (
            _cell_anchor(row, column),
            f"{labels[row]} missed, {labels[column]} answered",
            lost[:, row] & extra[:, column],
            column,
        )
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True)
    ]
    yield from _within(predictions, pairs, PER_NUMBER, ALL_PAIRS)


def _within(
    predictions: LabelPredictions, numbers: Sequence[tuple[str, str, npt.NDArray[np.bool_], int]], each: int, most: int
) -> Iterator[ShownImages]:
    """Yield images of (anchor, title, chosen bool [N], label): at most `each` of one, and `most` of all."""
    for anchor, title, chosen, label in numbers:
        if cases := with_label(predictions, chosen, label, min(each, most)):
            most -= len(cases)
            yield ShownImages(anchor, title, int(chosen.sum()), tuple(cases))
