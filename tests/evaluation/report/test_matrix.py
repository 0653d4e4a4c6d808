from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transfercli.evaluation.metrics.confusion import confusion_matrix
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.matrix import ALL_CELLS, PER_CELL, TABLE_CLASSES, matrix_of


def _matrix(predictions: Predictions):
    counts = confusion_matrix(predictions.targets, predictions.predicted, len(predictions.labels))
    return counts, matrix_of(predictions, counts)


def test_the_cells_are_the_counts_and_rows_say_what_they_are_sorted_by(digits: Predictions) -> None:
    counts, matrix = _matrix(digits)
    assert [[cell.images for cell in row.cells] for row in matrix.rows] == counts.tolist()
    assert [row.images for row in matrix.rows] == counts.sum(axis=1).tolist()
    assert [row.mistakes for row in matrix.rows] == (counts.sum(axis=1) - np.diag(counts)).tolist()
    assert [row.recall for row in matrix.rows] == (np.diag(counts) / counts.sum(axis=1)).tolist()
    assert matrix.is_whole
    assert all(0 <= cell.strength <= 1 for row in matrix.rows for cell in row.cells)


def test_behind_a_cell_are_its_own_images_the_surest_first(digits: Predictions) -> None:
    _, matrix = _matrix(digits)
    for one in matrix.cell_images:
        assert {(case.truth, case.predicted) for case in one.cases} == {(one.truth, one.predicted)}
        sure = [case.confidence for case in one.cases]
        assert sure == sorted(sure, reverse=True)
        inside = (digits.targets == digits.labels.index(one.truth)) & (
            digits.predicted == digits.labels.index(one.predicted)
        )
        assert one.images == inside.sum()
        assert len(one.cases) <= PER_CELL
        assert one.cases[0].confidence == digits.confidence[inside].max()
        assert matrix.anchor(one.truth, one.predicted) == one.anchor
    assert sum(len(one.cases) for one in matrix.cell_images) <= ALL_CELLS
    wrong = [one.truth != one.predicted for one in matrix.cell_images]
    assert wrong == sorted(wrong, reverse=True)
    assert matrix.anchor("zero", "nothing") == ""


def test_of_many_classes_the_ones_with_mistakes_are_shown(make: Callable[..., Predictions]) -> None:
    classes = TABLE_CLASSES + 10
    targets = list(range(classes)) * 2
    predicted = list(targets)
    predicted[classes - 1] = classes - 2
    _, matrix = _matrix(make(targets, predicted, classes))
    assert len(matrix.rows) == TABLE_CLASSES
    assert not matrix.is_whole
    assert [row.label for row in matrix.rows][-2:] == [f"class {classes - 2}", f"class {classes - 1}"]
    assert matrix.cell_images[0].truth == f"class {classes - 1}"


def test_a_class_without_images_has_no_recall(make: Callable[..., Predictions]) -> None:
    _, matrix = _matrix(make([0, 0], [0, 2]))
    assert [row.recall for row in matrix.rows] == [0.5, None, None]
