"""Images of a comparison that one of its runs, or an ancestor, learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transfercli.errors import ArtefactError, DataError
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.compare.answers import Answers
from transfercli.workflows.held_out_images import learnt_behind_answers
from transfercli.workflows.known_images import changed_copies, learnt_splits
from transfercli.workflows.learnt_images import LearntImages
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def images_not_learnt(
    answers: Sequence[Answers], paths: Sequence[str], split: str, reporter: Reporter
) -> NDArray[np.int64]:
    """Return the indices of the images that no run and no ancestor learnt from; warn of the others.

    The runs' own images are known by their recorded hashes; of other images, which only `evaluate --data` read, there
    is a warning if that evaluation found some that were learnt from. A run that answered out of fold did not learn from
    its own images, but an ancestor may have. Raises `DataError` if no image is left.
    """
    import numpy as np

    runs = [each.run for each in answers]
    hashes: dict[str, str] = {}
    for each in answers:
        hashes = each.hashes | hashes
    learnt: set[str] = set()
    for each in answers:
        images = _learnt_by(each, split, reporter)
        rest = [sha256 for sha256 in hashes.values() if not images.use_of(sha256, _pixel_hash(sha256, runs))]
        learnt |= {*hashes.values()} - {*rest}
        for known in runs:
            learnt |= changed_copies(known, rest, images)
    kept = np.array([index for index, path in enumerate(paths) if hashes.get(path) not in learnt], np.int64)
    if left_out := len(paths) - len(kept):
        names = " or ".join(run.label for run in runs)
        text = f"{names}, or an ancestor, learnt from {left_out} of {counted(len(paths), 'image')}"
        if not len(kept):
            raise DataError(f"no image to compare runs on: {text}", "evaluate both on new images, with data.test")
        reporter.warning(f"{text}: these are left out")
    if not hashes:
        _warn_of_other_images(runs, split, reporter)
    return kept


def _learnt_by(answers: Answers, split: str, reporter: Reporter) -> LearntImages:
    if answers.out_of_fold:
        return learnt_behind_answers(answers.run, reporter)
    return learnt_from(answers.run, reporter=reporter, splits=learnt_splits(split))


def _pixel_hash(sha256: str, runs: Sequence[StoredRun]) -> str:
    return next((run.pixel_hashes[sha256] for run in runs if run.pixel_hashes and sha256 in run.pixel_hashes), "")


def _warn_of_other_images(runs: Sequence[StoredRun], split: str, reporter: Reporter) -> None:
    for run in runs:
        try:
            metrics = read_json(run.folder.evaluation(split) / "metrics.json")
        except ArtefactError:
            continue
        known = metrics.get("known") if isinstance(metrics, dict) else None
        if isinstance(known, dict) and known:
            reporter.warning(
                f"{run.label} learnt from some of the images that it was evaluated on ({split}): they are not left out,"
                " because only evaluate --data read them"
            )
