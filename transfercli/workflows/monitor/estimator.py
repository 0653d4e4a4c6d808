"""The accuracy estimator of a run: read from its folder, or learnt now from known shifts of its held-out images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transfercli.errors import ArtefactError, DiskError, UsageError
from transfercli.io.checksum import file_sha256
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.monitor.model_answers import MOST_SHIFTED, HeldOutAnswers, HeldOutImages, held_out_images
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.evaluation.monitoring.expected_accuracy import AccuracyEstimator


@dataclass(frozen=True)
class RunEstimator:
    """Estimator of a run, and the held-out images that it compares with."""

    estimator: AccuracyEstimator
    held_out: HeldOutImages


def estimator_of(run: StoredRun, extractor: ImageFeatures) -> RunEstimator:
    """Return the estimator of a run; one that is learnt now is kept in the run's folder, if that can be written.

    Raises `DataError` if the run has no held-out images, or if their files are missing.
    """
    from transfercli.evaluation.monitoring.estimator_file import EstimatorFile

    images = held_out_images(run)
    file = EstimatorFile(run.folder.monitoring, _key(run, images))
    try:
        stored = file.read()
    except ArtefactError as error:
        run.reporter.warning(f"{error.message}; it is made anew")
        stored = None
    if stored is not None:
        return RunEstimator(stored, images)
    from transfercli.evaluation.monitoring.expected_accuracy import AccuracyEstimator, learn_known_shifts

    answers = HeldOutAnswers(run, extractor, images)
    held_out = answers.unchanged()
    known = learn_known_shifts(held_out, tuple(answers.shifted()), run.config.seed)
    estimator = AccuracyEstimator(held_out, known, run.config.seed)
    if run.status == "completed":
        try:
            file.write(estimator)
        except (DiskError, UsageError) as error:
            run.reporter.warning(f"{error.message}: the next monitor of {run.label} makes the passes again")
    return RunEstimator(estimator, images)


def _key(run: StoredRun, images: HeldOutImages) -> str:
    """Return a hash of the model, its calibration, and the held-out images."""
    folder = run.folder
    files = [folder.checkpoints / "best" / "manifest.json", folder.calibration, folder.held_out]
    parts = [file_sha256(file) for file in files if file.is_file()]
    parts += [sha256 for split in images.splits for sha256 in (split.name, *split.sha256s)]
    return hashlib.sha256("\n".join((str(MOST_SHIFTED), *parts)).encode()).hexdigest()
