"""Precision-recall curve of each label with its threshold, and its calibration, for the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from transfercli.evaluation.metrics.calibration import Bin, confidence_bins, expected_calibration_error
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.report.charts import precision_recall_chart
from transfercli.evaluation.report.threshold_curves import POINTS, class_curves

FIRST = 12  # labels whose chart is seen at once; the others are behind a summary


@dataclass(frozen=True, slots=True)
class LabelCurve:
    """Chart of a label. threshold, recall, precision: of its answers; recall and precision are None if not defined."""

    label: str
    chart: Markup
    average_precision: float
    threshold: float
    recall: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class LabelCalibration:
    """Mean probability of a label, the share of the known images that have it, and its calibration error.

    before: the error of the model's own probabilities; None if it was not computed
    """

    label: str
    images: int
    probability: float
    share: float
    error: float
    before: float | None


def label_curves(predictions: LabelPredictions, rows: Sequence[Mapping[str, Any]]) -> list[LabelCurve]:
    """Return the chart of each label that some images have, and others not, the lowest average precision first.

    rows: of each label, as in `LabelEvaluation.per_class`
    """
    charts = (_curve(predictions, index, row) for index, row in enumerate(rows) if row["support"] and row["negatives"])
    return sorted(charts, key=lambda curve: curve.average_precision)


def _curve(predictions: LabelPredictions, index: int, row: Mapping[str, Any]) -> LabelCurve:
    label, known = predictions.labels[index], predictions.known[:, index]
    positive = predictions.targets[known, index] == 1
    curve = class_curves(label, positive, predictions.probabilities[known, index])
    # The precision of a threshold above every probability is not defined: there is no point to mark.
    answered = bool(predictions.answered[known, index].any())
    recall, precision = row["recall"], row["precision"] if answered else None
    chart = precision_recall_chart(
        list(zip(POINTS.tolist(), curve.precision.tolist(), strict=True)),
        None if recall is None or precision is None else (recall, precision),
        float(positive.mean()),
        f"precision by recall of {label}, average precision {curve.average_precision:.3f}",
    )
    return LabelCurve(label, chart, curve.average_precision, row["threshold"], recall, precision)


def pooled_reliability(predictions: LabelPredictions) -> list[Bin]:
    """Return the bins of all pairs of an image and a label that are known: probability, and share with the label."""
    known = predictions.known
    return confidence_bins(predictions.probabilities[known], predictions.targets[known] == 1)


def label_calibration(predictions: LabelPredictions, trust: Mapping[str, Any]) -> Iterator[LabelCalibration]:
    """Yield the calibration of each label that is known for an image. trust: as in `LabelEvaluation`."""
    before = {row["label"]: row["ece_before"] for row in trust.get("calibration", {}).get("labels", ())}
    for index, label in enumerate(predictions.labels):
        known = predictions.known[:, index]
        if not known.any():
            continue
        scores, positive = predictions.probabilities[known, index], predictions.targets[known, index] == 1
        error = expected_calibration_error(scores, positive)
        yield LabelCalibration(
            label, int(np.sum(known)), float(scores.mean()), float(positive.mean()), error, before.get(label)
        )
