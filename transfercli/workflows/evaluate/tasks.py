"""Steps of an evaluation that depend on the task: from outputs of the model to predictions, and to their metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transfercli.config.types import CLASSIFY, MULTILABEL, ORDINAL, REGRESSION, Task

if TYPE_CHECKING:
    import numpy as np

    from transfercli.data.dataset import Split
    from transfercli.evaluation.multilabel.predictions import LabelPredictions
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.regression.predictions import ValuePredictions
    from transfercli.evaluation.result import Evaluation
    from transfercli.workflows.stored_run import StoredRun

# The keys of `Evaluation.trust`.
Trust = dict[str, Any]


@dataclass(frozen=True)
class EvaluationSteps:
    """Steps of the evaluation of one task.

    predictions: outputs of `StoredRun.scored_model` -> predictions and the result's confidence metrics
    evaluate: predictions, with the keywords of `evaluation.result.evaluate` -> the result
    """

    predictions: Callable[[StoredRun, Split, np.ndarray], tuple[Any, Trust]]
    evaluate: Callable[..., Evaluation]


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


def _evaluate_classes(predictions: Predictions, **settings: Any) -> Evaluation:
    from transfercli.evaluation.result import evaluate

    return evaluate(predictions, **settings)


def _evaluate_labels(predictions: LabelPredictions, **settings: Any) -> Evaluation:
    from transfercli.evaluation.multilabel.result import evaluate_labels

    return evaluate_labels(predictions, **settings)


def _evaluate_values(predictions: ValuePredictions, **settings: Any) -> Evaluation:
    from transfercli.evaluation.regression.result import evaluate_values

    return evaluate_values(predictions, **settings)


_OF_CLASSES = EvaluationSteps(_class_predictions, _evaluate_classes)
STEPS: dict[Task, EvaluationSteps] = {
    CLASSIFY: _OF_CLASSES,
    ORDINAL: _OF_CLASSES,
    MULTILABEL: EvaluationSteps(_label_predictions, _evaluate_labels),
    REGRESSION: EvaluationSteps(_value_predictions, _evaluate_values),
}
