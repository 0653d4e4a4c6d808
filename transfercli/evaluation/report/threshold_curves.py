"""ROC and precision-recall curves of each class against the rest, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.charts import Axis, curve_path, diagonal_line, square_chart

POINTS = np.linspace(0.0, 1.0, 101)  # of the horizontal axis, at which curves are drawn and averaged
DRAWN = 20  # classes with a curve of their own
LISTED = 5  # classes in the table


@dataclass(frozen=True, slots=True)
class ClassCurves:
    """Curves of one class against the rest, as float64 values at `POINTS`.

    true_positives: true-positive rate by false-positive rate; precision: precision by recall.
    roc_auc, average_precision: areas under the exact curves.
    """

    label: str
    true_positives: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    roc_auc: float
    average_precision: float


@dataclass(frozen=True, slots=True)
class ThresholdCurves:
    """The two charts, and the classes of the lowest areas, the lowest average precision first; classes: with curves."""

    roc: Markup
    precision_recall: Markup
    lowest: Sequence[ClassCurves]
    classes: int


def threshold_curves(predictions: Predictions) -> ThresholdCurves | None:
    """Return the curves; None if no class has images both of it and of others."""
    curves = [
        class_curves(label, predictions.targets == index, predictions.probabilities[:, index])
        for index, label in enumerate(predictions.labels)
        if 0 < np.count_nonzero(predictions.targets == index) < len(predictions.targets)
    ]
    if not curves:
        return None
    lowest = sorted(curves, key=lambda curve: curve.average_precision)
    drawn = lowest[:DRAWN]
    roc_mean = np.mean([curve.true_positives for curve in curves], axis=0)
    precision_mean = np.mean([curve.precision for curve in curves], axis=0)
    return ThresholdCurves(
        roc=_chart(
            [curve.true_positives for curve in drawn],
            roc_mean,
            ("false-positive rate", "true-positive rate"),
            f"ROC curves; mean area {np.mean([curve.roc_auc for curve in curves]):.3f}",
            diagonal=True,
        ),
        precision_recall=_chart(
            [curve.precision for curve in drawn],
            precision_mean,
            ("recall", "precision"),
            f"precision-recall curves; mean average precision {np.mean([c.average_precision for c in curves]):.3f}",
        ),
        lowest=lowest[:LISTED],
        classes=len(curves),
    )


def class_curves(label: str, positive: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating]) -> ClassCurves:
    """Return the curves of one class. positive: [N], with both values; scores: [N], its probabilities."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]), 1))  # images of equal scores share a threshold
    hits = np.cumsum(positive[order])[ends].astype("float64")
    answers = ends + 1.0
    recall, precision = hits / hits[-1], hits / answers
    false_rate = (answers - hits) / (answers[-1] - hits[-1])
    across, up = np.append(0.0, false_rate), np.append(0.0, recall)
    return ClassCurves(
        label,
        np.interp(POINTS, across, up),
        precision[np.minimum(np.searchsorted(recall, POINTS - 1e-12), len(recall) - 1)],
        float(np.trapezoid(up, across)),
        float(np.sum(np.diff(recall, prepend=0.0) * precision)),
    )


def _chart(
    curves: Sequence[npt.NDArray[np.float64]],
    mean: npt.NDArray[np.float64],
    names: tuple[str, str],
    label: str,
    diagonal: bool = False,
) -> Markup:
    """Return a square chart of all curves, thin, and their mean; diagonal: with the line of random scores."""

    def parts(across: Axis, up: Axis) -> list[str]:
        lines = [diagonal_line(across, up)] if diagonal else []
        for kind, curve in (*(("one", curve) for curve in curves), ("validation", mean)):
            lines += curve_path(kind, [(across(x), up(y)) for x, y in zip(POINTS, curve, strict=True)])
        return lines

    return square_chart(names, parts, label)
