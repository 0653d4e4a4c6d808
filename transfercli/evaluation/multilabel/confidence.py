"""Calibration, thresholds and abstention of a model with several labels, measured on the images of an evaluation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.calibration import expected_calibration_error
from transfercli.evaluation.multilabel.trust import Array, Bools, LabelAssessment, LabelTrust
from transfercli.evaluation.statistics.intervals import wilson
from transfercli.models.tasks.outputs import sigmoid

HISTOGRAM_BINS = 30  # of out-of-distribution scores


def label_confidence_metrics(
    assessment: LabelAssessment,
    logits: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    trust: LabelTrust,
    score: tuple[str, float] | None = None,
) -> dict[str, Any]:
    """Return calibration, thresholds, abstention and out-of-distribution shares as JSON.

    The keys are those of `confidence_metrics`, with a row for each label. logits: [N, L]; targets: int [N, L], 1, 0, or
    -1 if unknown. score: name and threshold of the run's out-of-distribution score; None if it is the energy.
    """
    known = targets >= 0
    plain = sigmoid(logits)
    rows = [
        {"label": label, **_calibration_of(index, plain, assessment.probabilities, targets, known[:, index])}
        | {"scale": float(trust.scales[index]), "offset": float(trust.offsets[index])}
        | (asdict(trust.scalings[index]) if trust.scalings else {})
        for index, label in enumerate(trust.labels)
    ]
    name, threshold = score or ("energy", trust.energy)
    counts, edges = np.histogram(assessment.unknown, HISTOGRAM_BINS)
    return {
        "calibration": {
            **{key: _mean([row[key] for row in rows]) for key in CALIBRATION},
            "labels": rows,
        },
        "risk_coverage": None,
        "thresholds": {
            "rule": trust.rule,
            "labels": [
                {"label": label, "threshold": float(trust.thresholds[index])}
                | (asdict(trust.choices[index]) if trust.choices else {})
                for index, label in enumerate(trust.labels)
            ],
        },
        "abstention": _abstention(assessment, targets, known, trust),
        "out_of_distribution": {
            "score": name,
            "threshold": threshold,
            "strange": float(assessment.strange.mean()),
            "abstained": float(assessment.abstained.mean()),
            "left_out_auroc": {},
            "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        },
        "conformal": None,
    }


CALIBRATION = ("ece_before", "ece_after", "log_loss_before", "log_loss_after")


def _calibration_of(
    index: int, before: Array, after: Array, targets: npt.NDArray[np.integer], known: Bools
) -> dict[str, float | None]:
    """Return the calibration error and log loss of a label, before and after calibration; None without known images."""
    if not known.any():
        return dict.fromkeys(CALIBRATION)
    has = targets[known, index] == 1
    both = [values[known, index] for values in (before, after)]
    errors = [expected_calibration_error(values, has) for values in both]
    losses = [float(-np.log(np.maximum(np.where(has, values, 1 - values), TINY)).mean()) for values in both]
    return dict(zip(CALIBRATION, (*errors, *losses), strict=True))


TINY = 1e-15  # least probability in a log loss


def _mean(values: list[Any]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _abstention(
    assessment: LabelAssessment, targets: npt.NDArray[np.integer], known: Bools, trust: LabelTrust
) -> dict[str, Any] | None:
    """Return the share of answers of each label that are sure, and the accuracy of those."""
    abstention = trust.abstention
    if abstention is None:
        return None
    sure, right = ~assessment.unsure, assessment.answered == (targets == 1)
    rows = []
    for index, label in enumerate(trust.labels):
        mine = known[:, index]
        images, hits = int((sure & mine[:, None])[:, index].sum()), int((sure & right)[mine, index].sum())
        interval = wilson(hits, images)
        rows.append(
            {
                "label": label,
                "threshold": abstention.confidences[index],
                "possible": abstention.possible[index],
                "coverage": images / int(mine.sum()) if mine.any() else None,
                "accuracy": hits / images if images else None,
                "interval": list(interval) if interval else None,
            }
        )
    return {"target": dict(abstention.target), "labels": rows}
