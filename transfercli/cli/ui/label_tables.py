"""Tables of an evaluation of images with several labels: the metrics of each label, and labels answered for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transfercli.cli.ui.tables import print_table

if TYPE_CHECKING:
    from transfercli.evaluation.multilabel.result import LabelEvaluation

MOST_PAIRS = 10
# Title of a column and its key in a row of `per_class`.
COLUMNS = {
    "label": "label",
    "ap": "ap",
    "auroc": "auroc",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "threshold": "threshold",
    "images": "support",
    "without": "negatives",
    "unknown": "unknown",
}


def show_labels(evaluation: LabelEvaluation) -> None:
    """Print the metrics of each label, and the most frequent pairs of a missed label and one answered in its place."""
    rows = evaluation.per_class
    columns = {title: key for title, key in COLUMNS.items() if key != "unknown" or any(row[key] for row in rows)}
    print()
    print_table(tuple(columns), [tuple(row[key] for key in columns.values()) for row in rows])
    if pairs := confused_labels(evaluation):
        print("\nmissed, and another label answered that the image has not")
        print_table(("missed", "answered", "images", "of"), pairs)


def confused_labels(evaluation: LabelEvaluation) -> list[tuple[str, str, int, int]]:
    """Return (missed label, answered label, images with both mistakes, images with the missed label), most first."""
    labels, support = evaluation.labels, [row["support"] for row in evaluation.per_class]
    pairs = [
        (labels[row], labels[column], count, support[row])
        for row, counts in enumerate(evaluation.co_occurrence["confused"])
        for column, count in enumerate(counts)
        if count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:MOST_PAIRS]
