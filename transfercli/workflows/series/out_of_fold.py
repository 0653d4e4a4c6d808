"""Predictions out of fold: of each image by the run that did not learn from its fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from transfercli.errors import ArtefactError
from transfercli.evaluation.held_out import HeldOutAnswers

if TYPE_CHECKING:
    from transfercli.evaluation.predictions import Predictions
    from transfercli.workflows.stored_run import StoredRun


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Answers of all runs of a cross-validation to the images of their own folds, N in all.

    Attributes:
        answers: logits that are not calibrated, by fold.
        run_of: int64 [N], index of the run that answered.
        labels: class names in index order.
        groups: of the images, as in `Split`.
    """

    answers: HeldOutAnswers
    run_of: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.answers)

    def predictions(self) -> Predictions:
        """Return predictions, calibrated for each fold by the temperature that the other folds choose.

        So no probability has seen the label that it is judged by. A single fold is not calibrated.
        """
        from transfercli.evaluation.confidence.temperature import calibrated, choose_temperature, class_logits
        from transfercli.evaluation.predictions import Predictions

        logits, targets = class_logits(self.answers.logits), self.answers.targets
        probabilities = np.empty(logits.shape)
        for run in np.unique(self.run_of):
            mine, others = self.run_of == run, np.flatnonzero(self.run_of != run)
            groups = [self.groups[row] for row in others] if self.groups else ()
            scaling = choose_temperature(logits[others], targets[others], groups) if len(others) else None
            probabilities[mine] = calibrated(logits[mine], scaling.temperature if scaling else 1.0)
        return Predictions(self.answers.paths, self.labels, targets, probabilities, self.groups)


def pool_answers(runs: Sequence[StoredRun]) -> OutOfFold:
    """Return the answers of the runs of a cross-validation, each to its own fold; raises as `joined_answers` does."""
    answers = joined_answers(runs)
    run_of = np.repeat(np.arange(len(runs)), [len(held_out_of(run)) for run in runs])
    return OutOfFold(answers, run_of, runs[0].labels, runs[0].groups_of(answers.paths))


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
