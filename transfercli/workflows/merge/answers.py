"""Answers that score a merged model: those of its members on images that no weights in the answer learnt from.

They are stored with each run (`held_out.safetensors`), so that an average is scored without a forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from transfercli.config.types import CLASSIFY, Task
from transfercli.errors import ArtefactError
from transfercli.evaluation.held_out import HeldOutAnswers
from transfercli.models.tasks.calibration import Calibration
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.held_out_images import FEWEST, not_learnt_before, sha256s_of
from transfercli.workflows.merge.tasks import MergeSteps, steps_of
from transfercli.workflows.stored_run import StoredRun

Floats = npt.NDArray[np.float64]
ALL, OWN_FOLD = "every member", "the member that held the image out"


@dataclass(frozen=True, eq=False)
class Answers:
    """Logits of K members for N images, in the order of the images' hashes.

    by: `ALL`, or `OWN_FOLD` if each image has the answer of a fold of a cross-validation that did not learn from it.
    answered: bool [K, N], True if the member held the image out. logits: float64 [K, N, C], 0 if not `answered`.
    sha256s, targets, groups: of the images; targets int64 [N], or [N, L] if an image may have several labels; groups as
    in `Split`. task: of the members.
    left_out: number of further images, which an ancestor of a member learnt from. flattered: number of such images
    among the N, if too few others are left.
    """

    by: str
    sha256s: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    groups: tuple[str, ...]
    answered: npt.NDArray[np.bool_]
    logits: Floats
    left_out: int = 0
    flattered: int = 0
    task: Task = CLASSIFY

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def steps(self) -> MergeSteps:
        """Steps of the task."""
        return steps_of(self.task)

    @cached_property
    def right(self) -> Floats:
        """[K, N]: 1 if the image's class has the largest logit; of several labels the share that is right."""
        return self.steps.right(self.logits, self.targets)

    def losses(self, calibrations: Sequence[Calibration]) -> Floats:
        """Return the log loss of each image by each member, [K, N], with the members' calibrations."""
        calibrated = self.calibrated(calibrations)
        return np.stack([self.steps.losses(logits, self.targets) for logits in calibrated])

    def calibrated(self, calibrations: Sequence[Calibration]) -> Floats:
        """Return calibrated logits [K, N, C]."""
        return np.stack([one.of(logits) for one, logits in zip(calibrations, self.logits, strict=True)])

    def of_members(self, kept: Sequence[int]) -> Answers:
        """Return the answers of some members, in that order."""
        rows = list(kept)
        return replace(self, answered=self.answered[rows], logits=self.logits[rows])


def answers_of(members: Sequence[StoredRun], reporter: Reporter) -> Answers:
    """Return the members' answers on the images that all of them held out.

    If there is none, and the members are folds of one cross-validation, return the answers of each image's own fold.
    Images whose label differs between members are left out, with a warning; so are images that an ancestor of a member
    learnt from, unless too few others are left.

    Raises `ArtefactError` if no image can score the merged model honestly.
    """
    held = [_HeldOut.of(member, reporter) for member in members]
    by = ALL if (common := set.intersection(*(set(each.rows) for each in held))) else OWN_FOLD
    if by == OWN_FOLD and not are_folds(members):
        raise ArtefactError(
            "no image was held out by all of these runs: each learnt from the validation images of another, so that"
            " nothing shows what the merged model is worth",
            "train the runs on the same split (same data and seed), or merge all folds of one cross-validation",
        )
    hashes = sorted(common or set.union(*(set(each.rows) for each in held)))
    agreed = [sha256 for sha256 in hashes if len({each.label(sha256) for each in held} - {""}) == 1]
    if len(agreed) < len(hashes):
        reporter.warning(
            f"{counted(len(hashes) - len(agreed), 'image')} do not score the merged model: the runs learnt other labels"
            " of them"
        )
    if not agreed:
        raise ArtefactError("the runs have different labels of every image that they held out", "train them again")
    learnt = set.union(*(set(each.learnt) for each in held)).intersection(agreed)
    flattered = bool(learnt) and len(agreed) - len(learnt) < FEWEST
    if learnt:
        _warn_of_learnt(len(learnt), len(agreed), flattered, reporter)
    if not flattered:
        agreed = [sha256 for sha256 in agreed if sha256 not in learnt]
    answered = np.array([[sha256 in each.rows for sha256 in agreed] for each in held])
    first = [next(each for each in held if sha256 in each.rows) for sha256 in agreed]
    return Answers(
        by,
        tuple(agreed),
        np.array([each.targets[each.rows[sha256]] for each, sha256 in zip(first, agreed, strict=True)]),
        _groups(first, agreed),
        answered,
        np.stack([each.of_images(agreed) for each in held]),
        left_out=0 if flattered else len(learnt),
        flattered=len(learnt) if flattered else 0,
        task=members[0].config.task,
    )


def _warn_of_learnt(learnt: int, total: int, flattered: bool, reporter: Reporter) -> None:
    text = f"ancestors of the runs learnt from {learnt} of the {counted(total, 'image')} that score the merged model"
    if flattered:
        reporter.warning(f"{text}, and too few are left: its scores are too good, and no gain is shown")
    else:
        reporter.warning(f"{text}: these are left out")


def are_folds(members: Sequence[StoredRun]) -> bool:
    """Return True if the members are different folds of one cross-validation."""
    folds = [(member.config.data.folds, member.config.data.fold) for member in members]
    data = [member.config.data.model_copy(update={"fold": None}) for member in members]
    seeds = {member.config.seed for member in members}
    return (
        None not in folds[0] and len(set(folds)) == len(folds) and len(seeds) == 1 and all(d == data[0] for d in data)
    )


def _groups(held: Sequence[_HeldOut], sha256s: Sequence[str]) -> tuple[str, ...]:
    groups = tuple(each.groups.get(sha256, "") for each, sha256 in zip(held, sha256s, strict=True))
    return groups if any(groups) else ()


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """Held-out answers of a run by the SHA-256 of the images.

    logits: float64 [n, C]; labels: of the run; learnt: images that an ancestor learnt from.
    """

    rows: dict[str, int]
    targets: npt.NDArray[np.int64]
    logits: Floats
    labels: tuple[str, ...]
    groups: dict[str, str]
    learnt: frozenset[str]

    @classmethod
    def of(cls, run: StoredRun, reporter: Reporter) -> _HeldOut:
        answers = run.held_out or _computed(run)
        sha256s, honest = sha256s_of(run, answers.paths), not_learnt_before(run, answers.paths, reporter)
        rows = {sha256: row for row, sha256 in enumerate(sha256s)}
        learnt = frozenset(sha256 for sha256, kept in zip(sha256s, honest, strict=True) if not kept)
        groups = {image.sha256: image.group for image in run.images if image.group}
        logits = steps_of(run.config.task).logits(answers.logits)
        return cls(rows, answers.targets, logits, run.labels, groups, learnt)

    def label(self, sha256: str) -> str:
        """Return the class of an image, or text for its labels; "" if it was not held out."""
        row = self.rows.get(sha256)
        if row is None:
            return ""
        return self.labels[self.targets[row]] if self.targets.ndim == 1 else str(self.targets[row].tolist())

    def of_images(self, sha256s: Sequence[str]) -> Floats:
        """Return the logits of images, [N, C]; 0 if an image was not held out."""
        padded = np.concatenate([self.logits, np.zeros((1, self.logits.shape[1]))])
        return padded[[self.rows.get(sha256, -1) for sha256 in sha256s]]


def _computed(run: StoredRun) -> HeldOutAnswers:
    """Return the answers of a run of an earlier version, by a forward pass over its validation images."""
    if run.record.refitted:
        raise ArtefactError(
            f"{run.label} is of an earlier version that did not keep its answers, and it learnt from its validation"
            " images in the end",
            "train it again, or leave it out",
        )
    split = run.split("validation")
    return HeldOutAnswers(split.paths, split.targets, run.logits(split, "validation"))
