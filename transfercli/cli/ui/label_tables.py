"""Tables of an evaluation of images with several labels: the metrics of each label, and labels answered for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    promised = _promised(evaluation.trust.get("thresholds"))
    header = (*columns, *promised)
    print()
    print_table(
        header,
        [
            (*(row[key] for key in columns.values()), *values)
            for row, *values in zip(rows, *promised.values(), strict=True)
        ],
    )
    if promised:
        print(f"{' and '.join(promised)}: of new images at least, with 95% certainty, if the threshold is kept")
    if pairs := confused_labels(evaluation):
        print("\nmissed, and another label answered that the image has not")
        print_table(("missed", "answered", "images", "of"), pairs)


def _promised(thresholds: dict[str, Any] | None) -> dict[str, list[float | None]]:
    """Return the columns of what the thresholds promise: the metric of their rule, or precision and recall.

    thresholds: as in metrics.json; without a rule there is no column.
    """
    if not thresholds or thresholds["rule"] is None:
        return {}
    rule = thresholds["rule"]
    names = ("precision", "recall") if isinstance(rule, str) else tuple(rule)
    return {f"promised {name}": [row.get(f"promised_{name}") for row in thresholds["labels"]] for name in names}


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
