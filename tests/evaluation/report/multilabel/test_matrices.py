"""Views in place of a confusion matrix: answered instead, co-occurrence, and the images behind their numbers."""

from __future__ import annotations

import numpy as np

from tests.evaluation.label_models import label_predictions
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.multilabel.result import evaluate_labels
from transfercli.evaluation.report.multilabel.matrices import (
    ALL_MISTAKES,
    ALL_PAIRS,
    TABLE_LABELS,
    answer_matrix,
    answer_views,
)


def predictions_of(targets: list[list[int]], answered: list[list[int]], labels: str) -> LabelPredictions:
    paths = tuple(f"{number}.png" for number in range(len(targets)))
    probabilities = np.where(np.array(answered) == 1, 0.9, 0.1)
    return LabelPredictions(paths, tuple(labels), np.array(targets), probabilities, np.full(len(labels), 0.5))


def test_the_matrix_has_hits_on_its_diagonal_and_the_label_answered_instead_elsewhere() -> None:
    found = predictions_of(
        [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, -1]],
        [[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 1]],
        "abc",
    )
    matrix = answer_matrix(evaluate_labels(found), found)
    # 0: a missed, b instead. 1: both right. 2: a missed, nothing instead. 3: c instead of nothing. 4: c is unknown.
    assert matrix.tolist() == [[1, 1, 0, 2], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_with_one_label_an_image_it_is_the_confusion_matrix() -> None:
    from sklearn.metrics import confusion_matrix

    draw = np.random.default_rng(0)
    truth, said = draw.integers(0, 4, (2, 200))
    found = predictions_of(np.eye(4, dtype=int)[truth].tolist(), np.eye(4, dtype=int)[said].tolist(), "abcd")
    matrix = answer_matrix(evaluate_labels(found), found)
    assert (matrix[:4, :4] == confusion_matrix(truth, said)).all()
    assert not matrix[4].any()
    assert not matrix[:, 4].any()


def test_every_number_agrees_with_a_count_of_images_and_links_lead_to_such_images() -> None:
    predictions = label_predictions(unknown=0.1)
    evaluation = evaluate_labels(predictions)
    views = answer_views(evaluation, predictions)
    has, said, absent = predictions.targets == 1, predictions.answered, predictions.targets == 0
    for index, row in enumerate(views.counts):
        columns = has[:, index], absent[:, index], said[:, index]
        assert row.hits == (columns[0] & columns[2]).sum()
        assert row.missed == (columns[0] & ~columns[2]).sum()
        assert row.false == (columns[1] & columns[2]).sum()
        assert row.absent == (columns[1] & ~columns[2]).sum()
        assert row.unknown == (predictions.targets[:, index] == -1).sum() > 0
    assert [[cell.images for cell in row.cells] for row in views.together] == (has.T.astype(int) @ has).tolist()
    shown = {images.anchor: images for images in views.images}
    for row, label in enumerate(predictions.labels):
        for case in shown[f"missed-{row}"].cases if f"missed-{row}" in shown else ():
            assert (has[case.index, row], said[case.index, row]) == (True, False), label
            assert getattr(case.subject, "kind", None) == "missed"
    anchors = {cell.anchor for row in views.answers for cell in row.cells if cell.anchor}
    assert anchors <= shown.keys()
    assert all(pair.anchor == "" or pair.images == shown[pair.anchor].images for pair in views.instead)


def test_many_labels_have_a_table_of_those_with_most_mistakes_and_few_pictures_each() -> None:
    draw = np.random.default_rng(0)
    targets, answers = (draw.random((2, 400, 80)) < 0.1).astype(int)
    targets[:, 79] = answers[:, 79] = 0
    names = tuple(f"label {number}" for number in range(80))
    found = LabelPredictions(tuple(map(str, range(400))), names, targets, np.where(answers, 0.8, 0.2), np.full(80, 0.5))
    views = answer_views(evaluate_labels(found), found)
    assert (len(views.columns), len(views.answers)) == (TABLE_LABELS, TABLE_LABELS + 1)
    assert (len(views.counts), views.labels, views.is_whole) == (80, 80, False)
    shown = sum(len(images.cases) for images in views.images)
    assert ALL_PAIRS < shown <= ALL_MISTAKES + ALL_PAIRS
    assert sum(bool(row.missed_anchor) for row in views.counts) == 79
