"""Answers of a run to images, in the form of its task: with class probabilities, or with label probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.config.types import Task
from transfercli.errors import UsageError
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.evaluation.held_out import HeldOutAnswers
    from transfercli.evaluation.regression.predictions import ValuePredictions
    from transfercli.evaluation.result import Evaluation
    from transfercli.evaluation.scoring import Predicted

NOT_KNOWN = 1.0  # threshold of a label that a run does not have, whose probability is 0


def predict_split(run: StoredRun, split: Split) -> Predicted:
    """Return a run's answers to a split, over the split's labels; one that the run does not have has probability 0."""
    probabilities, own = np.zeros((len(split), len(split.labels))), run.probabilities(split)
    columns = np.array([split.labels.index(label) for label in run.labels])
    probabilities[:, columns] = own
    if not run.several:
        from transfercli.evaluation.predictions import Predictions

        chosen = run.trust.answers(own)
        chosen = None if chosen is None else columns[chosen]
        return Predictions(split.paths, split.labels, split.targets, probabilities, split.groups, chosen)
    from transfercli.evaluation.multilabel.predictions import LabelPredictions

    thresholds = np.full(len(split.labels), NOT_KNOWN)
    thresholds[columns] = run.label_trust.thresholds
    return LabelPredictions(
        split.paths, split.labels, split.targets.astype(np.int64), probabilities, thresholds, split.groups
    )


def held_out_predictions(run: StoredRun, answers: HeldOutAnswers, groups: tuple[str, ...] = ()) -> Any:
    """Return the calibrated predictions of answers that score a run, `ValuePredictions` if it gives numbers."""
    probabilities = run.calibrate(answers.logits).astype(np.float64)
    if run.has_numbers:
        from transfercli.evaluation.regression.predictions import ValuePredictions

        return ValuePredictions(answers.paths, run.labels[0], answers.targets, probabilities[:, 0], groups)
    if not run.several:
        from transfercli.evaluation.predictions import Predictions

        chosen = run.trust.answers(probabilities)
        return Predictions(answers.paths, run.labels, answers.targets, probabilities, groups, chosen)
    from transfercli.evaluation.multilabel.predictions import LabelPredictions

    thresholds = run.label_trust.thresholds
    return LabelPredictions(answers.paths, run.labels, answers.targets, probabilities, thresholds, groups)


def read_predictions(run: StoredRun, path: Path) -> Predicted:
    """Read the `predictions.csv` of a run. Raises `ArtefactError` if the file is missing or damaged."""
    if not run.several:
        from transfercli.evaluation.predictions import Predictions

        return Predictions.read_csv(path)
    from transfercli.evaluation.multilabel.predictions import LabelPredictions

    return LabelPredictions.read_csv(path, run.label_trust.thresholds)


def evaluate_answers(answers: Predicted | ValuePredictions, **options: Any) -> Evaluation:
    """Return the evaluation of answers of any task. options: those of `evaluate`."""
    from transfercli.evaluation.multilabel.predictions import LabelPredictions
    from transfercli.evaluation.multilabel.result import evaluate_labels
    from transfercli.evaluation.regression.predictions import ValuePredictions
    from transfercli.evaluation.regression.result import evaluate_values
    from transfercli.evaluation.result import evaluate

    if isinstance(answers, LabelPredictions):
        return evaluate_labels(answers, **options)
    if isinstance(answers, ValuePredictions):
        return evaluate_values(answers, **options)
    return evaluate(answers, **options)


def metrics_of_answers(answers: Predicted) -> dict[str, float | None]:
    """Return a value for each metric of the task; None for each that is not defined, also without images."""
    from transfercli.evaluation.multilabel.predictions import LabelPredictions
    from transfercli.evaluation.multilabel.result import label_metrics_of
    from transfercli.evaluation.result import metrics_of
    from transfercli.evaluation.scoring import scoring_of

    if not len(answers):
        return dict.fromkeys(scoring_of(answers).metrics)
    return label_metrics_of(answers) if isinstance(answers, LabelPredictions) else metrics_of(answers)


def main_metric(task: Task) -> str:
    """Return the metric of a task that decides if nothing else is said."""
    from transfercli.evaluation.metric_tables import METRIC_TABLES

    return METRIC_TABLES[task].headline


def metric_of_task(metric: str | None, run: StoredRun) -> str:
    """Return a metric of the command line, or the main one of a run's task if it is None.

    Raises `UsageError` if the task has no such metric.
    """
    from transfercli.evaluation.metric_tables import METRIC_TABLES

    table = METRIC_TABLES[run.config.task]
    if metric is not None and metric not in table.metrics:
        raise UsageError(
            f"--metric {metric}: {run.label} gives {table.answers}, and this is no metric of that",
            f"use one of {', '.join(table.metrics)}",
        )
    return metric or main_metric(run.config.task)


def check_same_task(runs: Sequence[StoredRun], command: str) -> None:
    """Raise `UsageError` if some of the runs give an image several labels, and others one class."""
    of_task = {several: [run.label for run in runs if run.several is several] for several in (True, False)}
    if all(of_task.values()):
        raise UsageError(
            f"{command}: {of_task[True][0]} gives an image several labels, and {of_task[False][0]} one class: they"
            " answer different questions",
            "name runs of the same task",
        )


def refuse_several(run: StoredRun, command: str, reason: str) -> None:
    """Raise `UsageError` if a run gives an image several labels, which a command cannot work with yet.

    reason: why not, as the end of a sentence.
    """
    if run.several:
        raise UsageError(
            f"{command} works with one class per image so far, and {run.label} gives an image several labels: {reason}"
        )
