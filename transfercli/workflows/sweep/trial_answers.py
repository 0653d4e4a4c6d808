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
from transfercli.evaluation.multilabel.selection import LabelAnswers
from transfercli.evaluation.statistics.selection import MOST_LOSS, Answers
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.text import counted
from transfercli.workflows.held_out_images import FEWEST, not_learnt_before
from transfercli.workflows.series.out_of_fold import held_out_of, joined_answers
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.sweep.result import TrialRow

LeftOut = tuple[tuple[TrialRow, str], ...]
TrialAnswers = Answers | LabelAnswers


class NoComparison(Exception):
    """Raised if no images compare the trials of a sweep, with the reason.

    learnt: number of images that score a trial and that an ancestor learnt from. left_out: as of `ComparedTrials`.
    """

    def __init__(self, reason: str, left_out: LeftOut, learnt: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.left_out, self.learnt = reason, left_out, learnt


@dataclass(frozen=True, eq=False)
class ComparedTrials:
    """Trials that answered for the same images.

    Attributes:
        trials: in the order of the columns of `answers`.
        answers: of T trials to N images, sorted by path.
        refitted: number of the trials whose models learnt from these images in the end; their answers are out of fold.
        learnt: number of further images, which an ancestor of a trial learnt from.
        left_out: completed trials that are not compared, with the reason.
    """

    trials: tuple[TrialRow, ...]
    answers: TrialAnswers
    refitted: int
    learnt: int
    left_out: LeftOut


@dataclass(frozen=True, eq=False)
class _Trial:
    """A trial and its answers to N images, sorted by path.

    targets: int64 [N], or [N, L] if an image may have several labels. logits: float32 [N, C]. honest: bool [N], False
    for images that an ancestor learnt from.
    """

    row: TrialRow
    labels: tuple[str, ...]
    refitted: bool
    paths: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    honest: npt.NDArray[np.bool_]

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


def compare_trials(rows: Sequence[TrialRow], reporter: Reporter) -> ComparedTrials:
    """Return the completed trials that answered for the same images.

    The images are those of one trial that most trials answered for; of several such sets, the largest. So a trial that
    was scored by more images, as one whose head was cross-validated on all, is compared by the common ones. Images that
    an ancestor of a trial learnt from count for no trial; a trial with too few others is left out. Raises
    `NoComparison` if no trial has answers, or too few images are left.
    """
    found: list[_Trial] = []
    left_out: list[tuple[TrialRow, str]] = []
    honest = _HonestImages(reporter)
    for row in rows:
        try:
            found.append(_read(row, honest))
        except ArtefactError as error:
            left_out.append((row, error.message))
    if not found:
        raise NoComparison("the runs keep no answers to the images that scored them", tuple(left_out))
    digests = [trial.digest for trial in found]
    kinds = dict(zip(digests[::-1], found[::-1], strict=True))  # the first trial of each
    covering = {digest: [own for own, kind in kinds.items() if kind.covers(kinds[digest])] for digest in kinds}
    number = {digest: sum(own in covering[digest] for own in digests) for digest in kinds}
    common = max(dict.fromkeys(digests), key=lambda digest: (number[digest], len(kinds[digest].paths)))
    chosen = [trial for trial, own in zip(found, digests, strict=True) if own in covering[common]]
    others = [trial.row for trial, own in zip(found, digests, strict=True) if own not in covering[common]]
    left_out += [(row, "it was scored by other images") for row in others]
    return _aligned(chosen, kinds[common], left_out)


def honest_score(run: RunFolder, metric: str) -> tuple[float | None, int, int]:
    """Return the metric of a run on the images that no ancestor learnt from, their number, and that of all images.

    The metric is None if too few are left. Raises `ArtefactError` if the run keeps no answers.
    """
    trial = _read(TrialRow(0, {}, "completed", run.path, (run.path,)), _HonestImages(Reporter()))
    rows = np.flatnonzero(trial.honest)
    if not _is_enough(trial.honest):
        return None, len(rows), len(trial.honest)
    answers = _answers([trial], [rows], None)
    return float(answers.scores(metric, np.ones((len(rows), 1)))[0, 0]), len(rows), len(trial.honest)


def _aligned(trials: Sequence[_Trial], common: _Trial, left_out: Sequence[tuple[TrialRow, str]]) -> ComparedTrials:
    """Return the answers of trials to the images of one of them that no ancestor learnt from."""
    rows = [trial.rows_of(common) for trial in trials]
    honest = np.stack([trial.honest[kept] for trial, kept in zip(trials, rows, strict=True)])
    left = _with_images_left(honest)
    learnt = int((~honest.all(axis=0)).sum())
    if not len(left):
        reason = f"an ancestor of a trial learnt from {learnt} of the {counted(honest.shape[1], 'image')} that score it"
        raise NoComparison(f"{reason}, and too few are left", tuple(left_out), learnt)
    left_out = [*left_out, *((trials[row].row, _too_few(honest[row])) for row in range(len(trials)) if row not in left)]
    images = honest[left].all(axis=0)
    paths = [common.paths[row] for row in np.flatnonzero(images)]
    compared = [trials[row] for row in left]
    of_image = cluster_indices(StoredRun(RunFolder(common.row.runs[0])).groups_of(paths))
    answers = _answers(compared, [rows[row][images] for row in left], of_image)
    refitted = sum(trial.refitted for trial in compared)
    learnt = int((~images).sum())
    return ComparedTrials(tuple(trial.row for trial in compared), answers, refitted, learnt, tuple(left_out))


def _answers(
    trials: Sequence[_Trial], rows: Sequence[npt.NDArray[np.int64]], of_image: npt.NDArray[np.int64] | None
) -> TrialAnswers:
    """Return the answers of trials to the same images. rows: of the images, in each trial."""
    targets, labels = trials[0].targets[rows[0]], trials[0].labels
    logits = [trial.logits[kept] for trial, kept in zip(trials, rows, strict=True)]
    if targets.ndim == 2:
        return LabelAnswers(targets, np.stack(logits, axis=1), labels, of_image)
    of_classes = [class_logits(one) for one in logits]
    return Answers(
        targets,
        np.stack([one.argmax(axis=1).astype(np.int32) for one in of_classes], axis=1),
        np.stack([np.minimum(log_losses(one, targets), MOST_LOSS) for one in of_classes], axis=1),
        len(labels),
        of_image,
    )


def _with_images_left(honest: npt.NDArray[np.bool_]) -> list[int]:
    """Return the trials that can be compared by the images that are honest for all of them.

    honest: bool [T, N]. All trials, if enough images are left; else those with enough images of their own, or none.
    """
    every = range(len(honest))
    for rows in (list(every), [row for row in every if _is_enough(honest[row])]):
        if rows and _is_enough(np.all(honest[rows], axis=0)):
            return rows
    return []


def _is_enough(honest: npt.NDArray[np.bool_]) -> bool:
    return bool(honest.all() or honest.sum() >= FEWEST)


def _too_few(honest: npt.NDArray[np.bool_]) -> str:
    return f"an ancestor learnt from {int((~honest).sum())} of the {counted(len(honest), 'image')} that score it"


class _HonestImages:
    """Images of trials that no ancestor learnt from, found once for runs with the same images and parent."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self._known: dict[tuple[object, ...], npt.NDArray[np.bool_]] = {}

    def of(self, run: StoredRun) -> npt.NDArray[np.bool_]:
        """Return bool [N], False for each image of the run's held-out answers that an ancestor learnt from."""
        record, paths = run.record, held_out_of(run).paths
        key = (record.fingerprint, record.parent, record.refitted, paths)
        if key not in self._known:
            self._known[key] = not_learnt_before(run, paths, self.reporter)
        return self._known[key]


def _read(row: TrialRow, honest: _HonestImages) -> _Trial:
    """Return the answers of a trial: of its run, or out of fold of all. Raises `ArtefactError` if there are none."""
    if not row.runs:
        raise ArtefactError("its run is not here", "restore it")
    runs = tuple(StoredRun(RunFolder(path)) for path in row.runs)
    answers = joined_answers(runs)
    order = sorted(range(len(answers)), key=answers.paths.__getitem__)
    return _Trial(
        row=row,
        labels=runs[0].labels,
        refitted=any(run.record.refitted for run in runs),
        paths=tuple(answers.paths[index] for index in order),
        targets=answers.targets[order],
        logits=answers.logits[order],
        honest=np.concatenate([honest.of(run) for run in runs])[order],
    )
