"""The result of an evaluation of images with any number of labels, from predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.config.types import MULTILABEL
from transfercli.data.clusters import count_clusters
from transfercli.errors import DataError
from transfercli.evaluation.gates import Gate, check
from transfercli.evaluation.metric_tables import METRIC_TABLES
from transfercli.evaluation.multilabel.intervals import label_intervals
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, PER_LABEL, LabelSample
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.result import Evaluation, Scores, check_not_empty, plain, slice_rows
from transfercli.evaluation.slices import Slice
from transfercli.text import counted

SHOWN = ("map", "macro_f1")


@dataclass(frozen=True, slots=True, eq=False)
class LabelEvaluation(Evaluation):
    """The result of `evaluate_labels`: an `Evaluation` of labels in place of classes.

    metrics: a value for each row of LABEL_METRICS
    intervals: 95% intervals by metric, also `ap[LABEL]` and the other rows of PER_LABEL
    per_class: PER_LABEL of each label, its support (images that have it), negatives (images that have it not), unknown
        (images whose target is unknown) and threshold
    confusion: int64 [L, 2, 2], of the known targets of each label, rows = truth, columns = answer, first without it
    class_metrics: empty
    co_occurrence: as returned by `co_occurrence`
    """

    co_occurrence: dict[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The one metric to name if there is room for one."""
        return METRIC_TABLES[MULTILABEL].headline

    def as_result(self) -> dict[str, Any]:
        """Return the contract's `evaluate` object without `run` and `split`, with additional keys at the end."""
        return Evaluation.as_result(self) | {"co_occurrence": dict(self.co_occurrence)}


def evaluate_labels(
    predictions: LabelPredictions,
    *,
    shown: Sequence[str] = SHOWN,
    gates: Sequence[Gate] = (),
    gate_on: str = "point",
    slices: Mapping[str, Slice] | None = None,
    seed: int = 0,
    left_out: npt.NDArray[np.bool_] | None = None,
) -> LabelEvaluation:
    """Compute all metrics with their intervals, check the gates, and compute the metrics of each slice.

    gate_on: one of `gates.GATE_ON`; slices: by name; left_out: bool [N], images that the honest metrics and the gates
    leave out. Raises DataError if there are no images, or if no label of any image is known.
    """
    check_not_empty(predictions)
    if not predictions.known.any():
        raise DataError(
            f"there is nothing to evaluate: every label of the {counted(len(predictions), 'image')} is unknown",
            "label some of them, or evaluate other images, with --split or --data TABLE",
        )
    requested = {*shown, *(gate.metric for gate in gates)}
    whole = honest = _scores(predictions, requested, seed)
    if left_out is not None and left_out.any():
        honest = _scores(predictions.of(np.flatnonzero(~left_out)), requested, seed)
    return LabelEvaluation(
        labels=predictions.labels,
        examples=len(predictions),
        metrics=whole.metrics,
        intervals=whole.intervals,
        per_class=whole.per_class,
        confusion=confusion_matrices(predictions),
        gates=check(gates, honest.values(PER_LABEL), honest.intervals, gate_on),
        shown=tuple(shown),
        honest=dict(honest.metrics),
        honest_examples=honest.examples,
        honest_intervals={name: honest.intervals[name] for name in LABEL_METRICS if name in honest.intervals},
        slices=slice_rows(predictions, slices, label_metrics_of, partial(label_intervals, seed=seed)),
        groups=count_clusters(predictions.groups),
        co_occurrence=co_occurrence(predictions),
    )


def confusion_matrices(predictions: LabelPredictions) -> npt.NDArray[np.int64]:
    """Return int64 [L, 2, 2] of the known targets of each label, as scikit-learn's multilabel_confusion_matrix."""
    known, truth, answered = predictions.known, predictions.targets == 1, predictions.answered
    cells = [
        [(known & (truth == has) & (answered == gets)).sum(axis=0) for gets in (False, True)] for has in (False, True)
    ]
    return np.moveaxis(np.array(cells, np.int64), -1, 0)


def co_occurrence(predictions: LabelPredictions) -> dict[str, Any]:
    """Return counts of images by pairs of labels: {"labels", "together", "answered_together", "confused"}.

    together: [L][L], images that have both labels, and images with the label on the diagonal
    answered_together: [L][L], images that both labels are answered for, among those in which both are known
    confused: [L][L], images that have the row's label, which is not answered, and not the column's, which is
    """
    known, truth, answered = predictions.known, predictions.targets == 1, predictions.known & predictions.answered
    missed, extra = known & truth & ~answered, known & ~truth & answered
    return {
        "labels": list(predictions.labels),
        "together": _counts(truth, truth),
        "answered_together": _counts(answered, answered),
        "confused": _counts(missed, extra),
    }


def _counts(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> list[list[int]]:
    counts: list[list[int]] = (rows.T.astype(np.int64) @ columns.astype(np.int64)).tolist()
    return counts


def label_metrics_of(predictions: LabelPredictions) -> dict[str, float | None]:
    """Return a value for each row of LABEL_METRICS; None if it is not defined."""
    sample = LabelSample.unweighted(predictions)
    return {name: plain(row.rule(sample)[0]) for name, row in LABEL_METRICS.items()}


def _scores(predictions: LabelPredictions, requested: Collection[str], seed: int) -> Scores:
    if not len(predictions):
        return Scores(0, dict.fromkeys(LABEL_METRICS), {}, per_label(predictions))
    bounds = label_intervals(predictions, requested, seed)
    return Scores(len(predictions), label_metrics_of(predictions), bounds, per_label(predictions))


def per_label(predictions: LabelPredictions) -> list[dict[str, Any]]:
    """Return {"label", each of PER_LABEL, "support", "negatives", "unknown", "threshold"} of each label."""
    sample = LabelSample.unweighted(predictions)
    columns = {name: row.rule(sample)[0] for name, row in PER_LABEL.items()}
    support, negatives = sample.truth.sum(axis=0), (sample.known & ~sample.truth).sum(axis=0)
    return [
        {"label": label}
        | {name: plain(values[index]) for name, values in columns.items()}
        | {
            "support": int(support[index]),
            "negatives": int(negatives[index]),
            "unknown": int(len(predictions) - support[index] - negatives[index]),
            "threshold": float(predictions.thresholds[index]),
        }
        for index, label in enumerate(predictions.labels)
    ]
