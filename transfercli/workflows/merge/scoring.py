"""Models that a merge makes, with their answers: the average of all members, or a greedy soup of some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.config.schema import ModelConfig
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.rows import SelectedRows
from transfercli.workflows.merge.answers import ALL, Answers, Floats
from transfercli.workflows.merge.networks import average_config, average_tensors, mean_tensors, same
from transfercli.workflows.stored_run import StoredRun

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class MergedModel:
    """A merged model and its answers.

    members: best first. kept: indices of those that are in the model. tensors: its weights by name. logits: float32
    [N, C] of the images in `answers`.
    """

    members: tuple[StoredRun, ...]
    answers: Answers
    kept: tuple[int, ...]
    config: ModelConfig
    tensors: Tensors
    logits: npt.NDArray[np.float32]


def order_of(answers: Answers, members: Sequence[StoredRun]) -> list[int]:
    """Return the members from the best to the worst: by accuracy, then log loss, then name; folds by their number."""
    if answers.by != ALL:
        return sorted(range(len(members)), key=lambda row: (members[row].config.data.fold or 0, members[row].label))
    losses = answers.losses([member.calibration for member in members]).mean(axis=1)
    right = answers.right.mean(axis=1)
    return sorted(range(len(members)), key=lambda row: (-right[row], losses[row], members[row].label))


def average(members: Sequence[StoredRun], answers: Answers) -> MergedModel:
    """Return the model whose probabilities are the mean of the members' calibrated ones."""
    config = average_config(members)
    logits = answers.steps.mean(answers.calibrated([member.calibration for member in members]), answers.answered)
    tensors = average_tensors(members, config)
    return MergedModel(tuple(members), answers, tuple(range(len(members))), config, tensors, logits)


def soup(members: Sequence[StoredRun], answers: Answers, reporter: Reporter) -> MergedModel:
    """Return the greedy soup of the members' weights (Wortsman et al. 2022, "Model soups", recipe 1).

    Members are added from the best to the worst, each only if the mean of the weights is no less accurate with it.

    Raises `ArtefactError` if no image can score such a mean.
    """
    stored = [member.read_checkpoint().model for member in members]
    score = _scorer(members, stored, answers, reporter)
    kept, logits = [0], answers.logits[0].astype(np.float32)
    for row in range(1, len(members)):
        tried = score([*kept, row])
        if _accuracy(tried, answers) >= _accuracy(logits, answers):
            kept, logits = [*kept, row], tried
        reporter.progress("soup", row, len(members) - 1)
    tensors = mean_tensors([stored[row] for row in kept])
    return MergedModel(tuple(members), answers, tuple(kept), members[0].config.model, tensors, logits)


def _accuracy(logits: Floats | npt.NDArray[np.float32], answers: Answers) -> float:
    return float(answers.steps.right(logits, answers.targets).mean())


def _scorer(
    members: Sequence[StoredRun], stored: Sequence[Tensors], answers: Answers, reporter: Reporter
) -> Callable[[list[int]], npt.NDArray[np.float32]]:
    """Return a function of the members in a soup that returns its logits [N, C].

    The mean of linear heads on one frozen base has the mean of their logits, so that nothing is computed for it. Raises
    `ArtefactError` if there is no image that no member learnt from.
    """
    if answers.by != ALL:
        raise ArtefactError(
            "each fold learnt from the images that the others held out, so no image shows what a mean of their weights"
            " is worth",
            "use --how average",
        )
    if _are_linear(members, stored):
        return lambda kept: answers.logits[kept].mean(axis=0).astype(np.float32)
    if refitted := next((member for member in members if member.record.refitted), None):
        raise ArtefactError(
            f"{refitted.label} learnt from its validation images in the end, so no image shows what a mean of its"
            " weights is worth",
            "use --how average, or train the run with training.refit: false",
        )
    return _forward_scorer(members[0], stored, answers, reporter)


def _are_linear(members: Sequence[StoredRun], stored: Sequence[Tensors]) -> bool:
    """Return True if the members differ in the weights of a linear head only."""
    bases = [name for name in stored[0] if name.startswith("base/")]
    return not members[0].config.model.head.hidden and all(
        same(stored[0][name], tensors.get(name)) for tensors in stored[1:] for name in bases
    )


def _forward_scorer(
    first: StoredRun, stored: Sequence[Tensors], answers: Answers, reporter: Reporter
) -> Callable[[list[int]], npt.NDArray[np.float32]]:
    split = first.split("validation")
    rows = {sha256: row for row, sha256 in enumerate(split.sha256s)}
    images = SelectedRows(split.images, np.array([rows[sha256] for sha256 in answers.sha256s]))
    classifier = first.classifier
    from transfercli.models.forward import forward
    from transfercli.models.tensor_names import assign_tensors

    def score(kept: list[int]) -> npt.NDArray[np.float32]:
        assign_tensors(classifier, mean_tensors([stored[row] for row in kept]))
        logits = forward(classifier.model, images, first.config.data.batch_size, reporter, "soup")
        return answers.steps.logits(logits).astype(np.float32)

    return score
