"""Predictions out of fold: of each image by the run that did not learn from its fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from transfercli.config.schema import EvaluationConfig
from transfercli.errors import ArtefactError
from transfercli.evaluation.held_out import HeldOutAnswers

if TYPE_CHECKING:
    from transfercli.evaluation.multilabel.predictions import LabelPredictions
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.scoring import Predicted
    from transfercli.workflows.stored_run import StoredRun


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Answers of all runs of a cross-validation to the images of their own folds, N in all.

    Attributes:
        answers: logits that are not calibrated, by fold.
        run_of: int64 [N], index of the run that answered.
        labels: class names in index order.
        groups: of the images, as in `Split`.
        evaluation: section of the config, which says how thresholds are chosen.
    """

    answers: HeldOutAnswers
    run_of: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    groups: tuple[str, ...] = ()
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __len__(self) -> int:
        return len(self.answers)

    def predictions(self) -> Predicted:
        """Return predictions, calibrated for each fold by the parameters that the other folds choose.

        So no probability has seen the label that it is judged by. A single fold is not calibrated. If an image may have
        several labels, a label's threshold is the mean of those that the other folds choose; that of two classes is
        the one of the other folds.
        """
        return self._of_labels() if self.answers.targets.ndim == 2 else self._of_classes()

    def _of_labels(self) -> LabelPredictions:
        from transfercli.evaluation.multilabel.predictions import LabelPredictions
        from transfercli.evaluation.multilabel.trust import LabelTrust, fit_label_trust

        logits, targets = self.answers.logits, self.answers.targets
        probabilities, thresholds = np.empty(logits.shape), []
        for run in np.unique(self.run_of):
            mine, others = self.run_of == run, np.flatnonzero(self.run_of != run)
            groups = [self.groups[row] for row in others] if self.groups else ()
            trust = LabelTrust.without_fit(self.labels)
            if len(others):
                trust = fit_label_trust(logits[others], targets[others], self.labels, self.evaluation, groups)
            probabilities[mine] = trust.probabilities(logits[mine])
            thresholds.append(trust.thresholds)
        chosen = np.mean(thresholds, axis=0)
        return LabelPredictions(self.answers.paths, self.labels, targets, probabilities, chosen, self.groups)

    def _of_classes(self) -> Predictions:
        from transfercli.evaluation.confidence.temperature import calibrated, choose_temperature, class_logits
        from transfercli.evaluation.confidence.thresholds import choose_threshold, rule_of
        from transfercli.evaluation.predictions import Predictions
        from transfercli.models.tasks.answers import as_float32

        logits, targets = class_logits(self.answers.logits), self.answers.targets
        probabilities, rule = np.empty(logits.shape), rule_of(self.evaluation.threshold)
        answers = np.empty(len(targets), np.int64)
        for run in np.unique(self.run_of):
            mine, others = self.run_of == run, np.flatnonzero(self.run_of != run)
            groups = [self.groups[row] for row in others] if self.groups else ()
            scaling = choose_temperature(logits[others], targets[others], groups) if len(others) else None
            temperature = scaling.temperature if scaling else 1.0
            probabilities[mine] = calibrated(logits[mine], temperature)
            if rule is not None:
                scores = calibrated(logits[others], temperature)[:, 1]
                choice = choose_threshold(scores, targets[others] == 1, rule, groups)
                answers[mine] = as_float32(probabilities[mine, 1]) >= choice.threshold
        chosen = None if rule is None else answers
        return Predictions(self.answers.paths, self.labels, targets, probabilities, self.groups, chosen)


def pool_answers(runs: Sequence[StoredRun]) -> OutOfFold:
    """Return the answers of the runs of a cross-validation, each to its own fold; raises as `joined_answers` does."""
    answers = joined_answers(runs)
    run_of = np.repeat(np.arange(len(runs)), [len(held_out_of(run)) for run in runs])
    first = runs[0]
    return OutOfFold(answers, run_of, first.labels, first.groups_of(answers.paths), first.config.evaluation)


def joined_answers(runs: Sequence[StoredRun]) -> HeldOutAnswers:
    """Return the answers that score the runs, one after the other.

    Raises `ArtefactError` if a run has none, or if two runs answer for one image.
    """
    found = [held_out_of(run) for run in runs]
    for run in runs[1:]:
        if run.labels != runs[0].labels:
            raise ArtefactError(
                f"{run.label} and {runs[0].label} have other classes, so they are no folds of one data set"
            )
    paths = tuple(path for answers in found for path in answers.paths)
    if len(set(paths)) != len(paths):
        raise ArtefactError(f"two folds of {runs[0].label} validate by the same images", "train the folds again")
    return HeldOutAnswers(
        paths,
        np.concatenate([answers.targets for answers in found]),
        np.concatenate([answers.logits for answers in found]),
    )


def held_out_of(run: StoredRun) -> HeldOutAnswers:
    """Return the answers that score a run. Raises `ArtefactError` if it has none."""
    if run.held_out is None:
        raise ArtefactError(f"{run.label} has no {run.folder.held_out.name}", "restore the run, or train it again")
    return run.held_out
