"""Answers of a sweep's trials to the same images: the matrix that its winner is chosen and judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices
from transfercli.errors import ArtefactError
from transfercli.evaluation.confidence.temperature import class_logits, log_losses
from transfercli.evaluation.statistics.selection import MOST_LOSS, Answers
from transfercli.runs.folder import RunFolder
from transfercli.workflows.series.out_of_fold import joined_answers
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.sweep.result import TrialRow

LeftOut = tuple[tuple[TrialRow, str], ...]


@dataclass(frozen=True, eq=False)
class ComparedTrials:
    """Trials that answered for the same images.

    Attributes:
        trials: in the order of the columns of `answers`.
        answers: of T trials to N images, sorted by path.
        refitted: number of the trials whose models learnt from these images in the end; their answers are out of fold.
    """

    trials: tuple[TrialRow, ...]
    answers: Answers
    refitted: int


@dataclass(frozen=True, eq=False)
class _Trial:
    """A trial and its answers to N images, sorted by path: predicted classes int32 [N], and log losses [N] in nats."""

    row: TrialRow
    labels: tuple[str, ...]
    refitted: bool
    paths: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int32]
    losses: npt.NDArray[np.float64]

    @property
    def digest(self) -> str:
        """Digest of the images, their classes and the names of these."""
        names = "\0".join((*self.labels, "", *self.paths)).encode("utf-8", "surrogateescape")
        return hashlib.sha256(names + self.targets.tobytes()).hexdigest()

    def covers(self, other: _Trial) -> bool:
        """Return True if these are answers to all images of the other trial, with the same classes."""
        images = (dict(zip(trial.paths, trial.targets.tolist(), strict=True)) for trial in (other, self))
        return self.labels == other.labels and next(images).items() <= next(images).items()

    def rows_of(self, other: _Trial) -> npt.NDArray[np.int64]:
        """Return the rows of the images of another trial, which it covers: int64, in their order."""
        wanted = set(other.paths)
        return np.array([row for row, path in enumerate(self.paths) if path in wanted])


def compare_trials(rows: Sequence[TrialRow]) -> tuple[ComparedTrials | None, LeftOut]:
    """Return the completed trials that answered for the same images, and all others with the reason.

    The images are those of one trial that most trials answered for; of several such sets, the largest. So a trial that
    was scored by more images, as one whose head was cross-validated on all, is compared by the common ones. None if no
    trial has answers.
    """
    found: list[_Trial] = []
    left_out = []
    for row in rows:
        try:
            found.append(_read(row))
        except ArtefactError as error:
            left_out.append((row, error.message))
    if not found:
        return None, tuple(left_out)
    digests = [trial.digest for trial in found]
    kinds = dict(zip(digests[::-1], found[::-1], strict=True))  # the first trial of each
    covering = {digest: [own for own, kind in kinds.items() if kind.covers(kinds[digest])] for digest in kinds}
    number = {digest: sum(own in covering[digest] for own in digests) for digest in kinds}
    common = max(dict.fromkeys(digests), key=lambda digest: (number[digest], len(kinds[digest].paths)))
    chosen = [trial for trial, own in zip(found, digests, strict=True) if own in covering[common]]
    others = [trial.row for trial, own in zip(found, digests, strict=True) if own not in covering[common]]
    left_out += [(row, "it was scored by other images") for row in others]
    return _aligned(chosen, kinds[common]), tuple(left_out)


def _aligned(trials: Sequence[_Trial], common: _Trial) -> ComparedTrials:
    """Return the answers of trials to the images of one of them."""
    kept = [trial.rows_of(common) for trial in trials]
    images = StoredRun(RunFolder(common.row.runs[0])).images
    group_of = {image.path: image.group for image in images}
    answers = Answers(
        common.targets,
        np.stack([trial.predicted[rows] for trial, rows in zip(trials, kept, strict=True)], axis=1),
        np.stack([trial.losses[rows] for trial, rows in zip(trials, kept, strict=True)], axis=1),
        len(common.labels),
        cluster_indices([group_of.get(path, "") for path in common.paths]),
    )
    return ComparedTrials(tuple(trial.row for trial in trials), answers, sum(trial.refitted for trial in trials))


def _read(row: TrialRow) -> _Trial:
    """Return the answers of a trial: of its run, or out of fold of all its runs. Raises `ArtefactError`."""
    runs = tuple(StoredRun(RunFolder(path)) for path in row.runs)
    answers = joined_answers(runs)
    order = sorted(range(len(answers)), key=answers.paths.__getitem__)
    targets, logits = answers.targets[order], class_logits(answers.logits[order])
    return _Trial(
        row=row,
        labels=runs[0].labels,
        refitted=any(run.record.refitted for run in runs),
        paths=tuple(answers.paths[index] for index in order),
        targets=targets,
        predicted=logits.argmax(axis=1).astype(np.int32),
        losses=np.minimum(log_losses(logits, targets), MOST_LOSS),
    )
