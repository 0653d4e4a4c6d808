"""Table of tasks: from outputs of a model to predictions and their confidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transfercli.config.types import CLASSIFY, MULTILABEL, ORDINAL, REGRESSION, Task

if TYPE_CHECKING:
    import numpy as np

    from transfercli.data.dataset import Split
    from transfercli.evaluation.multilabel.predictions import LabelPredictions
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.regression.predictions import ValuePredictions
    from transfercli.workflows.stored_run import StoredRun

# The keys of `Evaluation.trust`.
Trust = dict[str, Any]


def _class_predictions(run: StoredRun, split: Split, outputs: np.ndarray) -> tuple[Predictions, Trust]:
    from transfercli.evaluation.confidence.trust import confidence_metrics
    from transfercli.evaluation.predictions import Predictions

    logits, assessment = run.judge(outputs)
    probabilities = assessment.probabilities.astype("float32")
    answers = run.trust.answers(probabilities)
    predictions = Predictions(split.paths, run.labels, split.targets, probabilities, split.groups, answers)
    return predictions, confidence_metrics(assessment, logits, split.targets, run.stored_trust, run.unknown)


def _label_predictions(run: StoredRun, split: Split, outputs: np.ndarray) -> tuple[LabelPredictions, Trust]:
    from transfercli.evaluation.multilabel.confidence import label_confidence_metrics
    from transfercli.evaluation.multilabel.predictions import LabelPredictions

    logits, assessment = run.judge_labels(outputs)
    trust, score = run.label_trust, run.unknown
    # Rounded as in predictions.csv, so that the same labels are answered there.
    probabilities = assessment.probabilities.astype("float32")
    predictions = LabelPredictions(
        split.paths, run.labels, split.targets, probabilities, trust.thresholds, split.groups
    )
    name_and_threshold = (score.name, score.threshold) if score else None
    return predictions, label_confidence_metrics(assessment, logits, split.targets, trust, name_and_threshold)


def _value_predictions(run: StoredRun, split: Split, outputs: np.ndarray) -> tuple[ValuePredictions, Trust]:
    from transfercli.evaluation.regression.predictions import ValuePredictions

    values = run.calibration.of(outputs)[:, 0]
    return ValuePredictions(split.paths, run.labels[0], split.targets, values, split.groups), {}


# Function of a run, a split and the outputs of `StoredRun.scored_model` that returns the predictions, and the result's
# confidence metrics.
PREDICTIONS: dict[Task, Callable[[StoredRun, Split, np.ndarray], tuple[Any, Trust]]] = {
    CLASSIFY: _class_predictions,
    ORDINAL: _class_predictions,
    MULTILABEL: _label_predictions,
    REGRESSION: _value_predictions,
}
